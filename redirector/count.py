"""What clicks add to the counters, and the counting of a batch: exactly once, whatever dies when."""

from collections import defaultdict
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
    alike: dict[tuple[str, int, tuple[str, ...], ClickClass, int], list[str]] = defaultdict(list)
    for click in clicks:
        alike[click.campaign, click.link, click.topics, click.class_, click.at // HOUR_MS].append(click.clicker())
    added = Additions()
    for (campaign, link, topics, class_, hour), clickers in alike.items():
        added.add(keys.totals(shard), class_, len(clickers))
        added.add(keys.by_link(campaign, shard), f"{link}:{class_}", len(clickers))
        added.add(keys.by_hour(campaign, shard), f"{hour}:{class_}", len(clickers))
        for topic in topics:
            added.add(keys.by_topic(shard), f"{topic}:{class_}", len(clickers))
        known = [clicker for clicker in clickers if clicker]
        if known and class_ is ClickClass.HUMAN:
            added.see(keys.unique_of_link(link, shard), *known)
            added.see(keys.unique_of_campaign(campaign, shard), *known)
            for topic in topics:
                added.see(keys.unique_of_topic(topic, month_of(hour * HOUR_MS), shard), *known)
    return added


def month_of(moment: int) -> str:
    """The UTC month of a moment in Unix ms, as `2026-11`."""
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m")


def parsed(entries: Iterable[Entry]) -> tuple[dict[str, Click], list[tuple[Entry, str]]]:
    """The clicks that entries hold, by the entries' ids, and the entries that hold none, each with the reason.

    An entry that was deleted from the stream under its reader is neither: there is nothing to count, or to keep.
    """
    clicks, poison = {}, []
    for entry in entries:
        if not entry.fields:
            continue
        try:
            clicks[entry.id] = from_fields(entry.fields)
        except InvalidInput as error:
            poison.append((entry, str(error)))
    return clicks, poison


async def count(entries: Sequence[Entry], stream: ClickStream, counters: Counters, keys: Keys) -> int:
    """Counts and acknowledges entries that this consumer was given; returns how many still were this consumer's.

    Entries that cannot be read are set aside first, and acknowledged with the rest. Raises StoreError.
    """
    clicks, poison = parsed(entries)
    for entry, reason in poison:
        await stream.set_aside(entry, reason)
    remaining = [entry.id for entry in entries]
    while remaining:
        added = additions((clicks[entry_id] for entry_id in remaining if entry_id in clicks), keys)
        still_mine = await counters.count(stream, remaining, added)
        if still_mine is None:
            return len(remaining)
        remaining = still_mine
    return 0
