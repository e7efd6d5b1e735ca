"""What a worker judges by, noted in real stores."""

from collections.abc import Mapping

import pytest
from redis.asyncio import Redis

from redirector.errors import StoreUnavailable
from redirector.judged_by import JudgedBy
from redirector.store.connection import connected
from redirector.store.judged_by import note, noted
from redirector.store.keys import Keys

GROUP = "counting"
BY = JudgedBy(hold_ms=0, rules=2, gateways="0123456789abcdef")


async def test_what_is_noted_is_read(redis: Redis, keys: Keys) -> None:
    """The last who noted is who counts; other groups have their own."""
    await note(redis, keys, JudgedBy(30_000, 1, "fedcba9876543210"), group=GROUP)
    await note(redis, keys, BY, group=GROUP)

    assert await noted(redis, keys, group=GROUP) == BY
    assert await noted(redis, keys, group="other") is None


@pytest.mark.parametrize(
    "rubbish",
    [
        {"hold_ms": "soon", "rules": "2", "gateways": "x"},
        {"hold_ms": "9" * 5_000, "rules": "2", "gateways": "x"},
        {"hold_ms": "0", "rules": "2"},
        {"hold_ms": "0", "rules": "", "gateways": "x"},
    ],
    ids=["no number", "too long a number", "a part", "an empty part"],
)
async def test_what_nobody_can_read_tells_nothing(redis: Redis, keys: Keys, rubbish: Mapping[str, str]) -> None:
    """A recount goes on without it."""
    for name, value in rubbish.items():
        await redis.hset(keys.judged_by(GROUP), name, value)

    assert await noted(redis, keys, group=GROUP) is None


async def test_key_of_another_kind(redis: Redis, keys: Keys) -> None:
    """It tells nothing, and keeps no worker from counting: it is written over."""
    await redis.set(keys.judged_by(GROUP), "no hash")
    before = await noted(redis, keys, group=GROUP)
    await note(redis, keys, BY, group=GROUP)

    assert (before, await noted(redis, keys, group=GROUP)) == (None, BY)


async def test_store_out_of_reach() -> None:
    """That is said, and not taken for a worker that noted nothing."""
    async with connected("unix:///nowhere/store.sock") as redis:
        with pytest.raises(StoreUnavailable):
            await noted(redis, Keys(), group=GROUP)
