"""Who opted out, in the store: once each, announced, and ended when their time is over."""

from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from redirector.clickers import DAY_MS, visitor
from redirector.store.changes import Change, Changes
from redirector.store.connection import connected
from redirector.store.keys import Keys
from redirector.store.people import OptOutRetention, People
from tests.builders import NOON

ANN, BOB = 2**59 + 1, 77
TODAY = visitor(NOON // DAY_MS, 5)


async def announced(redis: Redis, keys: Keys) -> list[str]:
    """Whom the change stream names."""
    changes: list[Change] = await Changes(redis, keys).since("0-0", wait=False) or []
    assert {change.kind for change in changes} <= {"opted_out"}
    return [change.name for change in changes]


async def test_who_opts_out_is_announced_once(redis: Redis, keys: Keys) -> None:
    """However often a reader asks, they have opted out, and every copy is told one time."""
    people = People(redis, keys)
    for _ in range(3):
        await people.opt_out(ANN, NOON)
    await people.opt_out(TODAY, NOON)

    assert await people.among([ANN, BOB, TODAY]) == {ANN, TODAY}
    assert {clicker async for clicker in people.all()} == {ANN, TODAY}
    assert await announced(redis, keys) == [str(ANN), str(TODAY)]
    assert await people.count() == (1, 1)


async def test_what_is_asked_again_counts_from_then(redis: Redis, keys: Keys) -> None:
    """Opting out twice lasts as long as the second time says."""
    people = People(redis, keys)
    await people.opt_out(ANN, NOON)
    await people.opt_out(BOB, NOON)
    await people.opt_out(ANN, NOON + DAY_MS)

    assert [await people.moment_of(each) for each in (ANN, BOB, TODAY)] == [NOON + DAY_MS, NOON, None]
    assert await people.forget(recipients_before=NOON + 1, visitors_before=NOON)
    assert await people.among([ANN, BOB]) == {ANN}
    assert await people.moment_of(BOB) is None
    assert await announced(redis, keys) == [str(ANN), str(BOB), str(BOB)]
    assert not await people.forget(recipients_before=NOON + 1, visitors_before=NOON)


async def test_recipients_are_kept_for_ever_unless_told(redis: Redis, keys: Keys) -> None:
    """A visitor's opting out ends with its salt, and no recipient's does."""
    people = People(redis, keys)
    await people.opt_out(ANN, 0)
    await people.opt_out(TODAY, NOON)

    await people.forget(recipients_before=None, visitors_before=NOON + 1)

    assert {clicker async for clicker in people.all()} == {ANN}


@pytest.mark.parametrize(
    ("days", "later", "left"),
    [
        pytest.param(0, 0, {ANN, TODAY}, id="at once"),
        pytest.param(0, DAY_MS, {ANN, TODAY}, id="tomorrow"),
        pytest.param(0, 2 * DAY_MS, {ANN}, id="when the salt has ended"),
        pytest.param(0, 10_000 * DAY_MS, {ANN}, id="for ever"),
        pytest.param(30, 30 * DAY_MS, {ANN}, id="within its time"),
        pytest.param(30, 30 * DAY_MS + 1, set(), id="after its time"),
    ],
)
async def test_opt_outs_end_with_their_time(redis: Redis, keys: Keys, days: int, later: int, left: set[int]) -> None:
    """Recipients' after the days that are set; visitors' with the salt of their day, at the end of the next one."""
    people = People(redis, keys)
    await people.opt_out(ANN, NOON)
    await people.opt_out(TODAY, NOON)
    retention = OptOutRetention(people, days=days, clock=lambda: (NOON + later) / 1000)
    while await retention.end():
        pass

    assert {clicker async for clicker in people.all()} == left
    gauge = {
        kind: REGISTRY.get_sample_value("redirector_opted_out", {"kind": kind}) for kind in ("recipient", "visitor")
    }
    assert gauge == {"recipient": float(ANN in left), "visitor": float(TODAY in left)}


async def test_what_is_given_back_is_there_and_announced(redis: Redis, keys: Keys) -> None:
    """Who is there keeps their moment; a visitor given back ends with its salt, and a recipient counts from now."""
    people, later = People(redis, keys), NOON + 5 * DAY_MS
    await people.opt_out(BOB, NOON)
    await people.give_back([ANN, BOB, TODAY], later)

    assert {clicker: at async for clicker, at in people.recipients()} == {ANN: later, BOB: NOON}
    assert await announced(redis, keys) == [str(BOB), str(ANN), str(TODAY)]
    await people.forget(recipients_before=None, visitors_before=NOON // DAY_MS * DAY_MS)
    assert TODAY in await people.among([TODAY])
    await people.forget(recipients_before=None, visitors_before=(NOON // DAY_MS + 1) * DAY_MS)
    assert await people.among([TODAY]) == set()


async def test_a_dead_store_is_asked_another_time(keys: Keys, directory: Path) -> None:
    """The worker's process goes on when the store is away."""
    async with connected(f"unix://{directory}/none.sock") as dead:
        assert not await OptOutRetention(People(dead, keys), days=1).end()


async def test_nobody_is_asked_for(redis: Redis, keys: Keys) -> None:
    """Of no clickers none has opted out, and the store is not asked."""
    assert await People(redis, keys).among([]) == set()


async def test_strangers_among_them_are_passed_over(redis: Redis, keys: Keys) -> None:
    """What another program put among them is no clicker."""
    await redis.zadd(keys.opted_out, {"ann": 1, "-5": 1, str(ANN): 1})

    assert [clicker async for clicker in People(redis, keys).all()] == [ANN]
