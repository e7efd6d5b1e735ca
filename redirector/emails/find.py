"""The links of a mail, with their topics and, if they are to be left alone, the reason."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redirector.emails.locate import Place, locate
from redirector.emails.skip import why_skipped
from redirector.emails.text import MailText, read_mail
from redirector.emails.topics import topics_of

_C0_AND_SPACE: Final = "".join(map(chr, range(0x21)))
_LINE_BREAKS_AND_TABS: Final = re.compile("[\t\n\r]")


@dataclass(frozen=True, slots=True)
class FoundLink:
    """A link of a mail: the value of one `href`.

    `href` is what a browser would follow, as Unicode: decoded from the mail's charset, character references resolved
    once, trimmed and without line breaks, as the URL Standard has it. A browser that shows a page in another charset
    than UTF-8 encodes the query in that charset; mail clients show mails as part of UTF-8 pages, so here the
    characters stay, and are UTF-8 whenever they are encoded.
    """

    start: int
    """Where the value starts in the mail's bytes, after the quote if there is one."""
    end: int
    """Where it ends, before the quote."""
    element: str
    """The element's name: `a`, `area`, `v:roundrect`."""
    href: str
    topics: tuple[str, ...]
    """As the author wrote them, in order, each once."""
    skip: str | None
    """None for a link that is to be tracked, else why not: a slug that never changes."""
    skip_detail: str
    """The reason as a sentence; empty when there is none."""


def find_links(
    mail: bytes, *, charset: str | None = None, tracked_prefixes: Sequence[str] = ()
) -> tuple[FoundLink, ...]:
    """The links of a mail in the order of its text; raises UnreadableMail and nothing else.

    `charset` is what the transport said, if anything; `tracked_prefixes` are how tracked URLs begin
    (`https://news.example.com/c/`).
    """
    text = read_mail(mail, charset)
    places = locate(text.markup)
    spans = text.byte_spans([(place.start, place.end) for place in places])
    return tuple(_link(text, place, span, tracked_prefixes) for place, span in zip(places, spans, strict=True))


def _link(text: MailText, place: Place, span: tuple[int, int], tracked_prefixes: Sequence[str]) -> FoundLink:
    value, sound = text.value(place.start, place.end)
    href = _LINE_BREAKS_AND_TABS.sub("", value.strip(_C0_AND_SPACE))
    skip, detail = why_skipped(href, place.attributes, sound=sound, tracked_prefixes=tracked_prefixes) or (None, "")
    return FoundLink(*span, place.element, href, _topics(text, place), skip, detail)


def _topics(text: MailText, place: Place) -> tuple[str, ...]:
    values = {name: text.value(*span)[0] for name, span in place.topic_spans.items()}
    return topics_of(values) if values else ()
