"""How long clicks stay in the stream: for the retention, and until every group that reads it has acknowledged them."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from redirector.errors import StoreError
from redirector.store.clicks import place_of
from redirector.store.connection import store_errors, text
from redirector.store.keys import Keys

# Entries that one call removes at the most, so that the store is never kept from others for long.
AT_ONCE: Final = 10_000

DAY_MS: Final = 24 * 3_600 * 1_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trimmed:
    """How many entries were removed, and which groups still need some that are older than the retention."""

    entries: int
    held_back_by: Sequence[str]


async def trim(redis: Redis, keys: Keys, *, group: str, before: int, shard: int = 0) -> Trimmed:
    """Removes clicks from before this moment (Unix ms) that no group needs any more, the oldest `AT_ONCE` of them.

    While `group`, which counts them, is not there, nobody knows what it needs: all stay. Raises StoreError.
    """
    key = keys.clicks(shard)
    with store_errors():
        if not await redis.exists(key):
            return Trimmed(0, ())
        needed = {text(info["name"]): await _first_needed(redis, key, info) for info in await redis.xinfo_groups(key)}
        if group not in needed:
            return Trimmed(0, ())
        first = min(*needed.values(), (before, 0))
        minid = f"{first[0]}-{first[1]}"
        removed = await redis.xtrim(key, minid=minid, approximate=True, limit=AT_ONCE)
        if not removed:  # no whole node of the stream is left to go, but part of one, which may be kept for long
            removed = await redis.xtrim(key, minid=minid, approximate=False)
    return Trimmed(int(removed), sorted(name for name, entry in needed.items() if entry < (before, 0)))


async def _first_needed(redis: Redis, key: str, group: dict[str, Any]) -> tuple[int, int]:
    """The oldest entry that this group has not acknowledged, or the newest that it was given, if that is older.

    It is older after somebody has set the group back, for it to read again what it had acknowledged.
    """
    given = place_of(group["last-delivered-id"])
    if not group["pending"]:
        return given
    pending = await redis.xpending(key, text(group["name"]))
    return min(given, place_of(pending["min"])) if pending["min"] else given


class Retention:
    """Keeps the stream to its retention, and says once of each group that it holds old clicks back."""

    def __init__(
        self, redis: Redis, keys: Keys, *, group: str, seconds: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._group = group
        self._seconds = seconds
        self._clock = clock
        self._said: set[str] = set()

    def _now(self) -> int:
        return int(self._clock() * 1000)

    async def trim(self) -> bool:
        """Removes some of the clicks that are too old; returns whether there may be more of them.

        What was set aside goes too, which may be a click; there is always a day to look at it.
        """
        before = self._now() - self._seconds * 1000
        try:
            trimmed = await trim(self._redis, self._keys, group=self._group, before=before)
            with store_errors():
                await self._redis.xtrim(self._keys.poison(), minid=min(before, self._now() - DAY_MS), approximate=False)
        except StoreError as error:
            log.debug("the stream is trimmed another time: %s", error)
            return False
        for group in set(trimmed.held_back_by) - self._said:
            log.warning("group %r of the click stream has not acknowledged clicks older than the retention", group)
            self._said.add(group)
        return trimmed.entries > 0
