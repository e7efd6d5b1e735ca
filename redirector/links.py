"""What was minted: links and campaigns, valid once built, and the names that they may have."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from redirector.destinations import Destination
from redirector.errors import InvalidInput

MAX_TOPICS: Final = 10


class Tracking(StrEnum):
    """Whether a campaign has one tracked URL a link for everybody, or one for each recipient."""

    AGGREGATE = "aggregate"
    INDIVIDUAL = "individual"


@dataclass(frozen=True, slots=True)
class Campaign:
    """One mailing. Times are Unix ms; `consent` refers to where the readers' consent is recorded.

    `base_url` is where its tracked URLs point; empty: the main address.
    `sent` is how many mails were sent, `sent_at` when the first of them was.
    """

    name: str
    tracking: Tracking = Tracking.AGGREGATE
    consent: str = ""
    sent: int | None = None
    sent_at: int | None = None
    fallback_url: Destination | None = None
    expires_at: int | None = None
    created_at: int = 0
    base_url: str = ""

    def __post_init__(self) -> None:
        if self.tracking is Tracking.INDIVIDUAL and not self.consent.strip():
            raise InvalidInput(
                "individual tracking needs the readers' consent",
                field="/consent",
                remedy="say where it is recorded, or use aggregate tracking",
            )
        _printable(self.consent, "/consent", "a consent reference", 200)


@dataclass(frozen=True, slots=True)
class Link:
    """A destination within a campaign. Times are Unix ms. A `honeypot` is a link that no reader can see."""

    number: int
    destination: Destination
    campaign: str
    topics: tuple[str, ...]
    label: str = ""
    expires_at: int | None = None
    disabled: bool = False
    honeypot: bool = False
    created_at: int = field(kw_only=True)


def campaign_name(text: str, field: str) -> str:
    """The name, if it can stand in a URL's path and in a report; raises InvalidInput."""
    _printable(text, field, "a campaign's name", 100)
    if not text or text in {".", ".."} or text != text.strip() or "/" in text:
        raise InvalidInput(
            "a campaign's name is not empty, not . or .., has no slash and no space around it",
            field=field,
            part=text,
            remedy="choose a name like spring-2026",
        )
    return text


def topic_name(text: str, field: str) -> str:
    """The topic, if it can be a metric's label; raises InvalidInput."""
    if not _TOPIC.fullmatch(text):
        lowered = text.lower()
        raise InvalidInput(
            "a topic is 1 to 50 of a-z, 0-9, _ and -, the first a letter or digit",
            field=field,
            part=text,
            remedy=f"write {lowered}" if _TOPIC.fullmatch(lowered) else "choose a name like solar-panels",
        )
    return text


def topic_names(texts: Iterable[str], field: str) -> tuple[str, ...]:
    """The topics in their order, each once, at most 10; raises InvalidInput."""
    names = tuple(dict.fromkeys(topic_name(text, field) for text in texts))
    if len(names) > MAX_TOPICS:
        raise InvalidInput(
            f"a link has at most {MAX_TOPICS} topics",
            field=field,
            part=names[MAX_TOPICS],
            remedy="keep those that say what the reader is interested in",
        )
    return names


def label_text(text: str, field: str) -> str:
    """The label, if it can be shown in a report; raises InvalidInput."""
    return _printable(text, field, "a label", 100)


_TOPIC = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")


def _printable(text: str, field: str, what: str, most: int) -> str:
    if len(text) > most:
        raise InvalidInput(f"{what} has at most {most} characters", field=field, part=text[most:], remedy="shorten it")
    for character in text:
        if not character.isprintable():
            raise InvalidInput(
                f"{what} has printable characters only", field=field, part=character, remedy="leave it out"
            )
    return text
