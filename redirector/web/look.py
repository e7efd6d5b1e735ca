"""How every page for readers looks, and what it may do: one style sheet, no script, nothing fetched from anywhere."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Final

_STYLE: Final = files("redirector.web").joinpath("templates/look.css").read_text(encoding="utf-8")

# The style is allowed by its hash, so that whatever else might get into a page stays without effect:
# https://www.w3.org/TR/CSP3/
_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()

# What a page is sent with besides what every answer is.
PAGE_HEADERS: Final = (
    (b"content-type", b"text/html; charset=utf-8"),
    (
        b"content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'".encode(),
    ),
    (b"x-content-type-options", b"nosniff"),
)


def framed(title: str, body: str) -> bytes:
    """A whole page. `body` is HTML in which everything from outside has been escaped."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
""".encode()
