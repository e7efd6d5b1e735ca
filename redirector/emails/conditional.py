"""What only Outlook shows: the markup inside `<!--[if mso]> ... <![endif]-->`.

To a parser these are comments, and the library does not say where in the source a comment stands. So every place
that reads like an opening is stamped before parsing: the three characters `[if` give way to three that number it,
which changes nothing about how the markup is read. A stamp that comes back at the head of a comment is an opening;
one inside a textarea, a script or an ordinary comment does not come back.

A conditional comment without its `<![endif]`, or without its end, is still one: changing a link in it harms nobody.
"""

import re
from collections.abc import Iterator
from itertools import product
from string import ascii_letters, digits
from typing import Final

from turbohtml import Comment, Document, NodeFilter, NodeIterator

_OPENING: Final = re.compile(r"<!--(\[if)[^\]<>]{0,200}\]>", re.IGNORECASE)

# No mail writes control characters after `<!--`, and the parser gives none of these a meaning. Enough for 400,000.
_STAMP_HEADS: Final = "\x01\x02\x03\x04\x05\x06\x07\x08\x0b" + "".join(map(chr, range(0x0E, 0x20)))
_STAMP_TAILS: Final = ascii_letters + digits + "".join(map(chr, range(0xC0, 0x100)))


def stamp_openings(markup: str) -> tuple[str, dict[str, int]]:
    """The markup with each opening stamped, and for each stamp where its condition ends (the offset after `]>`)."""
    stamps = map("".join, product(_STAMP_HEADS, _STAMP_TAILS, _STAMP_TAILS))
    openings: dict[str, int] = {}
    pieces: list[str] = []
    done = 0
    for match, stamp in zip(_OPENING.finditer(markup), stamps, strict=False):
        openings[stamp] = match.end()
        pieces += markup[done : match.start(1)], stamp
        done = match.end(1)
    return "".join((*pieces, markup[done:])), openings


def conditional_spans(document: Document, markup: str, openings: dict[str, int]) -> Iterator[tuple[int, int]]:
    """The inside of each conditional comment of a document parsed from stamped markup."""
    if not openings:
        return
    for node in NodeIterator(document, NodeFilter.SHOW_COMMENT):
        data = node.data if isinstance(node, Comment) else ""
        if start := openings.get(data[:3]):
            yield start, markup.rindex("<!--", 0, start) + len("<!--") + len(data)


def without_openings(markup: str) -> str:
    """The inside of a conditional comment with further openings blanked out.

    A comment ends at the first `-->`, so that one inside another is never closed: what follows it belongs to both.
    """
    return _OPENING.sub(lambda match: " " * len(match[0]), markup)
