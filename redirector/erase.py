"""Erases: takes the clicks of whoever asked for it out of the stream, and out of what was set aside of it.

A click leaves once it was counted, for sums and estimates tell nobody apart. Everything here may be done twice, or
begun anew after a kill, and by several workers at once.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from redirector.clickers import DAY_MS, clicker_of, day_of, is_visitor
from redirector.errors import StoreError
from redirector.metrics import ENTRIES_ERASED, ERASURES_WAITING
from redirector.store.audit import WORKER, Audit, Use
from redirector.store.clicks import Entry, place_of
from redirector.store.connection import text
from redirector.store.entries import BEGINNING, Reach, delete, reach, walk
from redirector.store.erasures import Erasures
from redirector.store.keys import Keys

# By so much may the clocks of this machine, of the store and of those that answer readers differ.
SKEW_MS: Final = 60_000

PAGES_AT_ONCE: Final = 20  # a tenth of a second, after which a worker that is asked to stop does

_AT_DIGITS: Final = 14

log = logging.getLogger(__name__)


def moment_of(entry: Entry) -> int:
    """When its click was made, in Unix ms; when it came into the stream, where it does not say."""
    at = entry.fields.get(b"at", b"")
    return int(at) if at.isdigit() and len(at) <= _AT_DIGITS else place_of(entry.id)[0]


def clicker_of_entry(entry: Entry) -> int | None:
    """Whose click it is; None when nobody can tell."""
    recipient, visitor = entry.fields.get(b"recipient"), entry.fields.get(b"visitor")
    return clicker_of(text(recipient), text(visitor), moment_of(entry)) if recipient or visitor else None


def is_erased(entry: Entry, erasures: Mapping[int, int]) -> bool:
    """Whether the entry is a click of somebody who asked for its erasure, from before they did."""
    clicker = clicker_of_entry(entry)
    return clicker is not None and moment_of(entry) <= erasures.get(clicker, -1)


def earliest(erasures: Mapping[int, int]) -> str:
    """The id behind which the first click that they are about may lie: a visitor's are all of one day."""
    if not all(map(is_visitor, erasures)):
        return BEGINNING
    return f"{max(0, min(map(day_of, erasures), default=0) * DAY_MS - SKEW_MS)}-0"


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
    erased: int = 0


class Eraser:
    """One worker's way through the stream. `group` is whose counting comes before; `clock` gives Unix seconds."""

    def __init__(self, redis: Redis, keys: Keys, *, group: str, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._keys = keys
        self._group = group
        self._clock = clock
        self._erasures = Erasures(redis, keys)
        self._audit = Audit(redis, keys)
        self._walked: Mapping[int, int] = {}  # what was looked for in all that lies before `_positions`
        self._positions: dict[str, str] = {}  # of each stream
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
        waiting, active = await self._erasures.waiting(), await self._erasures.active()
        ERASURES_WAITING.set(len(waiting))
        if not active:
            return None
        new = dict(active.items() - self._walked.items())
        if new:  # these were not looked for yet in what lies behind
            start = earliest(new)
            self._positions = {key: min(start, at, key=place_of) for key, at in self._positions.items()}
        return _Round(active, waiting, await reach(self._redis, self._keys.clicks(), self._group))

    async def _is_through(self, walking: _Round) -> bool:
        """Goes on with a round, and answers whether it is at its end."""
        up_to = f"{walking.reached.up_to[0]}-{walking.reached.up_to[1]}"
        for key, end in ((self._keys.clicks(), up_to), (self._keys.poison(), "+")):
            if not await self._is_walked(key, end, walking):
                return False
        done = done_of(walking.waiting, walking.active, walking.reached)
        ended = await self._erasures.done(done)
        ERASURES_WAITING.set(len(walking.waiting) - ended)
        # Not of visitors: whoever has a link for everybody could flood the audit.
        recipients = sum(not is_visitor(clicker) for clicker in done)
        if ended and recipients:
            await self._audit.begin(Use(WORKER, "erase", outcome=f"{recipients} done, {walking.erased} clicks erased"))
        self._walked, self._round = walking.active, None
        return True

    async def _is_walked(self, key: str, up_to: str, walking: _Round) -> bool:
        """Goes on through a stream, and answers whether it came to the end."""
        pages = 0
        async for page in walk(self._redis, key, after=self._positions.setdefault(key, BEGINNING), up_to=up_to):
            ids = [entry.id for entry in page if is_erased(entry, walking.active)]
            erased = await delete(self._redis, key, ids)
            walking.erased += erased
            ENTRIES_ERASED.inc(erased)
            self._positions[key] = page[-1].id
            pages += 1
            if pages == PAGES_AT_ONCE:
                return False
        return True
