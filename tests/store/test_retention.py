"""Trimming: a click leaves the stream when it is old enough, and nobody needs it any more."""

import pytest
from redis.asyncio import Redis

from redirector.store.clicks import ClickStream
from redirector.store.keys import Keys
from redirector.store.retention import AT_ONCE, trim
from tests.builders import NOON
from tests.store.stores import entries

ENTRIES = 1_000  # several nodes of the stream: it is trimmed by whole nodes
HOUR = 3_600_000


@pytest.fixture
async def filled(redis: Redis, keys: Keys) -> list[str]:
    """A stream with an entry each minute up to noon; their ids."""
    ids = [f"{NOON - (ENTRIES - number) * 60_000}-1" for number in range(ENTRIES)]
    for entry_id in ids:
        await redis.xadd(keys.clicks(), {"n": "1"}, id=entry_id)
    return ids


async def group(redis: Redis, keys: Keys, name: str, *, given: int, acknowledged: int) -> None:
    """A group that was given so many entries, and acknowledged the first of them."""
    stream = ClickStream(redis, keys, group=name, consumer="one")
    await stream.join()
    if given:
        ids = [entry.id for entry in await stream.new(given)]
        if acknowledged:
            await redis.xack(keys.clicks(), name, *ids[:acknowledged])


async def first_left(redis: Redis, keys: Keys) -> str:
    """The oldest entry that is still there."""
    return (await entries(redis, keys.clicks()))[0][0].decode()


async def test_nothing_is_nothing(redis: Redis, keys: Keys) -> None:
    """A stream that is not there, and one that nobody reads, are left alone."""
    assert (await trim(redis, keys, before=NOON)).entries == 0
    await redis.xadd(keys.clicks(), {"n": "1"}, id="1-1")

    assert (await trim(redis, keys, before=NOON)).entries == 0
    assert await redis.xlen(keys.clicks()) == 1


async def test_what_is_old_and_acknowledged_goes(redis: Redis, keys: Keys, filled: list[str]) -> None:
    """Up to the retention, but for the rest of a node."""
    await group(redis, keys, "one", given=ENTRIES, acknowledged=ENTRIES)
    before = NOON - 5 * HOUR
    trimmed = await trim(redis, keys, before=before)

    assert 500 < trimmed.entries <= ENTRIES - 300
    assert trimmed.held_back_by == []
    assert await redis.xlen(keys.clicks()) == ENTRIES - trimmed.entries
    assert filled[-300] in {entry_id.decode() for entry_id, _ in await entries(redis, keys.clicks())}


@pytest.mark.parametrize(
    ("given", "acknowledged"),
    [(0, 0), (50, 0), (50, 50), (900, 20), (ENTRIES, 150)],
    ids=["never read", "read and not acknowledged", "far behind", "one that is stuck", "slow"],
)
async def test_what_a_group_needs_stays(
    redis: Redis, keys: Keys, filled: list[str], given: int, acknowledged: int
) -> None:
    """However old it is, and whatever the other groups have done; the group that holds it back is named."""
    await group(redis, keys, "counting", given=ENTRIES, acknowledged=ENTRIES)
    await group(redis, keys, "other", given=given, acknowledged=acknowledged)
    trimmed = await trim(redis, keys, before=NOON)

    assert trimmed.entries <= acknowledged
    assert await first_left(redis, keys) <= filled[acknowledged]
    assert "other" in trimmed.held_back_by


async def test_nothing_within_the_retention_goes(redis: Redis, keys: Keys, filled: list[str]) -> None:
    """Other programs may still want to begin to read it."""
    await group(redis, keys, "counting", given=ENTRIES, acknowledged=ENTRIES)

    assert (await trim(redis, keys, before=NOON - 30 * 24 * HOUR)).entries == 0
    assert await first_left(redis, keys) == filled[0]


async def test_a_call_removes_only_so_many(redis: Redis, keys: Keys) -> None:
    """A long stream is trimmed in several calls."""
    async with redis.pipeline(transaction=False) as pipeline:
        for number in range(2 * AT_ONCE):
            pipeline.xadd(keys.clicks(), {"n": "1"}, id=f"{number + 1}-1")
        await pipeline.execute()
    stream = ClickStream(redis, keys, group="counting", consumer="one")
    await stream.join()
    while given := await stream.new(5_000):
        await redis.xack(keys.clicks(), "counting", *(entry.id for entry in given))
    removed = []
    while trimmed := (await trim(redis, keys, before=NOON)).entries:
        removed.append(trimmed)

    assert len(removed) >= 2
    assert max(removed) <= AT_ONCE
    assert sum(removed) > 2 * AT_ONCE - 200
