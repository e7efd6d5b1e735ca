"""Erases: takes the clicks of whoever asked for it out of the stream, and out of what was set aside of it.

A click leaves once it was counted, for sums and estimates tell nobody apart. Everything here may be done twice, or
begun anew after a kill, and by several workers at once.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from redirector.clickers import DAY_MS, clicker_of, day_of, is_visitor
from redirector.errors import StoreError
from redirector.metrics import ENTRIES_ERASED, ERASURE_WAIT, ERASURES_WAITING
from redirector.store.audit import WORKER, Audit, Use
from redirector.store.clicks import Entry, place_of
from redirector.store.connection import text
from redirector.store.entries import Reach, delete, reach, walk
from redirector.store.erasures import Erasures
from redirector.store.keys import Keys

# By so much may the clocks of this machine, of the store and of those that answer readers differ.
SKEW_MS: Final = 60_000

# After a walk back, the next one has to wait for so many times as long as that took, so that a tenth of the time goes
# into them at most, however often readers ask; but for ten minutes at the most. So walks of more than 67 s get more
# than a tenth (6 million entries at 11 us, or a store that was away), and nobody waits for hours for the next one.
RESTS: Final = 9
LONGEST_REST_SECONDS: Final = 600

PAGES_AT_ONCE: Final = 20  # a tenth of a second, after which a worker that is asked to stop does

_AT_DIGITS: Final = 14

log = logging.getLogger(__name__)


def clicker_of_entry(entry: Entry) -> int | None:
    """Whose click it is; None when nobody can tell."""
    return _whose_and_when(entry)[0]


def is_erased(entry: Entry, erasures: Mapping[int, int]) -> bool:
    """Whether the entry is a click of somebody who asked for its erasure, from before they did."""
    clicker, moment = _whose_and_when(entry)
    return clicker is not None and moment <= erasures.get(clicker, -1)


def _whose_and_when(entry: Entry) -> tuple[int | None, int]:
    """Whose click it is, and when it was made (Unix ms); when it came into the stream, where it does not say."""
    fields = entry.fields
    at, recipient, visitor = (fields.get(name, b"") for name in (b"at", b"recipient", b"visitor"))
    moment = int(at) if at.isdigit() and len(at) <= _AT_DIGITS else place_of(entry.id)[0]
    return (clicker_of(text(recipient), text(visitor), moment) if recipient or visitor else None), moment


def earliest(clickers: Iterable[int], walked: Mapping[int, int]) -> str:
    """The id behind which the first click of theirs may lie that was not looked for yet.

    Up to the moment in `walked` it was; and a visitor's are all of one day.
    """
    since = (
        max(walked.get(clicker, 0), day_of(clicker) * DAY_MS if is_visitor(clicker) else 0) for clicker in clickers
    )
    return f"{max(0, min(since, default=0) - SKEW_MS)}-0"


def done_of(waiting: Mapping[int, int], walked: Mapping[int, int], reached: Reach) -> dict[int, int]:
    """Those that wait and for which the stream was walked through far enough."""
    return {
        clicker: moment
        for clicker, moment in waiting.items()
        if walked.get(clicker) == moment and (reached.is_all or reached.up_to[0] > moment + SKEW_MS)
    }


@dataclass(slots=True)
class _Round:
    """One walk through the stream, for the erasures that there were when it began."""

    active: Mapping[int, int]
    waiting: Mapping[int, int]
    reached: Reach
    walks_back_since: float | None
    erased: int = 0


class Eraser:
    """One worker's way through the stream. `group` is whose counting comes before; `clock` gives Unix seconds.

    `timer` gives the seconds by which walks are timed.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        *,
        group: str,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._group = group
        self._clock = clock
        self._timer = timer
        self._rests_until = timer()
        self._erasures = Erasures(redis, keys)
        self._audit = Audit(redis, keys)
        self._walked: Mapping[int, int] = {}  # what was looked for in all that lies before `_positions`
        self._positions: dict[str, str] = {}  # of each stream
        self._done: set[int] = set()  # whose erasure was done while it has been active
        self._round: _Round | None = None

    async def erase(self) -> bool:
        """Goes on for a while; returns whether there is more that can be done now."""
        try:
            self._round = self._round or await self._begun()
            return self._round is not None and not await self._is_through(self._round)
        except StoreError as error:
            log.debug("erasures are tried again: %s", error)
            return False

    async def _begun(self) -> _Round | None:
        await self._erasures.end(int(self._clock() * 1000))
        # In this order: whoever is active and does not wait is done.
        active, waiting = await self._erasures.active(), await self._erasures.waiting()
        self._tell(waiting)
        self._done &= active.keys()
        if not active:
            return None
        if not self._positions:  # another worker, or an earlier one, has looked for what is done up to its moment
            self._walked = {clicker: moment for clicker, moment in active.items() if clicker not in waiting}
            self._done = set(self._walked)
            start = earliest(active, self._walked)
            self._positions = dict.fromkeys((self._keys.clicks(), self._keys.poison()), start)
        new = {clicker for clicker, moment in active.items() if self._walked.get(clicker) != moment}
        if new and self._timer() < self._rests_until:
            active = {clicker: moment for clicker, moment in self._walked.items() if clicker in active}
            new = set()
        reached = await reach(self._redis, self._keys.clicks(), self._group)
        if new:  # these were not looked for yet in what lies behind
            start = earliest(new, self._walked)
            self._positions = {key: min(start, at, key=place_of) for key, at in self._positions.items()}
        return _Round(active, waiting, reached, self._timer() if new else None)

    async def _is_through(self, walking: _Round) -> bool:
        """Goes on with a round, and answers whether it is at its end."""
        up_to = f"{walking.reached.up_to[0]}-{walking.reached.up_to[1]}"
        for key, end in ((self._keys.clicks(), up_to), (self._keys.poison(), "+")):
            if not await self._is_walked(key, end, walking):
                return False
        done = done_of(walking.waiting, walking.active, walking.reached)
        ended = await self._erasures.done(done)
        self._tell({clicker: moment for clicker, moment in walking.waiting.items() if clicker not in done})
        # Not of visitors: whoever has a link for everybody could flood the audit.
        # And each recipient once: whoever has a code could do the same by asking again and again.
        recipients = sum(not is_visitor(clicker) and clicker not in self._done for clicker in done)
        if ended and recipients:
            await self._audit.begin(Use(WORKER, "erase", outcome=f"{recipients} done, {walking.erased} clicks erased"))
        self._done |= done.keys()
        if walking.walks_back_since is not None:
            now = self._timer()
            self._rests_until = now + min(RESTS * (now - walking.walks_back_since), LONGEST_REST_SECONDS)
        self._walked, self._round = walking.active, None
        return True

    def _tell(self, waiting: Mapping[int, int]) -> None:
        """Says in the metrics how many wait, and since when the first of them does."""
        ERASURES_WAITING.set(len(waiting))
        now = self._clock()
        ERASURE_WAIT.set(max(0.0, now - min(waiting.values()) / 1000) if waiting else 0)

    async def _is_walked(self, key: str, up_to: str, walking: _Round) -> bool:
        """Goes on through a stream, and answers whether it came to the end."""
        pages = 0
        async for page in walk(self._redis, key, after=self._positions[key], up_to=up_to):
            ids = [entry.id for entry in page if is_erased(entry, walking.active)]
            erased = await delete(self._redis, key, ids)
            walking.erased += erased
            ENTRIES_ERASED.inc(erased)
            self._positions[key] = page[-1].id
            pages += 1
            if pages == PAGES_AT_ONCE:
                return False
        return True
