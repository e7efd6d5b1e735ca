"""Other targets in the place of a mail's links: byte splices, which can be taken back."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from redirector.emails.charset import charset_of, is_seven_bit
from redirector.emails.find import FoundLink

# Both quotes, whichever the value stands in; `<` and `>` so that no comment, conditional or template tag ends or
# begins; control characters and white space, because a parser or the URL Standard would drop or change them.
_QUOTED: Final = re.compile("[&\"'<>\x01-\x1f\x7f]")
_UNQUOTED: Final = re.compile("[&\"'<>\x01-\x20\x7f=`]")
_NAMED: Final = {"&": "&amp;", '"': "&quot;", "<": "&lt;", ">": "&gt;"}


@dataclass(frozen=True, slots=True)
class Edit:
    """`new` in the place of `old`, which stands at `start` to `end` of the original mail."""

    start: int
    end: int
    old: bytes
    new: bytes


def edits_for(
    mail: bytes, targets: Mapping[FoundLink, str] | Iterable[tuple[FoundLink, str]], *, charset: str | None = None
) -> tuple[Edit, ...]:
    """The edits that give these links of this mail these targets, in the order of the mail.

    `charset` must be what `find_links` was told. A target is written in the mail's charset with its special
    characters, and whatever the charset lacks, as character references; the quotes around the value stay as they are.
    """
    codec = charset_of(mail, charset)
    pairs = sorted(dict(targets).items(), key=lambda pair: pair[0].start)
    return tuple(
        Edit(link.start, link.end, mail[link.start : link.end], _written(mail, link, target, codec))
        for link, target in pairs
    )


def apply(mail: bytes, edits: Iterable[Edit]) -> bytes:
    """The mail with the edits made; ValueError if they are not edits of this mail."""
    return _spliced(mail, ((edit.start, edit.old, edit.new) for edit in _ordered(edits)))


def undo(mail: bytes, edits: Iterable[Edit]) -> bytes:
    """The mail as it was before `apply` made these edits; ValueError if it did not."""
    swapped: list[tuple[int, bytes, bytes]] = []
    grown = 0
    for edit in _ordered(edits):
        swapped.append((edit.start + grown, edit.new, edit.old))
        grown += len(edit.new) - len(edit.old)
    return _spliced(mail, swapped)


def quoted(target: str) -> str:
    """The target as it can stand between quotes of either kind, with character references for what cannot."""
    return _QUOTED.sub(_reference, target)


def _ordered(edits: Iterable[Edit]) -> list[Edit]:
    return sorted(edits, key=lambda edit: edit.start)


def _spliced(mail: bytes, changes: Iterable[tuple[int, bytes, bytes]]) -> bytes:
    pieces: list[bytes] = []
    done = 0
    for start, old, new in changes:
        if start < done or not mail.startswith(old, start):
            raise ValueError(f"at byte {start} the mail is not what this edit was made for")
        pieces += mail[done:start], new
        done = start + len(old)
    return b"".join((*pieces, mail[done:]))


def _written(mail: bytes, link: FoundLink, target: str, codec: str) -> bytes:
    if _stands_after(mail, link, codec, "\"'"):
        return _encoded(quoted(target), codec)
    if target and link.start != link.end:
        return _encoded(_UNQUOTED.sub(_reference, target), codec)
    # Nothing stands there, or nothing will: only quotes can say so, after the name's `=` or one of our own.
    equals = "" if _stands_after(mail, link, codec, "=\t\n\f\r ") else "="
    return _encoded(f'{equals}"{quoted(target)}"', codec)


def _reference(special: re.Match[str]) -> str:
    return _NAMED.get(special[0]) or f"&#{ord(special[0])};"


def _stands_after(mail: bytes, link: FoundLink, codec: str, characters: str) -> bool:
    return mail.endswith(_each_encoded(characters, codec), 0, link.start)


@cache
def _each_encoded(characters: str, codec: str) -> tuple[bytes, ...]:
    return tuple(character.encode(codec) for character in characters)


def _encoded(written: str, codec: str) -> bytes:
    # In a shifting encoding only ASCII leaves the state as it was for what follows.
    plain = written.encode("ascii", "xmlcharrefreplace").decode() if is_seven_bit(codec) else written
    return plain.encode(codec, "xmlcharrefreplace")
