"""Links and campaigns as the store keeps them: JSON, hostile until it is parsed."""

import json
import sys
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from redirector.destinations import Destination
from redirector.errors import InvalidInput, StoreError
from redirector.links import Campaign, Link, Tracking, topic_names

UNREADABLE: Final = (ValueError, TypeError, KeyError, RecursionError, InvalidInput)

# The years 1 to 9999 in Unix ms: what a date can be made of.
FIRST_MOMENT: Final = -62_135_596_800_000
LAST_MOMENT: Final = 253_402_300_799_999

MOST_SENT: Final = 2**53 - 1  # what every JSON reader keeps exact

_parse: Final = json.JSONDecoder().decode  # json.loads looks at its seven options every time


def link_record(link: Link) -> str:
    """A link as JSON; its number is the field that it lies in."""
    record: dict[str, object] = {
        "destination": link.destination.stored,
        "campaign": link.campaign,
        "topics": list(link.topics),
        "created_at": link.created_at,
    }
    if link.destination.sent != link.destination.stored:
        record["sent"] = link.destination.sent
    if link.label:
        record["label"] = link.label
    if link.expires_at is not None:
        record["expires_at"] = link.expires_at
    if link.disabled:
        record["disabled"] = True
    if link.honeypot:
        record["honeypot"] = True
    return _compact(record)


def link_from(number: int, record: bytes) -> Link:
    """The link of this number; raises StoreError when the record is not what `link_record` writes."""
    try:
        known = _object(record)
        expires_at = known.get("expires_at")
        return Link(
            number=number,
            destination=_destination(known["destination"], known.get("sent")),
            campaign=sys.intern(_text(known["campaign"])),
            topics=_topics(known["topics"]),
            label=_text(known.get("label", "")),
            expires_at=None if expires_at is None else _moment(expires_at),
            disabled=known.get("disabled") is True,
            honeypot=known.get("honeypot") is True,
            created_at=_moment(known["created_at"]),
        )
    except UNREADABLE as error:
        raise StoreError(f"the store's record of link {number} cannot be read: {error!r}") from None


def made_after(record: object, other: object) -> bool:
    """Whether a link's record says that it was made after that of another one; False where one cannot be read."""
    if not (isinstance(record, bytes) and isinstance(other, bytes)):
        return False
    try:
        return _moment(_object(record)["created_at"]) > _moment(_object(other)["created_at"])
    except UNREADABLE:
        return False


def campaign_record(campaign: Campaign) -> str:
    """A campaign as JSON."""
    record: dict[str, object] = {"tracking": campaign.tracking, "created_at": campaign.created_at}
    if campaign.consent:
        record["consent"] = campaign.consent
    if campaign.sent is not None:
        record["sent"] = campaign.sent
    if campaign.sent_at is not None:
        record["sent_at"] = campaign.sent_at
    if campaign.fallback_url is not None:
        record["fallback_url"] = campaign.fallback_url.stored
        record["fallback_sent"] = campaign.fallback_url.sent
    if campaign.expires_at is not None:
        record["expires_at"] = campaign.expires_at
    if campaign.base_url:
        record["base_url"] = campaign.base_url
    return _compact(record)


def campaign_from(name: str, record: bytes) -> Campaign:
    """The campaign of this name; raises StoreError when the record is not what `campaign_record` writes."""
    try:
        known = _object(record)
        fallback, sent = known.get("fallback_url"), known.get("sent")
        sent_at, expires_at = known.get("sent_at"), known.get("expires_at")
        return Campaign(
            name=name,
            tracking=Tracking(known["tracking"]),
            consent=_text(known.get("consent", "")),
            sent=None if sent is None else _whole(sent, 0, MOST_SENT),
            sent_at=None if sent_at is None else _moment(sent_at),
            fallback_url=None if fallback is None else _destination(fallback, known.get("fallback_sent")),
            expires_at=None if expires_at is None else _moment(expires_at),
            created_at=_moment(known["created_at"]),
            base_url=sys.intern(_text(known.get("base_url", ""))),
        )
    except UNREADABLE as error:
        raise StoreError(f"the store's record of campaign {name!r} cannot be read: {error!r}") from None


def identity(link: Link) -> str:
    """What makes two links one: the same destination, topics and label in the same campaign."""
    parts: list[object] = [link.campaign, link.destination.stored, sorted(link.topics), link.label]
    if link.honeypot:  # a link that can be seen is another one
        parts.append("honeypot")
    return blake2b(_compact(parts).encode(), digest_size=16).hexdigest()


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _destination(stored: Any, sent: Any) -> Destination:
    """A Location that went through the store is a header only if it still looks like one."""
    stored = _text(stored)
    sent = stored if sent is None else _text(sent)
    if not (sent.isascii() and sent.isprintable() and sent[:8].lower().startswith(("http://", "https://"))):
        raise ValueError("its destination cannot stand in a header")
    return Destination(stored=stored, sent=sent)


def _object(record: bytes) -> dict[str, Any]:
    known = _parse(record.decode())
    if not isinstance(known, dict):
        raise TypeError(f"object expected, {type(known).__name__} found")
    return known


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, {type(value).__name__} found")
    if not value.isascii():
        value.encode()  # JSON can spell lone surrogates, which no UTF-8 can carry
    return value


def _topics(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"list expected, {type(value).__name__} found")
    return _topic_names(tuple(value))


# Links have their campaigns' and topics' names in common: a hundred thousand in memory share them.
@lru_cache(maxsize=4_096)
def _topic_names(names: tuple[str, ...]) -> tuple[str, ...]:
    return topic_names(map(sys.intern, names), "topics")


def _whole(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"whole number from {least} to {most} expected")
    return value


def _moment(value: Any) -> int:
    return _whole(value, FIRST_MOMENT, LAST_MOMENT)
