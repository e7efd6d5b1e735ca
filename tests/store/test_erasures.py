"""Erasures in the store: asked for, done, and ended when no click can come late any more."""

import pytest
from redis.asyncio import Redis

from redirector.store.erasures import ACTIVE_MS, Erasure, Erasures
from redirector.store.keys import Keys
from tests.builders import NOON

ANN, BOB = 2**59 + 1, 77


@pytest.fixture
def erasures(redis: Redis, keys: Keys) -> Erasures:
    """None yet."""
    return Erasures(redis, keys)


async def test_asking_again_moves_the_moment_on_and_never_back(erasures: Erasures) -> None:
    """Whoever asks twice has all erased up to the later time, whichever came first."""
    for moment in (NOON, NOON + 5, NOON + 2):
        await erasures.ask(ANN, moment)

    assert await erasures.active() == await erasures.waiting() == {ANN: NOON + 5}


async def test_one_that_is_done_stays_active(erasures: Erasures) -> None:
    """A click from before may still come from a disk."""
    await erasures.ask(ANN, NOON)
    await erasures.ask(BOB, NOON)

    assert await erasures.done({ANN: NOON}) == 1
    assert await erasures.done({}) == 0
    assert (await erasures.waiting(), await erasures.active()) == ({BOB: NOON}, {ANN: NOON, BOB: NOON})


async def test_one_that_was_asked_for_again_meanwhile_is_not_done(erasures: Erasures) -> None:
    """What was done was the earlier one."""
    await erasures.ask(ANN, NOON)
    await erasures.ask(ANN, NOON + 1)

    assert await erasures.done({ANN: NOON}) == 0
    assert await erasures.waiting() == {ANN: NOON + 1}


async def test_one_clickers_can_be_asked_for(erasures: Erasures) -> None:
    """Whose it is, up to when, and whether it waits: also when it was done once and is asked for again."""
    await erasures.ask(ANN, NOON)
    first = await erasures.of(ANN)
    await erasures.done({ANN: NOON})
    done = await erasures.of(ANN)
    await erasures.ask(ANN, NOON + 1)

    assert (first, done) == (Erasure(NOON, is_waiting=True), Erasure(NOON, is_waiting=False))
    assert await erasures.of(ANN) == Erasure(NOON + 1, is_waiting=True)
    assert await erasures.of(BOB) is None


async def test_it_ends_when_no_click_can_come_late(erasures: Erasures) -> None:
    """After the two weeks for which the store knows batches, and a day; never before it was done."""
    await erasures.ask(ANN, NOON)
    await erasures.ask(BOB, NOON)
    await erasures.done({ANN: NOON})
    await erasures.end(NOON + ACTIVE_MS)
    before = await erasures.active()
    await erasures.end(NOON + ACTIVE_MS + 1)
    while_one_waits = await erasures.active()
    await erasures.done({BOB: NOON})
    await erasures.end(NOON + ACTIVE_MS + 1)

    assert before == while_one_waits == {ANN: NOON, BOB: NOON}
    assert await erasures.active() == {}
