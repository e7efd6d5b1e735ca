"""An Idempotency-Key belongs to one body."""

import pytest
from redis.asyncio import Redis

from redirector.errors import IdempotencyKeyReused
from redirector.store.idempotency import KEPT_SECONDS, begin, remember
from redirector.store.keys import Keys


async def test_the_same_body_may_come_again(redis: Redis, keys: Keys) -> None:
    """A retry with the same key and body is welcome, however often."""
    for _ in range(3):
        await begin(redis, keys, holder="k1", key="a", body=b"{}")

    assert len([key async for key in redis.scan_iter(f"{keys.prefix}:*")]) == 1


async def test_another_body_is_refused(redis: Redis, keys: Keys) -> None:
    """The same key with another body is refused, and goes on standing for the first one."""
    await begin(redis, keys, holder="k1", key="a", body=b"{}")
    with pytest.raises(IdempotencyKeyReused) as refused:
        await begin(redis, keys, holder="k1", key="a", body=b"[]")

    assert (refused.value.field, refused.value.part) == ("Idempotency-Key", "a")
    await begin(redis, keys, holder="k1", key="a", body=b"{}")


@pytest.mark.parametrize(("holder", "key"), [pytest.param("k2", "a", id="holder"), pytest.param("k1", "b", id="key")])
async def test_another_request_is_another_matter(redis: Redis, keys: Keys, holder: str, key: str) -> None:
    """Two holders may use the same key, and one holder two keys, with different bodies."""
    await begin(redis, keys, holder="k1", key="a", body=b"{}")
    await begin(redis, keys, holder=holder, key=key, body=b"[]")

    assert len([name async for name in redis.scan_iter(f"{keys.prefix}:*")]) == 2


async def test_a_key_is_forgotten_after_a_day(redis: Redis, keys: Keys) -> None:
    """What is remembered has an end, and holds neither the key nor the body."""
    await begin(redis, keys, holder="k1", key="geheim", body=b"geheim")
    (name,) = [name async for name in redis.scan_iter(f"{keys.prefix}:*")]

    assert 0 < await redis.ttl(name) <= KEPT_SECONDS
    assert b"geheim" not in name + await redis.get(name)


async def test_what_was_made_is_remembered(redis: Redis, keys: Keys) -> None:
    """A retry learns the numbers of the links, row by row; remembering does not make the key live longer."""
    first = await begin(redis, keys, holder="k1", key="a", body=b"{}")
    (name,) = [name async for name in redis.scan_iter(f"{keys.prefix}:*")]
    await redis.expire(name, 100)
    await remember(redis, first, [7, 0, 9])

    assert first.numbers == ()
    assert (await begin(redis, keys, holder="k1", key="a", body=b"{}")).numbers == (7, 0, 9)
    assert 0 < await redis.ttl(name) <= 100


async def test_what_is_forgotten_stays_so(redis: Redis, keys: Keys) -> None:
    """A request that ends after its key did leaves nothing behind that would never end."""
    attempt = await begin(redis, keys, holder="k1", key="a", body=b"{}")
    await redis.delete(attempt.name)
    await remember(redis, attempt, [7])

    assert not await redis.exists(attempt.name)
