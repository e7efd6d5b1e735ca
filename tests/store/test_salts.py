"""The day's salt: one for all processes, for a day, and then gone."""

import pytest
from redis.asyncio import Redis

from redirector.errors import StoreError
from redirector.store.keys import Keys
from redirector.store.salts import AHEAD_MS, DAY_MS, DailySalt
from tests.builders import NOON

MIDNIGHT = NOON + DAY_MS // 2


def entropy(letter: bytes) -> bytes:
    """Bytes that can be told apart from other entropy."""
    return letter * 32


async def test_before_it_is_known_there_is_none(redis: Redis, keys: Keys) -> None:
    """Without the store there is no salt, and nobody is told from another."""
    assert DailySalt(redis, keys).at(NOON) == b""


async def test_all_processes_have_the_same(redis: Redis, keys: Keys) -> None:
    """The first to ask makes the day's salt, and everybody has that one."""
    one, two = DailySalt(redis, keys), DailySalt(redis, keys)
    await one.refresh(NOON, lambda: entropy(b"a"))
    await two.refresh(NOON, lambda: entropy(b"b"))

    assert one.at(NOON) == two.at(NOON) == entropy(b"a")


async def test_it_stays_the_same_all_day(redis: Redis, keys: Keys) -> None:
    """From midnight to midnight (UTC) the salt is one and the same, whenever it is asked for again."""
    salt = DailySalt(redis, keys)
    for moment in (MIDNIGHT - DAY_MS, NOON, MIDNIGHT - 1):
        await salt.refresh(moment, lambda m=moment: m.to_bytes(32))  # type: ignore[misc]

    assert salt.at(MIDNIGHT - DAY_MS) == salt.at(NOON) == salt.at(MIDNIGHT - 1) == (MIDNIGHT - DAY_MS).to_bytes(32)


async def test_tomorrows_is_there_before_tomorrow(redis: Redis, keys: Keys) -> None:
    """A minute before midnight tomorrow's salt is known, and not earlier."""
    salt = DailySalt(redis, keys)
    await salt.refresh(MIDNIGHT - AHEAD_MS - 1, lambda: entropy(b"a"))
    assert salt.at(MIDNIGHT) == b""
    await salt.refresh(MIDNIGHT - AHEAD_MS, lambda: entropy(b"b"))

    assert salt.at(MIDNIGHT) == entropy(b"b")
    assert salt.at(NOON) == entropy(b"a")


async def test_yesterdays_is_forgotten(redis: Redis, keys: Keys) -> None:
    """Once the day is over its salt is not in memory any more."""
    salt = DailySalt(redis, keys)
    await salt.refresh(NOON, lambda: entropy(b"a"))
    await salt.refresh(NOON + DAY_MS, lambda: entropy(b"b"))

    assert salt.at(NOON) == b""
    assert salt.at(NOON + DAY_MS) == entropy(b"b")


async def test_the_store_forgets_it_after_two_days(redis: Redis, keys: Keys) -> None:
    """What is kept in the store ends by itself, at most 48 hours later."""
    await DailySalt(redis, keys).refresh(NOON, lambda: entropy(b"a"))

    assert 0 < await redis.ttl(keys.salt("2026-11-23")) <= 48 * 3600


async def test_asking_again_does_not_make_it_live_longer(redis: Redis, keys: Keys) -> None:
    """Another process that asks does not begin the two days anew."""
    await DailySalt(redis, keys).refresh(NOON, lambda: entropy(b"a"))
    await redis.expire(keys.salt("2026-11-23"), 100)
    await DailySalt(redis, keys).refresh(NOON, lambda: entropy(b"b"))

    assert 0 < await redis.ttl(keys.salt("2026-11-23")) <= 100


async def test_without_an_answer_what_is_known_stays(redis: Redis, keys: Keys) -> None:
    """When tomorrow's salt cannot be had, today's goes on being used."""
    salt = DailySalt(redis, keys)
    await salt.refresh(NOON, lambda: entropy(b"a"))
    await redis.rpush(keys.salt("2026-11-24"), "no salt")
    with pytest.raises(StoreError):
        await salt.refresh(MIDNIGHT - 1, lambda: entropy(b"b"))

    assert salt.at(MIDNIGHT - 1) == entropy(b"a")
