"""The day's salt of visitor hashes: it lives in the store, for two days, and nowhere else."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from redis.asyncio import Redis

from redirector.store.connection import as_bytes, store_errors
from redirector.store.keys import Keys

KEPT_SECONDS: Final = 48 * 3600
DAY_MS: Final = 24 * 3600 * 1000
AHEAD_MS: Final = 60 * 1000


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

        Older ones are forgotten. Raises StoreUnavailable.
        """
        days = {now // DAY_MS, (now + AHEAD_MS) // DAY_MS}
        self._known = {day: self._known.get(day) or await self._of(day, entropy()) for day in days}

    async def _of(self, day: int, entropy: bytes) -> bytes:
        key = self._keys.salt(datetime.fromtimestamp(day * DAY_MS / 1000, UTC).date().isoformat())
        with store_errors():
            known: Any = await self._redis.set(key, entropy, nx=True, get=True, ex=KEPT_SECONDS)
        return entropy if known is None else as_bytes(known)
