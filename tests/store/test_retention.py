"""Trimming: a click leaves the stream when it is old enough, and nobody needs it any more."""

import pytest
from redis.asyncio import Redis

from redirector.store.clicks import ClickStream
from redirector.store.keys import Keys
from redirector.store.retention import AT_ONCE, Retention, Trimmed, trim
from tests.builders import NOON
from tests.store.stores import entries
from tests.streams import next_of

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
        ids = await next_of(stream, given)
        if acknowledged:
            await redis.xack(keys.clicks(), name, *ids[:acknowledged])


async def first_left(redis: Redis, keys: Keys) -> str:
    """The oldest entry that is still there."""
    return (await entries(redis, keys.clicks()))[0][0].decode()


async def test_nothing_old_is_left_where_few_click(redis: Redis, keys: Keys, filled: list[str]) -> None:
    """The stream goes by whole nodes first, and then to the very entry: a node may take months to fill."""
    await group(redis, keys, "counting", given=ENTRIES, acknowledged=ENTRIES)
    retention = Retention(redis, keys, group="counting", seconds=5 * 3_600, clock=lambda: NOON / 1000)
    while await retention.trim():
        pass

    assert await first_left(redis, keys) == f"{NOON - 5 * HOUR}-1"


@pytest.mark.parametrize(("days", "left"), [(0, 1), (1, 1), (3, 3)])
async def test_what_was_set_aside_goes_too(redis: Redis, keys: Keys, days: int, left: int) -> None:
    """It may be clicks: they go with the others, but not before somebody had a day to look at them."""
    for age in (3.5, 2.5, 1.5, 0.5):
        await redis.xadd(keys.poison(), {"n": "1"}, id=f"{NOON - int(age * 24 * HOUR)}-1")
    await Retention(redis, keys, group="counting", seconds=days * 86_400, clock=lambda: NOON / 1000).trim()

    assert await redis.xlen(keys.poison()) == left


async def test_nothing_is_nothing(redis: Redis, keys: Keys) -> None:
    """A stream that is not there, and one that nobody reads, are left alone."""
    assert (await trim(redis, keys, group="counting", before=NOON)).entries == 0
    await redis.xadd(keys.clicks(), {"n": "1"}, id="1-1")

    assert (await trim(redis, keys, group="counting", before=NOON)).entries == 0
    assert await redis.xlen(keys.clicks()) == 1


async def test_what_is_old_and_acknowledged_goes(redis: Redis, keys: Keys, filled: list[str]) -> None:
    """Up to the retention, but for the rest of a node."""
    await group(redis, keys, "counting", given=ENTRIES, acknowledged=ENTRIES)
    before = NOON - 5 * HOUR
    trimmed = await trim(redis, keys, group="counting", before=before)

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
    trimmed = await trim(redis, keys, group="counting", before=NOON)

    assert trimmed.entries <= acknowledged
    assert await first_left(redis, keys) <= filled[acknowledged]
    assert "other" in trimmed.held_back_by


async def test_what_nobody_has_counted_stays(redis: Redis, keys: Keys, filled: list[str]) -> None:
    """While the group that counts is not there, whatever other groups have acknowledged, nothing goes."""
    await group(redis, keys, "other", given=ENTRIES, acknowledged=ENTRIES)

    assert await trim(redis, keys, group="counting", before=NOON) == Trimmed(0, ())
    assert await redis.xlen(keys.clicks()) == ENTRIES


async def test_what_a_group_is_to_read_again_stays(redis: Redis, keys: Keys, filled: list[str]) -> None:
    """A group that was set back needs what lies behind that place, whatever newer entries it has pending."""
    await group(redis, keys, "counting", given=ENTRIES, acknowledged=ENTRIES - 1)
    await redis.xgroup_setid(keys.clicks(), "counting", "0")

    assert await trim(redis, keys, group="counting", before=NOON) == Trimmed(0, ["counting"])
    assert await first_left(redis, keys) == filled[0]


async def test_nothing_within_the_retention_goes(redis: Redis, keys: Keys, filled: list[str]) -> None:
    """Other programs may still want to begin to read it."""
    await group(redis, keys, "counting", given=ENTRIES, acknowledged=ENTRIES)

    assert (await trim(redis, keys, group="counting", before=NOON - 30 * 24 * HOUR)).entries == 0
    assert await first_left(redis, keys) == filled[0]


async def test_a_call_removes_only_so_many(redis: Redis, keys: Keys) -> None:
    """A long stream is trimmed in several calls."""
    async with redis.pipeline(transaction=False) as pipeline:
        for number in range(2 * AT_ONCE):
            pipeline.xadd(keys.clicks(), {"n": "1"}, id=f"{number + 1}-1")
        await pipeline.execute()
    stream = ClickStream(redis, keys, group="counting", consumer="one")
    await stream.join()
    while given := await next_of(stream, 5_000):
        await redis.xack(keys.clicks(), "counting", *given)
    removed = []
    while trimmed := (await trim(redis, keys, group="counting", before=NOON)).entries:
        removed.append(trimmed)

    assert len(removed) >= 2
    assert max(removed) <= AT_ONCE
    assert sum(removed) > 2 * AT_ONCE - 200


@pytest.mark.usefixtures("filled")
class TestRetention:
    async def test_clicks_are_kept_for_as_long_as_it_says(self, redis: Redis, keys: Keys) -> None:
        """It trims what is older, a portion at a time, and says when there is no more."""
        await group(redis, keys, "counting", given=ENTRIES, acknowledged=ENTRIES)
        retention = Retention(redis, keys, group="counting", seconds=5 * 3600, clock=lambda: NOON / 1000)

        assert await retention.trim()
        assert not await retention.trim()
        assert 300 <= await redis.xlen(keys.clicks()) < 500

    async def test_who_holds_clicks_back_is_said_once(
        self, redis: Redis, keys: Keys, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log names a group that does not read, but not every minute."""
        await group(redis, keys, "counting", given=ENTRIES, acknowledged=ENTRIES)
        await group(redis, keys, "sleepy", given=0, acknowledged=0)
        retention = Retention(redis, keys, group="counting", seconds=3600, clock=lambda: NOON / 1000)

        assert [await retention.trim() for _ in range(2)] == [False, False]
        assert [message for message in caplog.messages if "sleepy" in message] == caplog.messages
        assert len(caplog.messages) == 1

    async def test_a_store_in_trouble_is_trimmed_another_time(self, redis: Redis, keys: Keys) -> None:
        """A store that refuses is no reason to stop."""
        await redis.set(keys.clicks(), "no stream")

        assert not await Retention(redis, keys, group="counting", seconds=3600).trim()
