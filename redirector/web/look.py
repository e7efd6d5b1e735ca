"""How every page for readers looks, and what it may do: no script, and nothing fetched from anywhere.

The pages that say one thing have the first style alone: whoever asks for invented codes gets one of them each time.
"""

from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Final

_TEMPLATES: Final = files("redirector.web").joinpath("templates")
LOOK: Final = _TEMPLATES.joinpath("look.css").read_text(encoding="utf-8")
PRIVACY: Final = _TEMPLATES.joinpath("privacy.css").read_text(encoding="utf-8")


def _allowed(*styles: str) -> str:
    """The styles by their hashes, so that whatever else might get into a page stays without effect.

    https://www.w3.org/TR/CSP3/
    """
    return " ".join(f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" for style in styles)


# What a page is sent with besides what every answer is.
PAGE_HEADERS: Final = (
    (b"content-type", b"text/html; charset=utf-8"),
    (
        b"content-security-policy",
        f"default-src 'none'; style-src {_allowed(LOOK, PRIVACY)}; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'".encode(),
    ),
    (b"x-content-type-options", b"nosniff"),
)


def framed(title: str, body: str, *more_style: str) -> bytes:
    """A whole page. `body` is HTML in which everything from outside has been escaped."""
    styles = "\n".join(f"<style>{style}</style>" for style in (LOOK, *more_style))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<title>{escape(title)}</title>
{styles}
</head>
<body>
<main>
{body}
</main>
</body>
</html>
""".encode()
