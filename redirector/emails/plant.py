"""One more anchor in a mail, at the end of its body, that no reader comes to; every other byte stays.

The place is before the `</body>` that a parser takes for one, or else the end of the mail. Whether the place is one is
found out by trying: an anchor that stands in a comment, a conditional, a script or a tag that was never closed is none
to the parser.
"""

import re
from collections.abc import Iterator
from typing import Final

import turbohtml

from redirector.emails.charset import charset_of
from redirector.emails.edits import Edit, quoted
from redirector.emails.hidden import hidden_anchor
from redirector.emails.text import read_mail

_END: Final = re.compile("</body(?=[\t\n\f />])", re.IGNORECASE)


def place_to_plant(mail: bytes, *, charset: str | None = None) -> int | None:
    """Where in the mail's bytes, or None if it has no such place; `charset` is what the transport said.

    Raises UnreadableMail.
    """
    text = read_mail(mail, charset)
    at = next((each for each in _candidates(text.markup) if _is_place(text.markup, each)), None)
    return None if at is None else text.byte_spans([(at, at)])[0][0]


def planting(mail: bytes, place: int, target: str, *, charset: str | None = None) -> Edit:
    """The edit that puts a hidden anchor to `target` at this place of this mail."""
    codec = charset_of(mail, charset)
    return Edit(place, place, b"", hidden_anchor(quoted(target)).encode(codec, "xmlcharrefreplace"))


def _candidates(markup: str) -> Iterator[int]:
    body = turbohtml.parse(markup, source_locations=True).select_one("body")
    location = body.source_location if body else None
    if location and location.end_tag and _END.match(markup, location.end_tag.start_offset):
        yield location.end_tag.start_offset
    elif location is None:  # a mail may end a body that it never began
        yield from [found.start() for found in _END.finditer(markup)][-1:]
    yield len(markup)


def _is_place(markup: str, at: int) -> bool:
    document = turbohtml.parse(markup[:at] + hidden_anchor("") + markup[at:], source_locations=True)
    document.remove("template")
    locations = (anchor.source_location for anchor in document.select("a[aria-hidden]"))
    return any(location and location.start_tag.start_offset == at for location in locations)
