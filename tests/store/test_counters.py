"""Counting and acknowledging are one step."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from redirector.store.clicks import ClickStream
from redirector.store.counters import Additions, Counters, Refusal
from redirector.store.keys import Keys
from tests.store.stores import entries
from tests.streams import next_of


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
    return stream, await next_of(stream, entries)


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


async def test_a_batch_may_add_to_many_fields(counters: Counters, redis: Redis, keys: Keys) -> None:
    """A thousand clicks on ten topics each, all of them different, are more than one command of a script may name."""
    stream, entry_ids = await given(redis, keys, 1)
    added = Additions()
    for number in range(10_000):
        added.add(keys.by_topic(), f"topic{number}:human")
        added.see(keys.unique_of_link(number % 10), f"visitor{number}")

    assert await counters.count(stream, entry_ids, added) is None
    assert len(await counters.by_topic()) == 10_000


async def test_a_counter_that_refuses_is_found_among_many(counters: Counters, redis: Redis, keys: Keys) -> None:
    """A field that is no sum is found wherever it stands, and nothing is counted."""
    stream, entry_ids = await given(redis, keys, 1)
    await redis.hset(keys.by_topic(), "topic9999:human", "many")
    added = Additions()
    for number in range(10_000):
        added.add(keys.by_topic(), f"topic{number}:human")

    assert await counters.count(stream, entry_ids, added) == Refusal(keys.by_topic())
    assert await redis.hlen(keys.by_topic()) == 1


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

    assert await stream.mine(10) == entry_ids[2:]


async def test_entries_in_between_do_not_hide_any(counters: Counters, redis: Redis, keys: Keys) -> None:
    """A batch with gaps is counted whole, although the consumer has other entries in the gaps."""
    stream, entry_ids = await given(redis, keys, 6)
    batch = entry_ids[::5]

    assert await counters.count(stream, batch, one_each(keys, 2)) is None
    assert await stream.mine(10) == entry_ids[1:5]


async def a_header_alone(redis: Redis, key: str) -> None:
    """A HyperLogLog of which the registers are missing."""
    await redis.pfadd(key, "somebody")
    await redis.set(key, await redis.getrange(key, 0, 15))


Spoil = Callable[[Redis, str], Awaitable[Any]]

WRONG_KEYS: dict[str, tuple[Callable[[Keys], str], Spoil]] = {
    "a string for a hash": (lambda keys: keys.by_topic(), lambda redis, key: redis.set(key, "x")),
    "a word for a sum": (lambda keys: keys.by_topic(), lambda redis, key: redis.hset(key, "solar:human", "x")),
    "a sum too large": (lambda keys: keys.by_topic(), lambda redis, key: redis.hset(key, "solar:human", 2**63 - 1)),
    "a string for a HyperLogLog": (lambda keys: keys.unique_of_link(7), lambda redis, key: redis.set(key, "x")),
    "a list for a HyperLogLog": (lambda keys: keys.unique_of_link(7), lambda redis, key: redis.rpush(key, "x")),
    "half a HyperLogLog": (lambda keys: keys.unique_of_link(7), a_header_alone),
}


@pytest.mark.parametrize(("key_of", "spoil"), WRONG_KEYS.values(), ids=WRONG_KEYS.keys())
async def test_a_key_that_refuses_leaves_all_as_it_was(
    counters: Counters, redis: Redis, keys: Keys, key_of: Callable[[Keys], str], spoil: Spoil
) -> None:
    """However often it is tried, no other counter moves; when the key is gone, the entries are counted once."""
    stream, entry_ids = await given(redis, keys, 3)
    wrong = key_of(keys)
    await spoil(redis, wrong)
    spoiled = await redis.dump(wrong)
    added = one_each(keys, 3)
    added.see(keys.unique_of_campaign("news"), "somebody")

    assert [await counters.count(stream, entry_ids, added) for _ in range(3)] == [Refusal(wrong)] * 3
    assert await counters.totals() == {}
    assert await redis.dump(wrong) == spoiled
    assert await stream.mine(10) == entry_ids
    await redis.delete(wrong)
    assert await counters.count(stream, entry_ids, added) is None
    assert await counters.totals() == {"human": 3}
    assert await counters.by_topic() == {("solar", "human"): 3}
    assert await counters.unique([keys.unique_of_link(7)]) == [3]


@pytest.mark.parametrize(
    "spoil",
    [lambda redis, key: redis.rpush(key, "x"), lambda redis, key: redis.set(key, "x")],
    ids=["a list", "a word"],
)
async def test_how_far_it_was_counted_is_written_anew(
    counters: Counters, redis: Redis, keys: Keys, spoil: Spoil
) -> None:
    """What else stands in its place keeps nothing from being counted."""
    stream, entry_ids = await given(redis, keys, 2)
    await spoil(redis, keys.counted_to("counting"))

    assert await counters.count(stream, entry_ids, one_each(keys, 2)) is None
    assert await counters.totals() == {"human": 2}
    assert await redis.get(keys.counted_to("counting")) == entry_ids[-1].encode()


async def test_what_is_set_aside_keeps_its_fields_and_the_reason(counters: Counters, redis: Redis, keys: Keys) -> None:
    """The poison stream holds the entry, where it lay, and why it was not counted; once, however often it is tried."""
    stream, entry_ids = await given(redis, keys, 2)
    reasons = {entry_ids[1]: "class: there is no such class"}

    assert await counters.count(stream, entry_ids, one_each(keys, 1), reasons) is None
    assert await counters.count(stream, entry_ids, one_each(keys, 1), reasons) == []
    assert [fields for _, fields in await entries(redis, keys.poison())] == [
        {b"n": b"1", b"poison_id": entry_ids[1].encode(), b"poison_reason": b"class: there is no such class"}
    ]
    assert await counters.totals() == {"human": 1}


async def test_an_entry_of_any_size_can_be_set_aside(counters: Counters, redis: Redis, keys: Keys) -> None:
    """Of one that has more fields than any click, the first hundred are kept."""
    stream, _ = await given(redis, keys, 1)
    await redis.xadd(keys.clicks(), {str(number): "x" for number in range(10_000)})
    (entry,) = await next_of(stream, 1)

    assert await counters.count(stream, [entry], Additions(), {entry: "id: there is none"}) is None
    ((_, fields),) = await entries(redis, keys.poison())
    assert len(fields) == 100 + 2


async def test_what_cannot_be_set_aside_stays(counters: Counters, redis: Redis, keys: Keys) -> None:
    """While something else stands in the poison stream's place, the entry is pending, and nothing is counted."""
    stream, entry_ids = await given(redis, keys, 2)
    await redis.set(keys.poison(), "no stream")

    assert await counters.count(stream, entry_ids, one_each(keys, 1), {entry_ids[0]: "why"}) == Refusal(keys.poison())
    assert await counters.totals() == {}
    assert await stream.mine(10) == entry_ids


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
