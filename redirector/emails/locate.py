"""Where the links of markup are: the `href` values of `a`, `area` and VML elements, as spans of characters.

The library parses as browsers do and says where each attribute stands; the value within it is read here by the
grammar of the HTML standard, and a place where the text is not the attribute it should be is never given out.

What is a link is decided by what a mail client shows. In: links in `noscript`, in conditional comments, in SVG and
MathML, in a `select` (old clients show them). Out: whatever is text or raw text to a parser (ordinary comments,
`textarea`, `title`, `style`, `script`, `xmp`, `iframe`, `noframes`, `noembed`, `plaintext`), the contents of
`template`, tags cut off by the mail's end, and anything in a `frameset`, which no mail client shows.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import turbohtml
from turbohtml import Document, SourceSpan

from redirector.emails.conditional import conditional_spans, stamp_openings, without_openings
from redirector.emails.topics import TOPIC_ATTRIBUTES

_HREF: Final = re.compile("href", re.IGNORECASE)
_SPACE: Final = r"[\t\n\f\r ]*"
_ATTRIBUTE: Final = re.compile(
    rf"""([^\t\n\f\r />=]+){_SPACE}(?:={_SPACE}(?:"([^"]*)"|'([^']*)'|(?!["'])([^\t\n\f\r >]*)))?"""
)


class Place(NamedTuple):
    """A link's place: the span of the value of its `href`, and those of the attributes that name topics."""

    start: int
    end: int
    element: str
    attributes: dict[str, str]  # as parsed: good for names and ASCII values only
    topic_spans: dict[str, tuple[int, int]]


def locate(markup: str) -> list[Place]:
    """The links of markup in the order of the text."""
    stamped, openings = stamp_openings(markup)
    document = _parse(stamped)
    places = {place.start: place for place in _places(document, markup, 0)}
    for start, end in conditional_spans(document, markup, openings):
        inside = without_openings(markup[start:end])
        if _HREF.search(inside):
            places.update((place.start, place) for place in _places(_parse(inside), inside, start))
    return [places[start] for start in sorted(places)]


def value_span(markup: str, name: str, start: int, end: int) -> tuple[int, int] | None:
    """The value, without quotes, of the attribute that the parser placed there; None if that is not what is there.

    An attribute without a value has an empty one: after its `=` if there is one, else after its name.
    """
    match = _ATTRIBUTE.match(markup, start)
    if not match or match[1].lower() != name:
        return None
    group = match.lastindex or 1
    has_value = group in {2, 3} or (group == 4 and match[4])
    if end != (match.end() if has_value else match.end(1)):
        return None
    return (match.end(1), match.end(1)) if group == 1 else match.span(group)


def _parse(markup: str) -> Document:
    document = turbohtml.parse(markup, source_locations=True)
    document.remove("template")
    return document


def _places(document: Document, markup: str, shift: int) -> Iterator[Place]:
    for element in document.select("[href]"):
        tag = element.tag
        location = element.source_location if tag in {"a", "area"} or tag.startswith("v:") else None
        # The tree builder's copies of a misnested element have no location; the original has.
        if location and (href := _span(markup, "href", location.attrs["href"], shift)):
            attributes = {name: element.attr(name) or "" for name in element.attrs}
            topics: dict[str, tuple[int, int]] = {
                name: span
                for name in TOPIC_ATTRIBUTES
                if name in attributes and (span := _span(markup, name, location.attrs[name], shift))
            }
            yield Place(*href, tag, attributes, topics)


def _span(markup: str, name: str, place: SourceSpan, shift: int) -> tuple[int, int] | None:
    span = value_span(markup, name, place.start_offset, place.end_offset)
    return (span[0] + shift, span[1] + shift) if span else None
