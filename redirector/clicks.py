"""A click: one request of a tracked URL, as it stands on the stream.

The stream is a contract: any Redis client may read it. It never holds an address, a full user agent or an e-mail
address, because a Click has no place for one.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple

import msgpack

from redirector.errors import InvalidInput
from redirector.links import campaign_name, topic_names

# Longer than anything that a recorder writes; what others write must not grow without a bound.
MAX_FIELD_BYTES: Final = 1_000

# The names of an entry with more fields than this are read anew each time.
MAX_FIELDS_REMEMBERED: Final = 40


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


OPTIONAL: Final = ("recipient", "visitor", "client", "os", "device", "lang", "country", "isp", "referrer")
REQUIRED: Final = ("id", "at", "link", "campaign", "topics", "class", "rule", "rules")

_optional: Final = attrgetter(*OPTIONAL)

MAX_AT_DIGITS: Final = 14  # until the year 5138: a moment that a date can be made of
MAX_NUMBER_DIGITS: Final = 16  # those of the largest link number, 2**53-1

_CLASSES: Final = {class_.value.encode(): class_ for class_ in ClickClass}

_packer: Final = msgpack.Packer()  # `packb` makes a new one each time, which takes longer than the packing

assert {name.rstrip("_") for name in Click._fields} == {*REQUIRED, *OPTIONAL}  # noqa: S101 - the contract's fields


def packed(click: Click) -> bytes:
    """The click as the append script takes it: a msgpack array of names and values, unknown values left out."""
    flat: list[str] = [
        "id", click.id, "at", str(click.at), "link", str(click.link), "campaign", click.campaign,
        "topics", ",".join(click.topics), "class", click.class_, "rule", click.rule, "rules", str(click.rules),
    ]  # fmt: skip
    for name, value in zip(OPTIONAL, _optional(click), strict=True):
        if value:
            flat += (name, value)
    answer: bytes = _packer.pack(flat)
    return answer


def from_fields(names: tuple[bytes, ...], values: tuple[bytes, ...]) -> Click:
    """The click that a stream entry holds; unknown fields are passed over, so that a newer writer can be read.

    Raises InvalidInput, whose `field` names the first field that is missing or is not what it must be.
    """
    pickers = _pickers(names) if len(names) <= MAX_FIELDS_REMEMBERED else _pickers.__wrapped__(names)
    if len(b"".join(values)) > MAX_FIELD_BYTES:  # else none of them is too long
        _refuse_too_long(dict(zip(names, values, strict=True)))
    values = (*values, b"")
    number, at, recipient, visitor = pickers.own(values)
    before, behind = _shared(pickers.shared(values))
    own = (recipient.decode("utf-8", "replace"), visitor.decode("utf-8", "replace"))
    return Click._make((number.decode("utf-8", "replace"), _number(at, "at", MAX_AT_DIGITS), *before, *own, *behind))


class _Pickers(NamedTuple):
    """Pick the values of `_OWN`, and those of `_SHARED`, out of an entry's values and a b"" behind them."""

    own: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]
    shared: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]


# Entries of one writer have their fields in one order: looking up where they stand takes 0.2 us, asking for each 1.
@lru_cache(maxsize=1_024)
def _pickers(names: tuple[bytes, ...]) -> _Pickers:
    at = {name: place for place, name in enumerate(names)}
    for name in REQUIRED:
        if name.encode() not in at:
            raise InvalidInput("the entry has no such field", field=name)
    own, shared = (itemgetter(*(at.get(name.encode(), -1) for name in wanted)) for wanted in (_OWN, _SHARED))
    return _Pickers(own, shared)


# All but these repeats from click to click: it is decoded and judged once, which halves the time that an entry takes.
_OWN: Final = ("id", "at", "recipient", "visitor")
_SHARED: Final = tuple(name for name in (*REQUIRED, *OPTIONAL) if name not in _OWN)


@lru_cache(maxsize=4_096)
def _shared(values: tuple[bytes, ...]) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """The values of `_SHARED` as a Click has them: those before its own, and those behind."""
    link, campaign, topics, class_, rule, rules, *optional = values
    known_class = _CLASSES.get(class_)
    if known_class is None:
        raise InvalidInput("there is no such class", field="class", part=_text(class_))
    before = (
        _number(link, "link", MAX_NUMBER_DIGITS),
        campaign_name(_text(campaign), "campaign"),
        topic_names(_text(topics).split(","), "topics") if topics else (),
        known_class,
        _text(rule),
        _number(rules, "rules", MAX_NUMBER_DIGITS),
    )
    return before, tuple(sys.intern(_text(value)) for value in optional)


def _refuse_too_long(entry: Mapping[bytes, bytes]) -> None:
    for name in (*REQUIRED, *OPTIONAL):
        if len(entry.get(name.encode(), b"")) > MAX_FIELD_BYTES:
            raise InvalidInput("the field is too long", field=name)


def _number(value: bytes, name: str, most_digits: int) -> int:
    if not (value.isdigit() and len(value) <= most_digits):
        raise InvalidInput("not a whole number, or too large a one", field=name, part=_text(value))
    return int(value)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
