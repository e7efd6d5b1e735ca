"""A click: one request of a tracked URL, as it stands on the stream.

The stream is a contract: any Redis client may read it. It never holds an address, a full user agent or an e-mail
address, because a Click has no place for one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

import msgpack

from redirector.errors import InvalidInput
from redirector.links import campaign_name, topic_names

# Longer than anything that a recorder writes; what others write must not grow without a bound.
MAX_FIELD_BYTES: Final = 1_000

# What an entry tells of a reader is remembered unless it is longer than this; ours has some 300 at the most.
MAX_BYTES_REMEMBERED: Final = 2_000


class ClickClass(StrEnum):
    """Who made a click, as far as the rules can tell."""

    HUMAN = "human"
    SUSPECT = "suspect"
    SCANNER = "scanner"
    BOT = "bot"
    PREFETCH = "prefetch"
    PROBE = "probe"


# Classes that are certainly no reader's.
CERTAIN: Final = frozenset({ClickClass.SCANNER, ClickClass.BOT, ClickClass.PREFETCH, ClickClass.PROBE})


@dataclass(frozen=True, slots=True)
class Figures:
    """Three ways to count clicks: all, without those that are certainly no reader's, and without suspects as well."""

    all: int
    without_certain: int
    without_certain_and_suspect: int


def figures(clicks: Mapping[str, int]) -> Figures:
    """The figures of clicks by class."""
    likely = sum(count for class_, count in clicks.items() if class_ not in CERTAIN)
    return Figures(sum(clicks.values()), likely, likely - clicks.get(ClickClass.SUSPECT, 0))


class Click(NamedTuple):
    """One click. `at` is in Unix ms; `recipient` and `visitor` are hashes, never both; "" is not known or not kept."""

    id: str
    at: int
    link: int
    campaign: str
    topics: tuple[str, ...]
    class_: ClickClass
    rule: str
    rules: int
    recipient: str = ""
    visitor: str = ""
    client: str = ""
    os: str = ""
    device: str = ""
    lang: str = ""
    country: str = ""
    isp: str = ""
    referrer: str = ""

    def clicker(self) -> str:
        """Whom to count as one person: a recipient, or else a visitor of the day; "" when neither is known."""
        return self.recipient or self.visitor

    def judged(self, class_: ClickClass, rule: str) -> "Click":
        """The same click with the class that this rule gives it."""
        return _click((*self[:_CLASS], class_, rule, *self[_CLASS + 2 :]))


# A click from all its values in their order: `_make` counts them in Python, and `_replace` looks for each by its name,
# which takes a fifth of a microsecond more, and one.
_click: Callable[[Iterable[Any]], Click] = partial(tuple.__new__, Click)
_CLASS: Final = Click._fields.index("class_")

OPTIONAL: Final = ("recipient", "visitor", "client", "os", "device", "lang", "country", "isp", "referrer")
REQUIRED: Final = ("id", "at", "link", "campaign", "topics", "class", "rule", "rules")

MAX_AT_DIGITS: Final = 14  # until the year 5138: a moment that a date can be made of
MAX_NUMBER_DIGITS: Final = 16  # those of the largest link number, 2**53-1

_CLASSES: Final = {class_.value.encode(): class_ for class_ in ClickClass}

_packer: Final = msgpack.Packer()  # `packb` makes a new one each time, which takes longer than the packing
_ARRAY_HEADER_BYTES: Final = 3  # of an array of 16 parts or more

assert {name.rstrip("_") for name in Click._fields} == {*REQUIRED, *OPTIONAL}  # noqa: S101 - the contract's fields


def packed(click: Click) -> bytes:
    """The click as the append script takes it: a msgpack array of names and values, unknown values left out."""
    flat: list[str] = [
        "id", click.id, "at", str(click.at), "link", str(click.link), "campaign", click.campaign,
        "topics", ",".join(click.topics), "class", click.class_, "rule", click.rule, "rules", str(click.rules),
    ]  # fmt: skip
    if click.recipient:
        flat += ("recipient", click.recipient)
    if click.visitor:
        flat += ("visitor", click.visitor)
    parts, reader = _packed_reader(click[-len(_OF_READER) :])
    pack = _packer.pack
    return b"".join((_packer.pack_array_header(len(flat) + parts), pack(flat)[_ARRAY_HEADER_BYTES:], reader))


# What browsers send repeats: to pack it anew for each click takes a microsecond more, of 2.5.
@lru_cache(maxsize=4_096)
def _packed_reader(values: tuple[str, ...]) -> tuple[int, bytes]:
    """How many names and values there are, and these as they stand in the array."""
    flat = [part for name, value in zip(_OF_READER, values, strict=True) if value for part in (name, value)]
    return len(flat), b"".join(map(_packer.pack, flat))


def from_fields(flat: Sequence[bytes]) -> Click:
    """The click that a stream entry holds, given its fields' names and values in turn (an even number of them).

    Unknown fields are passed over, so that a newer writer can be read. Raises InvalidInput, whose `field` names a
    field that is missing or is not what it must be.
    """
    try:
        return _as_packed(flat)
    except (InvalidInput, UnicodeDecodeError):
        return _in_any_order(flat)


# The fields in the order of Click; `link` to `rules` and `client` to `referrer` repeat from click to click.
_OF_LINK: Final = REQUIRED[2:]
_CLICKER: Final = OPTIONAL[:2]
_OF_READER: Final = OPTIONAL[2:]

_OF_LINK_NAMES: Final = [name.encode() for name in _OF_LINK]
_NEVER_OF_READER: Final = frozenset(name.encode() for name in (*REQUIRED, *_CLICKER))


def _as_packed(flat: Sequence[bytes]) -> Click:
    """A click whose fields stand as `packed` puts them. Raises InvalidInput, or UnicodeDecodeError, where they may not.

    What repeats is looked up by its names and values in one piece: the whole then takes two thirds of the instructions
    that it took when names and values were looked up apart.
    """
    if len(flat) < 16 or len(flat) % 2 or flat[0] != b"id" or flat[2] != b"at":
        raise InvalidInput("the fields stand in another order", field=REQUIRED[0])
    kind = flat[16] if len(flat) > 16 else b""
    whose, behind = (flat[17], 18) if kind in {b"visitor", b"recipient"} else (b"", 16)
    if len(flat[1]) + len(whose) > MAX_FIELD_BYTES:
        raise InvalidInput("fields are long", field=REQUIRED[0])
    own = flat[1].decode(), _moment(flat[3])
    clicker = (whose.decode(), "") if kind == b"recipient" else ("", whose.decode())
    link, reader = _of_link(b"\0".join(flat[4:16])), _of_reader(b"\0".join(flat[behind:]), len(flat) - behind)
    return _click(own + link + clicker + reader)


# A name or value with a NUL in it comes out of these two as several, so that there are more than were joined.
@lru_cache(maxsize=4_096)
def _of_link(joined: bytes) -> tuple[Any, ...]:
    parts = joined.split(b"\0")
    if parts[::2] != _OF_LINK_NAMES:
        raise InvalidInput("the fields stand in another order", field=REQUIRED[0])
    return _link_values(parts[1::2])


@lru_cache(maxsize=4_096)
def _of_reader(joined: bytes, parts_joined: int) -> tuple[str, ...]:
    parts = joined.split(b"\0") if joined else []
    entry = dict(zip(parts[::2], parts[1::2], strict=False))
    if len(parts) != parts_joined or len(joined) > MAX_BYTES_REMEMBERED or not _NEVER_OF_READER.isdisjoint(entry):
        raise InvalidInput("the fields stand in another order", field=REQUIRED[0])
    return _reader_values([entry.get(name.encode(), b"") for name in _OF_READER])


def _in_any_order(flat: Sequence[bytes]) -> Click:
    entry = dict(zip(flat[::2], flat[1::2], strict=False))
    for name in REQUIRED:
        if name.encode() not in entry:
            raise InvalidInput("the entry has no such field", field=name)
    own = _text(entry[b"id"], "id"), _number(entry[b"at"], "at", MAX_AT_DIGITS)
    clicker = tuple(_text(entry.get(name.encode(), b""), name) for name in _CLICKER)
    link = _link_values([entry[name.encode()] for name in _OF_LINK])
    return _click(own + link + clicker + _reader_values([entry.get(name.encode(), b"") for name in _OF_READER]))


def _link_values(values: Sequence[bytes]) -> tuple[Any, ...]:
    link, campaign, topics, class_, rule, rules = values
    known_class = _CLASSES.get(class_)
    if known_class is None:
        raise InvalidInput("there is no such class", field="class", part=_shown(class_))
    return (
        _number(link, "link", MAX_NUMBER_DIGITS),
        campaign_name(_text(campaign, "campaign"), "campaign"),
        topic_names(_text(topics, "topics").split(","), "topics") if topics else (),
        known_class,
        _text(rule, "rule"),
        _number(rules, "rules", MAX_NUMBER_DIGITS),
    )


def _reader_values(values: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(_known_text(value, name) for name, value in zip(_OF_READER, values, strict=True))


def _number(value: bytes, name: str, most_digits: int) -> int:
    if not (value.isdigit() and len(value) <= most_digits):
        raise InvalidInput("not a whole number, or too large a one", field=name, part=_shown(value))
    return int(value)


def _text(value: bytes, name: str) -> str:
    if len(value) > MAX_FIELD_BYTES:
        raise InvalidInput("the field is too long", field=name)
    return value.decode("utf-8", "replace")


@lru_cache(maxsize=256)  # where clicks are many, many have one millisecond
def _moment(value: bytes) -> int:
    return _number(value, "at", MAX_AT_DIGITS)


# One text for all clicks that say the same; not `sys.intern`, which some versions of Python keep for ever.
_known_text: Final = lru_cache(maxsize=4_096)(_text)


def _shown(value: bytes) -> str:
    return value[:MAX_FIELD_BYTES].decode("utf-8", "replace")
