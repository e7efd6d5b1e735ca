"""How old the oldest is of what is kept."""

import pytest
from redis.asyncio import Redis

from redirector.store.ages import oldest_seconds
from redirector.store.keys import Keys
from redirector.store.people import People
from redirector.store.salts import KEPT_SECONDS, DailySalt
from tests.builders import NOON

DAY_MS = 24 * 3_600_000


async def test_nothing_is_not_old(redis: Redis, keys: Keys) -> None:
    """A new installation keeps nothing for too long."""
    assert await oldest_seconds(redis, keys, NOON) == {"clicks": 0, "visitor_salts": 0, "opt_outs": 0}


async def test_oldest_of_each(redis: Redis, keys: Keys) -> None:
    """The oldest entry of the stream, salt and opt-out count, not the newest."""
    for age in (5, 2):
        await redis.xadd(keys.clicks(), {"n": "1"}, id=f"{NOON - age * DAY_MS}-1")
        await People(redis, keys).opt_out(age, NOON - (100 + age) * DAY_MS)
    await DailySalt(redis, keys).refresh(NOON, lambda: b"a day's salt, of thirty-two bytes")
    await redis.expire(keys.salt("2026-11-23"), KEPT_SECONDS - 3_600)

    assert await oldest_seconds(redis, keys, NOON) == {
        "clicks": 5 * 86_400,
        "visitor_salts": pytest.approx(3_600, abs=60),
        "opt_outs": 105 * 86_400,
    }


async def test_salt_that_does_not_end_is_as_old_as_its_day(redis: Redis, keys: Keys) -> None:
    """One that came out of a backup, or whose expiry somebody took away, is found."""
    await redis.set(keys.salt("2026-11-18"), b"salt")

    assert (await oldest_seconds(redis, keys, NOON))["visitor_salts"] == 5.5 * 86_400


async def test_clock_that_was_set_back_makes_nothing_negative(redis: Redis, keys: Keys) -> None:
    """What is from the future is new."""
    await redis.xadd(keys.clicks(), {"n": "1"}, id=f"{NOON + DAY_MS}-1")

    assert (await oldest_seconds(redis, keys, NOON))["clicks"] == 0
