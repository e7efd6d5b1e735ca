"""What clicks add to the counters, and the counting of a batch: exactly once, whatever dies when."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from redirector.clicks import Click, ClickClass, from_fields
from redirector.errors import InvalidInput
from redirector.store.clicks import ClickStream, Entry
from redirector.store.counters import Additions, Counters
from redirector.store.keys import Keys

HOUR_MS: Final = 3_600_000


def additions(clicks: Iterable[Click], keys: Keys, *, shard: int = 0) -> Additions:
    """What the clicks add: by class, topic, link and hour; and the humans among them to the unique clickers.

    Unique clickers of an aggregate campaign are told apart by a hash that changes every day, so a reader who comes
    back on another day is another one.
    """
    added = Additions()
    for click in clicks:
        class_ = click.class_.value
        added.add(keys.totals(shard), class_)
        added.add(keys.by_link(click.campaign, shard), f"{click.link}:{class_}")
        added.add(keys.by_hour(click.campaign, shard), f"{click.at // HOUR_MS}:{class_}")
        for topic in click.topics:
            added.add(keys.by_topic(shard), f"{topic}:{class_}")
        clicker = click.clicker()
        if clicker and click.class_ is ClickClass.HUMAN:
            added.see(keys.unique_of_link(click.link, shard), clicker)
            added.see(keys.unique_of_campaign(click.campaign, shard), clicker)
            for topic in click.topics:
                added.see(keys.unique_of_topic(topic, month_of(click.at), shard), clicker)
    return added


def month_of(moment: int) -> str:
    """The UTC month of a moment in Unix ms, as `2026-11`."""
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m")


def parsed(entries: Iterable[Entry]) -> tuple[list[Click], list[tuple[Entry, str]]]:
    """The clicks that entries hold, and the entries that hold none, each with the reason.

    An entry that was deleted from the stream under its reader is neither: there is nothing to count, or to keep.
    """
    clicks, poison = [], []
    for entry in entries:
        if not entry.fields:
            continue
        try:
            clicks.append(from_fields(entry.fields))
        except InvalidInput as error:
            poison.append((entry, str(error)))
    return clicks, poison


async def count(entries: Sequence[Entry], stream: ClickStream, counters: Counters, keys: Keys) -> int:
    """Counts and acknowledges entries that this consumer was given; returns how many still were this consumer's.

    Entries that cannot be read are set aside first, and acknowledged with the rest. Raises StoreError.
    """
    for entry, reason in parsed(entries)[1]:
        await stream.set_aside(entry, reason)
    remaining = list(entries)
    while remaining:
        added = additions(parsed(remaining)[0], keys)
        still_mine = await counters.count(stream, [entry.id for entry in remaining], added)
        if still_mine is None:
            return len(remaining)
        mine = set(still_mine)
        remaining = [entry for entry in remaining if entry.id in mine]
    return 0
