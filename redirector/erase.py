"""Erases: takes the clicks of whoever asked for it out of the stream, and out of what was set aside of it.

A click leaves once it was counted, for sums and estimates tell nobody apart. Everything here may be done twice, or
begun anew after a kill, and by several workers at once.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from redis.asyncio import Redis

from redirector.clickers import DAY_MS, clicker_of, day_of, is_visitor
from redirector.errors import StoreError
from redirector.metrics import ENTRIES_ERASED, ERASURES_WAITING
from redirector.store.audit import Audit, Use
from redirector.store.clicks import Entry, place_of
from redirector.store.connection import text
from redirector.store.entries import BEGINNING, Reach, delete, reach, walk
from redirector.store.erasures import Erasures
from redirector.store.keys import Keys

WORKER: Final = "worker"

# By so much may the clocks of this machine, of the store and of those that answer readers differ.
SKEW_MS: Final = 60_000

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


class Eraser:
    """One worker's way through the stream. `group` is whose counting comes before; `clock` gives Unix seconds."""

    def __init__(self, redis: Redis, keys: Keys, *, group: str, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._keys = keys
        self._group = group
        self._clock = clock
        self._erasures = Erasures(redis, keys)
        self._audit = Audit(redis, keys)
        self._walked: dict[int, int] = {}  # what was looked for in all that lies before `_positions`
        self._positions: dict[str, str] = {}  # of each stream

    async def erase(self) -> None:
        """Erases what can be erased now; what cannot, another time."""
        try:
            await self._erase()
        except StoreError as error:
            log.debug("erasures are tried again: %s", error)

    async def _erase(self) -> None:
        await self._erasures.end(int(self._clock() * 1000))
        waiting, active = await self._erasures.waiting(), await self._erasures.active()
        ERASURES_WAITING.set(len(waiting))
        if not active:
            self._walked = {}
            return
        new = dict(active.items() - self._walked.items())
        if new:  # these were not looked for yet in what lies behind
            start = earliest(new)
            self._positions = {key: min(start, at, key=place_of) for key, at in self._positions.items()}
        reached = await reach(self._redis, self._keys.clicks(), self._group)
        erased = await self._walk(self._keys.clicks(), f"{reached.up_to[0]}-{reached.up_to[1]}", active)
        erased += await self._walk(self._keys.poison(), "+", active)
        self._walked = active
        done = await self._erasures.done(done_of(waiting, active, reached))
        ERASURES_WAITING.set(len(waiting) - done)
        if done or erased:
            await self._audit.begin(Use(WORKER, "erase", outcome=f"{done} done, {erased} clicks erased"))

    async def _walk(self, key: str, up_to: str, erasures: Mapping[int, int]) -> int:
        """Goes on through a stream, and answers how many entries it took out."""
        erased = 0
        async for page in walk(self._redis, key, after=self._positions.setdefault(key, BEGINNING), up_to=up_to):
            erased += await delete(self._redis, key, [entry.id for entry in page if is_erased(entry, erasures)])
            self._positions[key] = page[-1].id
        ENTRIES_ERASED.inc(erased)
        return erased
