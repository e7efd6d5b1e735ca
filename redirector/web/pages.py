"""The few small pages that a reader may see: prebuilt, and the same for everybody."""

from typing import Final

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; font: 1.0625rem/1.5 system-ui, sans-serif; }}
main {{ max-width: 32rem; padding: 2rem; }}
h1 {{ font-size: 1.5rem; margin: 0 0 .5rem; }}
p {{ margin: 0 0 .5rem; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{text}</p>
</main>
</body>
</html>
"""


def page(title: str, text: str) -> bytes:
    """A page that says one thing. Both are the program's own words: nothing from a request ever stands in a page."""
    return _PAGE.format(title=title, text=text).encode()


UNKNOWN: Final = page(
    "This link leads nowhere",
    "It may have been cut off or changed on its way. Try it again from the mail it came in.",
)
GONE: Final = page("This link is no longer in use", "The page that it led to is not offered any more.")
UNAVAILABLE: Final = page("One moment, please", "The link cannot be looked up just now. Try it again in a few seconds.")
NOT_ALLOWED: Final = page("This is a link", "It can be opened, and nothing else.")
NOT_FOUND: Final = page("There is nothing here", "The address is not one that this server knows.")
