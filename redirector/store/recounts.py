"""A campaign's counters, counted anew beside those that are there, and put in their place in one step."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgpack import packb
from redis.asyncio import Redis

from redirector.store.connection import script, store_errors
from redirector.store.counters import Additions
from redirector.store.keys import Keys

# What a recount leaves behind that was killed goes by itself.
FORGOTTEN_AFTER_SECONDS: Final = 24 * 3600


class Recount:
    """The counters of one campaign under way; `run` tells it from other recounts."""

    def __init__(self, redis: Redis, keys: Keys, campaign: str, *, run: str, shard: int = 0) -> None:
        self._redis = redis
        self._keys = keys
        self._shard = shard
        self._by_link = keys.by_link(campaign, shard)
        self._run = run
        self._targets = {
            self._by_link,
            keys.by_hour(campaign, shard),
            keys.by_reader(campaign, shard),
            keys.unique_of_campaign(campaign, shard),
        }
        self._swap = script(redis, "recount")

    async def add(self, additions: Additions, links: Iterable[int]) -> None:
        """Adds to the new counters what belongs to the campaign's; `links` are those that occur. Raises StoreError."""
        self._targets.update(self._keys.unique_of_link(link, self._shard) for link in links)
        with store_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key in self._targets & additions.sums.keys():
                    for name, increment in additions.sums[key].items():
                        pipeline.hincrby(self._new(key), name, increment)
                    pipeline.expire(self._new(key), FORGOTTEN_AFTER_SECONDS)
                for key in self._targets & additions.uniques.keys():
                    pipeline.pfadd(self._new(key), *additions.uniques[key])
                    pipeline.expire(self._new(key), FORGOTTEN_AFTER_SECONDS)
                await pipeline.execute()

    async def swap(self, before: Mapping[tuple[str, str], int]) -> bool:
        """Puts the new counters in the old ones' place, unless the clicks by link are no longer those of `before`."""
        fields = [part for (link, class_), count in before.items() for part in (f"{link}:{class_}", str(count))]
        old = {self._keys.unique_of_link(int(link), self._shard) for link, _ in before if link.isdecimal()}
        keys = [part for key in sorted(self._targets | old) for part in (key, self._new(key))]
        with store_errors():
            return bool(await self._swap(keys=[self._by_link, *keys], args=[packb(fields)]))

    async def discard(self) -> None:
        """Removes what was counted anew. Raises StoreError."""
        with store_errors():
            await self._redis.unlink(*map(self._new, self._targets))

    def _new(self, key: str) -> str:
        return f"{key}:recount-{self._run}"
