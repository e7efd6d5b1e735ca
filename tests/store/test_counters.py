"""Counting and acknowledging are one step."""

import pytest
from redis.asyncio import Redis

from redirector.store.clicks import ClickStream
from redirector.store.counters import Additions, Counters
from redirector.store.keys import Keys


@pytest.fixture
def counters(redis: Redis, keys: Keys) -> Counters:
    """Counters that stand at nothing."""
    return Counters(redis, keys)


async def given(redis: Redis, keys: Keys, entries: int) -> tuple[ClickStream, list[str]]:
    """A consumer that was given so many entries, and their ids."""
    stream = ClickStream(redis, keys, group="counting", consumer="one")
    await stream.join()
    for number in range(entries):
        await redis.xadd(keys.clicks(), {"n": number})
    return stream, [entry.id for entry in await stream.new(entries)]


def one_each(keys: Keys, entries: int) -> Additions:
    """What so many humans on one topic add."""
    added = Additions()
    for number in range(entries):
        added.add(keys.totals(), "human")
        added.add(keys.by_topic(), "solar:human")
        added.see(keys.unique_of_link(7), f"visitor{number}")
    return added


async def test_a_batch_is_added_and_acknowledged(counters: Counters, redis: Redis, keys: Keys) -> None:
    """Sums grow by their increments, HyperLogLogs learn their elements, and nothing is pending any more."""
    stream, entry_ids = await given(redis, keys, 3)

    assert await counters.count(stream, entry_ids, one_each(keys, 3)) is None
    assert await counters.totals() == {"human": 3}
    assert await counters.by_topic() == {("solar", "human"): 3}
    assert await counters.unique([keys.unique_of_link(7), keys.unique_of_link(8)]) == [3, 0]
    assert await stream.mine(10) == []


async def test_a_batch_counted_twice_counts_once(counters: Counters, redis: Redis, keys: Keys) -> None:
    """Entries that were acknowledged are nobody's: the second call changes nothing and says that none is left."""
    stream, entry_ids = await given(redis, keys, 3)
    await counters.count(stream, entry_ids, one_each(keys, 3))

    assert await counters.count(stream, entry_ids, one_each(keys, 3)) == []
    assert await counters.totals() == {"human": 3}


async def test_half_a_batch_is_counted_by_nobody(counters: Counters, redis: Redis, keys: Keys) -> None:
    """When some entries are another consumer's by now, nothing is added, and those that remain come back."""
    stream, entry_ids = await given(redis, keys, 4)
    await ClickStream(redis, keys, group="counting", consumer="two").claim(2, idle_ms=0)

    assert await counters.count(stream, entry_ids, one_each(keys, 4)) == entry_ids[2:]
    assert await counters.totals() == {}
    assert await counters.unique([keys.unique_of_link(7)]) == [0]


async def test_entries_that_add_nothing_are_acknowledged(counters: Counters, redis: Redis, keys: Keys) -> None:
    """Poison and deleted entries leave the pending list without any counter."""
    stream, entry_ids = await given(redis, keys, 2)

    assert await counters.count(stream, entry_ids, Additions()) is None
    assert await stream.mine(10) == []
    assert await counters.totals() == {}


async def test_other_pending_entries_stay(counters: Counters, redis: Redis, keys: Keys) -> None:
    """Only the entries of the batch are acknowledged, whatever else this consumer was given before and after."""
    stream, entry_ids = await given(redis, keys, 5)
    await counters.count(stream, entry_ids[:2], one_each(keys, 2))

    assert [entry.id for entry in await stream.mine(10)] == entry_ids[2:]


async def test_entries_in_between_do_not_hide_any(counters: Counters, redis: Redis, keys: Keys) -> None:
    """A batch with gaps is counted whole, although the consumer has other entries in the gaps."""
    stream, entry_ids = await given(redis, keys, 6)
    batch = entry_ids[::5]

    assert await counters.count(stream, batch, one_each(keys, 2)) is None
    assert [entry.id for entry in await stream.mine(10)] == entry_ids[1:5]


async def test_names_with_colons_come_apart_at_the_last_one(counters: Counters, redis: Redis, keys: Keys) -> None:
    """What is counted may have colons in its name; a class has none."""
    stream, entry_ids = await given(redis, keys, 1)
    added = Additions()
    added.add(keys.by_link("news"), "a:7:human")
    added.add(keys.by_hour("news"), "498732:bot")
    await counters.count(stream, entry_ids, added)

    assert await counters.by_link("news") == {("a:7", "human"): 1}
    assert await counters.by_hour("news") == {("498732", "bot"): 1}


async def test_nothing_was_counted_yet(counters: Counters, keys: Keys) -> None:
    """Before the first click every table is empty."""
    assert await counters.totals() == {}
    assert await counters.by_topic() == {}
    assert await counters.by_link("news") == {}
    assert await counters.by_hour("news") == {}
    assert await counters.unique([]) == []


async def test_many_clickers_are_told_apart_about(counters: Counters, redis: Redis, keys: Keys) -> None:
    """A batch of 500 different clickers counts as 500, give or take three standard errors."""
    stream, entry_ids = await given(redis, keys, 500)
    await counters.count(stream, entry_ids, one_each(keys, 500))

    assert await counters.unique([keys.unique_of_link(7)]) == [pytest.approx(500, rel=0.03)]
