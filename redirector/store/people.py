"""Who opted out, in the store: each with the moment, and announced to every redirect process.

Recipients and visitors lie apart, because they are kept for different times.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Final

from redis.asyncio import Redis

from redirector.clickers import DAY_MS, clicker_from, day_of, is_visitor
from redirector.errors import StoreError
from redirector.metrics import OPTED_OUT
from redirector.store.changes import KEPT_CHANGES
from redirector.store.connection import script, store_errors, text
from redirector.store.keys import Keys

KIND: Final = "opted_out"  # of a change, which is named by the clicker

PAGE: Final = 1_000

# 80 MB of the store (measured with Valkey 9.1), and 8 MB in each redirect process. Whoever has a link for everybody is
# as many visitors as they have addresses; recipients are as many as were written to, and always have room.
MOST_VISITORS: Final = 1_000_000

log = logging.getLogger(__name__)


class People:
    """The clickers who opted out."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._opt_out = script(redis, "opt_out")
        self._opt_in = script(redis, "opt_in")
        self._give_back = script(redis, "give_back")

    async def has_room_for(self, clicker: int) -> bool:
        """Whether one more may opt out, or has done so: always for recipients. Raises StoreError."""
        if not is_visitor(clicker) or (await self.count())[1] < MOST_VISITORS:
            return True
        return bool(await self.among([clicker]))

    async def opt_out(self, clicker: int, now: int) -> None:
        """From now (Unix ms) on nothing is recorded of the clicker; asking again counts from then.

        Returns when the store has it. Raises StoreError: then nobody knows whether it has.
        """
        with store_errors():
            await self._opt_out(
                keys=[self._key_of(clicker), self._keys.changes], args=[clicker, now, KIND, KEPT_CHANGES]
            )

    async def among(self, clickers: Collection[int]) -> set[int]:
        """Those of these clickers who have opted out."""
        found: set[int] = set()
        for key in self._all_keys:
            asked = [clicker for clicker in clickers if self._key_of(clicker) == key]
            if asked:
                with store_errors():
                    moments: Any = await self._redis.zmscore(key, [str(clicker) for clicker in asked])
                found.update(clicker for clicker, at in zip(asked, moments, strict=True) if at is not None)
        return found

    async def moment_of(self, clicker: int) -> int | None:
        """When the clicker opted out (Unix ms); None when they have not. Raises StoreError."""
        with store_errors():
            at: Any = await self._redis.zscore(self._key_of(clicker), str(clicker))
            return None if at is None else int(at)

    async def all(self) -> AsyncIterator[int]:
        """Every clicker who has opted out and does so while this lasts; some may come twice. Raises StoreError."""
        for key in self._all_keys:
            with store_errors():
                async for member, _ in self._redis.zscan_iter(key, count=PAGE):
                    clicker = clicker_from(text(member))
                    if clicker is not None:
                        yield clicker

    async def recipients(self) -> AsyncIterator[tuple[int, int]]:
        """Every recipient who has opted out, with the moment (Unix ms); some may come twice. Raises StoreError."""
        with store_errors():
            async for member, at in self._redis.zscan_iter(self._keys.opted_out, count=PAGE):
                clicker = clicker_from(text(member))
                if clicker is not None:
                    yield clicker, int(at)

    async def restore(self, clicker: int, at: int) -> bool:
        """Puts an opt-out back that was made at this moment (Unix ms), unless it is there; answers whether."""
        if await self.among([clicker]):
            return False
        await self.opt_out(clicker, at)
        return True

    async def give_back(self, clickers: Collection[int], now: int) -> None:
        """Puts opt-outs back that the store forgot, and announces them; those that are there stay.

        When they were made is not known: a visitor's counts from the beginning of its day, a recipient's from now
        (Unix ms).
        """
        for key in self._all_keys:
            arguments: list[int] = []
            for clicker in clickers:
                if self._key_of(clicker) == key:
                    arguments += (day_of(clicker) * DAY_MS if is_visitor(clicker) else now, clicker)
            if arguments:
                with store_errors():
                    await self._give_back(keys=[key, self._keys.changes], args=[KIND, KEPT_CHANGES, *arguments])

    async def count(self) -> tuple[int, int]:
        """How many recipients, and how many visitors of the last days."""
        with store_errors():
            return (
                int(await self._redis.zcard(self._keys.opted_out)),
                int(await self._redis.zcard(self._keys.visitors_opted_out)),
            )

    async def forget(self, *, recipients_before: int | None, visitors_before: int) -> bool:
        """Ends some of the opt-outs from before these moments (Unix ms), and announces it; None ends none.

        Returns whether there may be more.
        """
        ended = 0
        with store_errors():
            for key, before in zip(self._all_keys, (recipients_before, visitors_before), strict=True):
                if before is not None:
                    ended += await self._opt_in(keys=[key, self._keys.changes], args=[before, PAGE, KIND, KEPT_CHANGES])
        return ended > 0

    @property
    def _all_keys(self) -> tuple[str, str]:
        return self._keys.opted_out, self._keys.visitors_opted_out

    def _key_of(self, clicker: int) -> str:
        return self._keys.visitors_opted_out if is_visitor(clicker) else self._keys.opted_out


class OptOutRetention:
    """Ends recipients' opt-outs after so many days, 0 being never, and visitors' with their day's salt."""

    def __init__(self, people: People, *, days: int, clock: Callable[[], float] = time.time) -> None:
        self._people = people
        self._days = days
        self._clock = clock

    async def end(self) -> bool:
        """Ends some of the opt-outs whose time is over; returns whether there may be more of them."""
        now = int(self._clock() * 1000)
        try:
            more = await self._people.forget(
                recipients_before=now - self._days * DAY_MS if self._days else None,
                visitors_before=(now // DAY_MS - 1) * DAY_MS,  # a day's salt lives until the next day has ended
            )
            recipients, visitors = await self._people.count()
        except StoreError as error:
            log.debug("opt-outs are looked through another time: %s", error)
            return False
        OPTED_OUT.labels("recipient").set(recipients)
        OPTED_OUT.labels("visitor").set(visitors)
        return more
