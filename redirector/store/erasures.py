"""Erasures: whose clicks leave the stream, and up to which moment.

One is waiting until all that the stream had of the clicker has left it. It stays active for longer than a click can
wait on a disk, so that one from before the moment leaves the stream as soon as it came there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from redirector.clickers import clicker_from, is_visitor
from redirector.store.clicks import REMEMBER_BATCHES_SECONDS
from redirector.store.connection import script, store_errors, text
from redirector.store.keys import Keys

# No batch comes from a spool after the store has forgotten its number; and a day for clocks that differ.
ACTIVE_MS: Final = (REMEMBER_BATCHES_SECONDS + 24 * 3600) * 1000

PAGE: Final = 1_000

# So many erasures, and no visitor's is added: workers read all of them with every round. Whoever has a link for
# everybody is as many visitors as they have addresses; recipients are as many as were written to, and always have room.
MOST: Final = 100_000


@dataclass(frozen=True, slots=True)
class Erasure:
    """The clicks of somebody up to this moment (Unix ms) are erased, or wait for it."""

    moment: int
    is_waiting: bool


class Erasures:
    """The erasures, each a clicker and a moment in Unix ms."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._done = script(redis, "erased")

    async def has_room_for(self, clicker: int) -> bool:
        """Whether one more may be erased, or was asked for already: always for recipients. Raises StoreError."""
        if not is_visitor(clicker):
            return True
        with store_errors():
            if int(await self._redis.zcard(self._keys.erasures)) < MOST:
                return True
            return await self._redis.zscore(self._keys.erasures, str(clicker)) is not None

    async def ask(self, clicker: int, moment: int) -> None:
        """From now on every click of the clicker up to the moment is erased; asking again moves the moment on.

        Returns when the store has it. Raises StoreError: then nobody knows whether it has.
        """
        with store_errors():
            async with self._redis.pipeline(transaction=True) as transaction:
                for key in (self._keys.erasures, self._keys.erasures_waiting):
                    transaction.zadd(key, {str(clicker): moment}, gt=True)
                await transaction.execute()

    async def of(self, clicker: int) -> Erasure | None:
        """The clicker's, as long as it is remembered. Raises StoreError."""
        with store_errors():
            async with self._redis.pipeline(transaction=True) as transaction:
                for key in (self._keys.erasures_waiting, self._keys.erasures):
                    transaction.zscore(key, str(clicker))
                waiting, active = await transaction.execute()
            moment = active if waiting is None else waiting
            return None if moment is None else Erasure(int(moment), is_waiting=waiting is not None)

    async def active(self) -> dict[int, int]:
        """Every erasure, be it done or not."""
        return await self._all(self._keys.erasures)

    async def waiting(self) -> dict[int, int]:
        """Those that are not done."""
        return await self._all(self._keys.erasures_waiting)

    async def done(self, erasures: Mapping[int, int]) -> int:
        """Notes that these are done, unless they were asked for again meanwhile; answers how many."""
        if not erasures:
            return 0
        arguments = [str(each) for erasure in erasures.items() for each in erasure]
        with store_errors():
            return int(await self._done(keys=[self._keys.erasures_waiting], args=arguments))

    async def end(self, now: int) -> None:
        """Ends those that have been active for long enough and are done."""
        with store_errors():
            oldest: Any = await self._redis.zrange(self._keys.erasures_waiting, 0, 0, withscores=True)
            before = min([now - ACTIVE_MS, *(int(moment) for _, moment in oldest)])
            await self._redis.zremrangebyscore(self._keys.erasures, "-inf", f"({before}")

    async def _all(self, key: str) -> dict[int, int]:
        with store_errors():
            found = [each async for each in self._redis.zscan_iter(key, count=PAGE)]
            known = [(clicker_from(text(member)), int(moment)) for member, moment in found]
        return {clicker: moment for clicker, moment in known if clicker is not None}
