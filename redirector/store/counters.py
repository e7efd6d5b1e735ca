"""What was counted of the clicks. Every addition goes with the acknowledgement of its clicks, or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from msgpack import packb
from redis.asyncio import Redis

from redirector.store.clicks import ClickStream
from redirector.store.connection import script, store_errors, text
from redirector.store.keys import Keys


@dataclass(slots=True)
class Additions:
    """What a batch of clicks adds: to each hash its fields' increments, to each HyperLogLog its elements."""

    sums: dict[str, dict[str, int]] = field(default_factory=dict)
    uniques: dict[str, set[str]] = field(default_factory=dict)

    def add(self, key: str, name: str, increment: int = 1) -> None:
        """So many more in a hash's field."""
        sums = self.sums.setdefault(key, {})
        sums[name] = sums.get(name, 0) + increment

    def see(self, key: str, *elements: str) -> None:
        """Elements that a HyperLogLog should know."""
        self.uniques.setdefault(key, set()).update(elements)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A key that nothing can be added to: it holds something else than what should be there, or it is damaged."""

    key: str

    def __str__(self) -> str:
        return f"{self.key} does not hold what clicks are added to"


NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Counters:
    """The counters of one shard; reading them costs the store no more than there are topics, links or hours."""

    def __init__(self, redis: Redis, keys: Keys, *, shard: int = 0) -> None:
        self._redis = redis
        self._keys = keys
        self._shard = shard
        self._count = script(redis, "count")

    async def count(
        self,
        stream: ClickStream,
        entry_ids: Sequence[str],
        additions: Additions,
        set_aside: Mapping[str, str] = NOTHING,
    ) -> list[str] | Refusal | None:
        """Adds and acknowledges in one step; returns None when that was done.

        Entries to set aside (id -> reason) are copied to the poison stream in that step. A list says that some
        entries are no longer this consumer's, that nothing was changed, and which still are: work out their additions
        alone, and call again. Or a key refuses, and nothing was counted. `entry_ids` are in ascending order.
        """
        sums = [(list(increments), list(increments.values())) for increments in additions.sums.values()]
        uniques = [list(elements) for elements in additions.uniques.values()]
        # One argument, because the client packs each in Python, and a click would have five.
        argument = packb(
            (stream.group, stream.consumer, entry_ids, sums, uniques, list(set_aside), list(set_aside.values()))
        )
        keys = [
            self._keys.clicks(self._shard),
            self._keys.counted_to(stream.group, self._shard),
            self._keys.poison(self._shard),
            *additions.sums,
            *additions.uniques,
        ]
        with store_errors():
            answer = await self._count(keys=keys, args=[argument])
            if isinstance(answer, int):
                return Refusal(keys[answer - 1])
            return None if answer is None else [text(entry_id) for entry_id in answer]

    async def totals(self) -> dict[str, int]:
        """Class -> clicks."""
        return await self._sums(self._keys.totals(self._shard))

    async def by_topic(self) -> dict[tuple[str, str], int]:
        """(topic, class) -> clicks."""
        return _split(await self._sums(self._keys.by_topic(self._shard)))

    async def by_link(self, campaign: str) -> dict[tuple[str, str], int]:
        """(link number, class) -> clicks of a campaign."""
        return _split(await self._sums(self._keys.by_link(campaign, self._shard)))

    async def by_hour(self, campaign: str) -> dict[tuple[str, str], int]:
        """(Unix hour, class) -> clicks of a campaign."""
        return _split(await self._sums(self._keys.by_hour(campaign, self._shard)))

    async def by_reader(self, campaign: str) -> dict[tuple[str, str], int]:
        """(name, value), such as (lang, de) -> human clicks of a campaign."""
        sums = await self._sums(self._keys.by_reader(campaign, self._shard))
        split = ((name.partition(":"), count) for name, count in sums.items())
        return {(name, value): count for (name, _, value), count in split}

    async def unique(self, keys: Sequence[str]) -> list[int]:
        """About how many different clickers each of the HyperLogLogs has seen (0.81% standard error)."""
        with store_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.pfcount(key)
                return [int(count) for count in await pipeline.execute()]

    async def _sums(self, key: str) -> dict[str, int]:
        with store_errors():
            reply = await self._redis.hgetall(key)
            return {text(name): int(count) for name, count in reply.items()}


def _split(sums: Mapping[str, int]) -> dict[tuple[str, str], int]:
    split = ((name.rpartition(":"), count) for name, count in sums.items())
    return {(of, class_): count for (of, _, class_), count in split}
