"""A click: one request of a tracked URL, as it stands on the stream.

The stream is a contract: any Redis client may read it. It never holds an address, a full user agent or an e-mail
address, because a Click has no place for one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgpack

from redirector.errors import InvalidInput
from redirector.links import campaign_name, topic_names

# Longer than anything that a recorder writes; what others write must not grow without a bound.
MAX_FIELD_CHARACTERS: Final = 1_000


class ClickClass(StrEnum):
    """Who made a click, as far as the rules can tell."""

    HUMAN = "human"
    SUSPECT = "suspect"
    SCANNER = "scanner"
    BOT = "bot"
    PREFETCH = "prefetch"
    PROBE = "probe"


@dataclass(slots=True)  # not frozen: setting the fields would take 3 us longer, and one is made for each request
class Click:
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

MAX_AT_DIGITS: Final = 14  # until the year 5138: a moment that a date can be made of
MAX_NUMBER_DIGITS: Final = 16  # those of the largest link number, 2**53-1

_CLASSES: Final = {class_.value: class_ for class_ in ClickClass}

_packer: Final = msgpack.Packer()  # `packb` makes a new one each time, which takes longer than the packing

assert {f.name.rstrip("_") for f in fields(Click)} == {*REQUIRED, *OPTIONAL}  # noqa: S101 - the contract's fields


def packed(click: Click) -> bytes:
    """The click as the append script takes it: a msgpack array of names and values, unknown values left out."""
    flat: list[str] = [
        "id", click.id, "at", str(click.at), "link", str(click.link), "campaign", click.campaign,
        "topics", ",".join(click.topics), "class", click.class_, "rule", click.rule, "rules", str(click.rules),
    ]  # fmt: skip
    for name in OPTIONAL:
        value = getattr(click, name)
        if value:
            flat += (name, value)
    answer: bytes = _packer.pack(flat)
    return answer


def from_fields(entry: Mapping[str, str]) -> Click:
    """The click that a stream entry holds; unknown fields are passed over, so that a newer writer can be read.

    Raises InvalidInput, whose `field` names the first field that is missing or is not what it must be.
    """
    for name in REQUIRED:
        if name not in entry:
            raise InvalidInput("the entry has no such field", field=name)
    if max(map(len, entry.values())) > MAX_FIELD_CHARACTERS:
        _refuse_too_long(entry)
    class_ = _CLASSES.get(entry["class"])
    if class_ is None:
        raise InvalidInput("there is no such class", field="class", part=entry["class"])
    return Click(
        id=entry["id"],
        at=_number(entry, "at", MAX_AT_DIGITS),
        link=_number(entry, "link", MAX_NUMBER_DIGITS),
        campaign=_campaign(entry["campaign"]),
        topics=_topics(entry["topics"]),
        class_=class_,
        rule=entry["rule"],
        rules=_number(entry, "rules", MAX_NUMBER_DIGITS),
        recipient=entry.get("recipient", ""),
        visitor=entry.get("visitor", ""),
        client=entry.get("client", ""),
        os=entry.get("os", ""),
        device=entry.get("device", ""),
        lang=entry.get("lang", ""),
        country=entry.get("country", ""),
        isp=entry.get("isp", ""),
        referrer=entry.get("referrer", ""),
    )


def _refuse_too_long(entry: Mapping[str, str]) -> None:
    for name in (*REQUIRED, *OPTIONAL):
        if len(entry.get(name, "")) > MAX_FIELD_CHARACTERS:
            raise InvalidInput("the field is too long", field=name)


def _number(entry: Mapping[str, str], name: str, most_digits: int) -> int:
    value = entry[name]
    if not (value.isascii() and value.isdigit() and len(value) <= most_digits):
        raise InvalidInput("not a whole number, or too large a one", field=name, part=value)
    return int(value)


# Names repeat from click to click, and judging one costs as much as all the rest of its entry: each is judged once.
@lru_cache(maxsize=4_096)
def _topics(text: str) -> tuple[str, ...]:
    return topic_names(text.split(","), "topics") if text else ()


@lru_cache(maxsize=4_096)
def _campaign(text: str) -> str:
    return campaign_name(text, "campaign")
