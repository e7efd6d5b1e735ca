"""The day's salt of visitor hashes: the store has it for two days, and so has what the store writes to disk.

An append-only file keeps what has expired until it is rewritten. The owner of the embedded store has it rewritten as
soon as a salt has ended (`EndedSalts`). An external store's file, its snapshots, replicas and backups are its
operator's: there the salt is gone once a rewrite or a snapshot has followed its end, and the old files are deleted.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from redis.asyncio import Redis

from redirector.store.connection import as_bytes, store_errors
from redirector.store.keys import Keys
from redirector.store.rewriting import rewrite_append_only_file

KEPT_SECONDS: Final = 48 * 3600
DAY_MS: Final = 24 * 3600 * 1000
AHEAD_MS: Final = 60 * 1000

# A salt that should have ended may be there again, out of a backup of the store.
LOOK_BACK_DAYS: Final = 8
_WITHOUT_END: Final = -1  # what PTTL says of a key that does not expire


class DailySalt:
    """Today's salt (days are UTC), asked for ahead of its use so that no reader waits for it."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._known: dict[int, bytes] = {}

    def at(self, now: int) -> bytes:
        """The salt of the day of `now` (Unix ms); b"" while it is not known."""
        return self._known.get(now // DAY_MS, b"")

    async def refresh(self, now: int, entropy: Callable[[], bytes]) -> None:
        """Asks for today's salt, and for tomorrow's a minute before midnight; one that nobody has made yet is made.

        Older ones are forgotten, with or without the store. Raises StoreUnavailable.
        """
        days = {now // DAY_MS, (now + AHEAD_MS) // DAY_MS}
        self._known = {day: salt for day, salt in self._known.items() if day in days}
        for day in sorted(days - self._known.keys()):
            self._known[day] = await self._of(day, entropy())

    async def before(self, now: int) -> bytes:
        """Yesterday's salt, while the store has it; then b"". It is asked for each time. Raises StoreError."""
        with store_errors():
            known = await self._redis.get(self._keys.salt(_date(now // DAY_MS - 1)))
            return b"" if known is None else as_bytes(known)

    async def _of(self, day: int, entropy: bytes) -> bytes:
        key = self._keys.salt(_date(day))
        with store_errors():
            known: Any = await self._redis.set(key, entropy, nx=True, get=True, ex=KEPT_SECONDS)
            return entropy if known is None else as_bytes(known)


class EndedSalts:
    """Takes salts that have ended off the disk: has the store write its append-only file anew, without them."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._on_disk: set[int] | None = None  # days; None: who knows what the file has

    async def erase(self, now: int) -> bool:
        """Returns once no salt is on disk but those that live; True if the file had to be rewritten for it.

        Raises StoreError when the store cannot do it; ask again later.
        """
        living = await self._living(now)
        if self._on_disk is not None and self._on_disk <= living:
            self._on_disk = living
            return False
        await rewrite_append_only_file(self._redis)
        self._on_disk = living
        return True

    async def _living(self, now: int) -> set[int]:
        """The days whose salts are there. To ask for one that is over makes the store drop it, so none is rewritten."""
        days = range((now - LOOK_BACK_DAYS * DAY_MS) // DAY_MS, (now + AHEAD_MS) // DAY_MS + 1)
        with store_errors():
            return {day for day in days if await self._redis.exists(self._keys.salt(_date(day)))}


async def oldest_salt_seconds(redis: Redis, keys: Keys, now: int) -> float:
    """How long ago the oldest salt that is there was made; 0 without any. Raises StoreError.

    One that somebody has put there without an end is as old as its day.
    """
    oldest = 0.0
    for day in range((now - LOOK_BACK_DAYS * DAY_MS) // DAY_MS, (now + AHEAD_MS) // DAY_MS + 1):
        with store_errors():
            left = int(await redis.pttl(keys.salt(_date(day))))
        if left >= 0:
            oldest = max(oldest, KEPT_SECONDS - left / 1000)
        elif left == _WITHOUT_END:
            oldest = max(oldest, (now - day * DAY_MS) / 1000)
    return oldest


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_MS / 1000, UTC).date().isoformat()
