"""The few small pages that a reader may see instead of a destination: prebuilt, and the same for everybody."""

from typing import Final

from redirector.web.look import framed


def page(title: str, text: str) -> bytes:
    """A page that says one thing. Both are the program's own words: nothing from a request ever stands in a page."""
    return framed(
        title,
        f"<h1>{title}</h1>\n<p>{text}</p>\n"
        '<footer><p><a href="/privacy">What this server records, and what it does not</a></p></footer>',
    )


UNKNOWN: Final = page(
    "This link leads nowhere",
    "It may have been cut off or changed on its way. Try it again from the mail it came in.",
)
GONE: Final = page("This link is no longer in use", "The page that it led to is not offered any more.")
UNAVAILABLE: Final = page("One moment, please", "The link cannot be looked up just now. Try it again in a few seconds.")
TOO_MANY: Final = page(
    "Too many links that lead nowhere", "Wait a minute before trying another one. Links from mails go on working."
)
NOT_ALLOWED: Final = page("This is a link", "It can be opened, and nothing else.")
FAILED: Final = page("That did not work", "It is our mistake, and we are told of it. Try it again later.")
NOT_FOUND: Final = page("There is nothing here", "The address is not one that this server knows.")
