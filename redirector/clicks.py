"""A click: one request of a tracked URL, as it stands on the stream.

The stream is a contract: any Redis client may read it. It never holds an address, a full user agent or an e-mail
address, because a Click has no place for one.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, partial
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

    def judged(self, class_: ClickClass, rule: str) -> "Click":
        """The same click with the class that this rule gives it."""
        return _click((*self[:_CLASS], class_, rule, *self[_CLASS + 2 :]))


# A click from all its values in their order: `_make` counts them in Python, and `_replace` looks for each by its name,
# which takes a fifth of a microsecond more, and one.
_click: Callable[[Iterable[Any]], Click] = partial(tuple.__new__, Click)
_CLASS: Final = Click._fields.index("class_")

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


def from_fields(flat: Sequence[bytes]) -> Click:
    """The click that a stream entry holds, given its fields' names and values in turn.

    Unknown fields are passed over, so that a newer writer can be read. Raises InvalidInput, whose `field` names a
    field that is missing or is not what it must be.
    """
    names = tuple(flat[::2])
    pickers = _pickers(names) if len(names) <= MAX_FIELDS_REMEMBERED else _pickers.__wrapped__(names)
    padded = [*flat, b""]
    number, at, recipient, visitor = pickers.own(padded)
    if len(number) + len(recipient) + len(visitor) > MAX_FIELD_BYTES:
        _refuse_too_long(_OWN, (number, at, recipient, visitor))
    own = number.decode("utf-8", "replace"), _number(at, "at", MAX_AT_DIGITS)
    clicker = recipient.decode("utf-8", "replace"), visitor.decode("utf-8", "replace")
    return _click(own + _of_link(pickers.of_link(padded)) + clicker + _of_reader(pickers.of_reader(padded)))


# A click's fields in the order of Click: `link` to `rules` and `client` to `referrer` repeat from click to click. They
# are decoded and judged once, which halves the time that an entry takes; apart from one another, as they repeat more.
_OWN: Final = ("id", "at", "recipient", "visitor")
_OF_LINK: Final = tuple(name for name in REQUIRED if name not in _OWN)
_OF_READER: Final = tuple(name for name in OPTIONAL if name not in _OWN)


class _Pickers(NamedTuple):
    """Each picks values out of an entry's names and values in turn, and a b"" behind them."""

    own: Callable[[Sequence[bytes]], tuple[bytes, ...]]
    of_link: Callable[[Sequence[bytes]], tuple[bytes, ...]]
    of_reader: Callable[[Sequence[bytes]], tuple[bytes, ...]]


# Entries of one writer have their fields in one order: looking up where they stand takes 0.2 us, asking for each 1.
@lru_cache(maxsize=1_024)
def _pickers(names: tuple[bytes, ...]) -> _Pickers:
    for name in names:  # they are remembered
        if len(name) > MAX_FIELD_BYTES:
            raise InvalidInput("the field's name is too long", field=_text(name[:40]))
    at = {name: 2 * place + 1 for place, name in enumerate(names)}
    for required in REQUIRED:
        if required.encode() not in at:
            raise InvalidInput("the entry has no such field", field=required)
    return _Pickers(*(itemgetter(*(at.get(n.encode(), -1) for n in part)) for part in (_OWN, _OF_LINK, _OF_READER)))


@lru_cache(maxsize=4_096)
def _of_link(values: tuple[bytes, ...]) -> tuple[Any, ...]:
    _refuse_too_long(_OF_LINK, values)
    link, campaign, topics, class_, rule, rules = values
    known_class = _CLASSES.get(class_)
    if known_class is None:
        raise InvalidInput("there is no such class", field="class", part=_text(class_))
    return (
        _number(link, "link", MAX_NUMBER_DIGITS),
        campaign_name(_text(campaign), "campaign"),
        topic_names(_text(topics).split(","), "topics") if topics else (),
        known_class,
        _text(rule),
        _number(rules, "rules", MAX_NUMBER_DIGITS),
    )


@lru_cache(maxsize=4_096)
def _of_reader(values: tuple[bytes, ...]) -> tuple[str, ...]:
    _refuse_too_long(_OF_READER, values)
    return tuple(sys.intern(_text(value)) for value in values)


def _refuse_too_long(names: Sequence[str], values: Sequence[bytes]) -> None:
    for name, value in zip(names, values, strict=True):
        if len(value) > MAX_FIELD_BYTES:
            raise InvalidInput("the field is too long", field=name)


def _number(value: bytes, name: str, most_digits: int) -> int:
    if not (value.isdigit() and len(value) <= most_digits):
        raise InvalidInput("not a whole number, or too large a one", field=name, part=_text(value))
    return int(value)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
