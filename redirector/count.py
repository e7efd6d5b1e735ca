"""What clicks add to the counters, and the counting of a batch: exactly once, whatever dies when."""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from redirector.cells import UNKNOWN
from redirector.clicks import Click, ClickClass
from redirector.errors import StoreError
from redirector.hold import Batch
from redirector.judging import Judged
from redirector.metrics import CLICKS_UNCOUNTED
from redirector.store.clicks import ClickStream
from redirector.store.counters import Additions, Counters, Refusal
from redirector.store.keys import Keys

# The consumer group that feeds the counters; other programs read the stream with groups of their own.
COUNTING_GROUP: Final = "redirector"

HOUR_MS: Final = 3_600_000

# What a report breaks a campaign's human clicks down by; the names are the stream's. The first three say much of one
# another, and are counted as one: each alone would tell more of the others' small cells than may be seen.
AGENT: Final = ("device", "os", "client")
OF_READERS: Final = ("lang", "country")

# So many times is an entry given out that a counter refuses; the times are `count_claim_after_ms` apart.
TRIES: Final = 5

# Why entries are passed over. They are on the metrics from the start: Prometheus sees no increase from nothing.
UNCOUNTED_REASONS: Final = ("set_aside", "trimmed")

SAY_EVERY_SECONDS: Final = 60.0

log = logging.getLogger(__name__)


def additions(clicks: Iterable[Click], keys: Keys, *, shard: int = 0) -> Additions:
    """What the clicks add: by class, topic, link and hour; and the humans among them as readers, and as unique ones.

    Unique clickers of an aggregate campaign are told apart by a hash that changes every day, so a reader who comes
    back on another day is another one.
    """
    alike: dict[tuple[Any, int], list[Click]] = defaultdict(list)
    humans: dict[str, list[Click]] = defaultdict(list)
    for click in clicks:
        alike[click[_LINK_TO_CLASS], click.at // HOUR_MS].append(click)
    added = Additions()
    totals, by_topic = keys.totals(shard), keys.by_topic(shard)
    for ((link, campaign, topics, class_), hour), its_clicks in alike.items():
        added.add(totals, class_, len(its_clicks))
        added.add(keys.by_link(campaign, shard), f"{link}:{class_}", len(its_clicks))
        added.add(keys.by_hour(campaign, shard), f"{hour}:{class_}", len(its_clicks))
        for topic in topics:
            added.add(by_topic, f"{topic}:{class_}", len(its_clicks))
        if class_ is not ClickClass.HUMAN:
            continue
        humans[campaign] += its_clicks
        if known := [clicker for click in its_clicks if (clicker := click.clicker())]:
            added.see(keys.unique_of_link(link, shard), *known)
            added.see(keys.unique_of_campaign(campaign, shard), *known)
            for topic in topics:
                added.see(keys.unique_of_topic(topic, month_of(hour * HOUR_MS), shard), *known)
    for campaign, its_humans in humans.items():
        for name, count in _by_reader(its_humans):
            added.add(keys.by_reader(campaign, shard), name, count)
    return added


# A click's link, campaign, topics and class: the fields stand so beside one another.
_LINK_TO_CLASS: Final = slice(Click._fields.index("link"), Click._fields.index("class_") + 1)


def _by_reader(humans: Sequence[Click]) -> Iterator[tuple[str, int]]:
    """So many of these clicks have this; one that is not known is a value like others."""
    for parts, count in Counter(map(attrgetter(*AGENT), humans)).items():
        yield f"agent:{_path(parts)}", count
    for name in OF_READERS:
        for value, count in Counter(map(attrgetter(name), humans)).items():
            yield f"{name}:{value or UNKNOWN}", count


def agent_of(path: str) -> tuple[str, ...] | None:
    """The device, the system and the program that a counter is of; None when that is something else."""
    parts = tuple(path.split("/"))
    return parts if len(parts) == len(AGENT) and all(parts) else None


def _path(parts: Iterable[str]) -> str:
    """As `agent_of` reads it; no name that the program itself gives has a slash, but another writer's may."""
    return "/".join(part.replace("/", "_") or UNKNOWN for part in parts)


@lru_cache(maxsize=256)  # a batch asks for each of its few hours again and again
def month_of(moment: int) -> str:
    """The UTC month of a moment in Unix ms, as `2026-11`."""
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m")


class Tally:
    """Counts what one consumer of the stream is given."""

    def __init__(
        self, stream: ClickStream, counters: Counters, keys: Keys, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._counters = counters
        self._keys = keys
        self._passed_over = _PassedOver(clock)

    async def count(self, judged: Judged) -> int:
        """Counts and acknowledges entries; returns how many still were this consumer's, and are done with.

        Entries that cannot be read are set aside. Where a counter refuses, the entries that it refuses stay pending,
        and are set aside when they were given out often enough; the others are counted. Raises StoreError, also when
        no click at all can be counted.
        """
        return await self._count(judged.ids, judged.batch)

    async def _count(self, ids: Sequence[str], batch: Batch) -> int:
        remaining, held = ids, batch
        while remaining:
            added = additions(held.clicks.values(), self._keys)
            still_mine = await self._counters.count(self._stream, remaining, added, held.poison)
            if isinstance(still_mine, Refusal):
                return await self._count_apart(ids, batch, still_mine)
            if still_mine is None:
                self._passed_over.add("set_aside", len(held.poison), next(iter(held.poison.values()), ""))
                break
            remaining, held = still_mine, batch.only(still_mine)
        self._passed_over.add("trimmed", len(batch.deleted), "they left the stream before")
        return len(remaining)

    async def _count_apart(self, ids: Sequence[str], batch: Batch, refusal: Refusal) -> int:
        """Counts each half for itself, until what is refused is alone."""
        if refusal.key == self._keys.totals():  # every click adds to it: this is no entry's fault
            raise StoreError(str(refusal), remedy="remove or restore that key")
        if len(ids) == 1:
            return await self._try_again_or_set_aside(ids[0], refusal)
        middle = len(ids) // 2
        return sum([await self._count(half, batch.only(half)) for half in (ids[:middle], ids[middle:])])

    async def _try_again_or_set_aside(self, entry_id: str, refusal: Refusal) -> int:
        if await self._stream.times_given(entry_id) < TRIES:
            return 0
        if await self._counters.count(self._stream, [entry_id], Additions(), {entry_id: str(refusal)}) is not None:
            return 0
        self._passed_over.add("set_aside", 1, refusal)
        return 1


class _PassedOver:
    """Counts the entries that will not be counted, and says so once a minute, not once an entry."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._unsaid: Counter[str] = Counter()
        self._say_at: defaultdict[str, float] = defaultdict(float)
        for reason in UNCOUNTED_REASONS:
            CLICKS_UNCOUNTED.labels(reason)

    def add(self, reason: str, clicks: int, why: object) -> None:
        if not clicks:
            return
        CLICKS_UNCOUNTED.labels(reason).inc(clicks)
        self._unsaid[reason] += clicks
        if self._clock() >= self._say_at[reason]:
            log.error("%d clicks are not counted (%s): %s", self._unsaid.pop(reason), reason, why)
            self._say_at[reason] = self._clock() + SAY_EVERY_SECONDS
