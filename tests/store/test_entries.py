"""A stream's entries, page by page, and how far a group is done with them."""

import pytest
from redis.asyncio import Redis

from redirector.store.clicks import ClickStream, place_of
from redirector.store.connection import text
from redirector.store.entries import PAGE, Reach, delete, reach, walk
from redirector.store.keys import Keys
from tests.streams import next_of

GROUP = "counting"


async def added(redis: Redis, keys: Keys, count: int) -> list[str]:
    """So many entries, and their ids."""
    return [text(await redis.xadd(keys.clicks(), {"n": str(n)})) for n in range(count)]


@pytest.fixture
async def stream(redis: Redis, keys: Keys) -> ClickStream:
    """The stream as a group sees it from its beginning on."""
    stream = ClickStream(redis, keys, group=GROUP, consumer="one")
    await stream.join()
    return stream


async def test_every_entry_comes_once(redis: Redis, keys: Keys) -> None:
    """Over the bounds of pages, from behind one entry up to and with another."""
    ids = await added(redis, keys, PAGE + 10)
    whole = [entry.id async for page in walk(redis, keys.clicks()) for entry in page]
    part = [entry.id async for page in walk(redis, keys.clicks(), after=ids[2], up_to=ids[5]) for entry in page]

    assert whole == ids
    assert part == ids[3:6]
    assert await delete(redis, keys.clicks(), ids[:2]) == 2
    assert await delete(redis, keys.clicks(), ids[:2]) == await delete(redis, keys.clicks(), []) == 0


async def test_a_group_needs_what_it_has_not_acknowledged(redis: Redis, keys: Keys, stream: ClickStream) -> None:
    """What it was not given, and what is pending, stays beyond its reach; with the last one, that is all."""
    ids = await added(redis, keys, 3)
    before = await reach(redis, keys.clicks(), GROUP)
    await next_of(stream, 2)
    pending = await reach(redis, keys.clicks(), GROUP)
    await redis.xack(keys.clicks(), GROUP, ids[0])
    one_pending = await reach(redis, keys.clicks(), GROUP)
    await redis.xack(keys.clicks(), GROUP, ids[1])
    given = await reach(redis, keys.clicks(), GROUP)
    await next_of(stream, 2)
    await redis.xack(keys.clicks(), GROUP, ids[2])

    assert before == Reach((0, 0), is_all=False)
    assert (pending.is_all, pending.up_to < place_of(ids[0])) == (False, True)
    assert (one_pending.is_all, place_of(ids[0]) <= one_pending.up_to < place_of(ids[1])) == (False, True)
    assert given == Reach(place_of(ids[1]), is_all=False)
    assert await reach(redis, keys.clicks(), GROUP) == Reach(place_of(ids[2]), is_all=True)


async def test_a_group_that_is_not_there_needs_everything(redis: Redis, keys: Keys) -> None:
    """Nobody knows what it has counted; where there is no stream there is nothing to need."""
    nothing = await reach(redis, keys.clicks(), GROUP)
    await added(redis, keys, 1)

    assert nothing == Reach((0, 0), is_all=True)
    assert await reach(redis, keys.clicks(), GROUP) == Reach((0, 0), is_all=False)
