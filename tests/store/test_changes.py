"""The change stream of the catalog."""

import asyncio
from unittest.mock import ANY

import pytest
from redis.asyncio import Redis

from redirector.store.campaigns import Campaigns
from redirector.store.changes import Change, Changes
from redirector.store.keys import Keys
from tests.builders import a_campaign
from tests.store.stores import PATIENCE_SECONDS


@pytest.fixture
def changes(redis: Redis, keys: Keys) -> Changes:
    """The change stream of a store of the test's own."""
    return Changes(redis, keys)


@pytest.fixture
def campaigns(redis: Redis, keys: Keys) -> Campaigns:
    """Something that changes."""
    return Campaigns(redis, keys)


async def until_blocked(redis: Redis) -> None:
    """Waits until somebody waits for the store."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (await redis.info("clients"))["blocked_clients"]:
            pass


async def test_nothing_changed_yet(changes: Changes) -> None:
    """Before the first change the newest is 0-0, and nothing came after it."""
    assert await changes.last_id() == "0-0"
    assert await changes.since("0-0") == []


async def test_what_came_after(changes: Changes, campaigns: Campaigns) -> None:
    """Changes come oldest first, and only those after the one that is known."""
    await campaigns.create(a_campaign("one"))
    known = await changes.last_id()
    await campaigns.create(a_campaign("two"))
    await campaigns.create(a_campaign("three"))
    after = await changes.since(known)

    assert after == [Change(ANY, "campaign", "two"), Change(await changes.last_id(), "campaign", "three")]


async def test_a_change_is_heard_of_when_it_comes(changes: Changes, campaigns: Campaigns) -> None:
    """Who waits for changes is told of one that comes while it waits."""
    await campaigns.create(a_campaign("one"))
    waiting = asyncio.create_task(changes.since(await changes.last_id()))
    await campaigns.create(a_campaign("two"))

    assert [change.name for change in await waiting or ()] == ["two"]


async def test_the_newest_that_is_known_is_still_there(changes: Changes, campaigns: Campaigns) -> None:
    """Who knows the newest change is told that nothing came after it, not of a gap."""
    await campaigns.create(a_campaign("one"))

    assert await changes.since(await changes.last_id()) == []


async def test_a_gap_is_told(changes: Changes, campaigns: Campaigns, redis: Redis, keys: Keys) -> None:
    """Once the stream was trimmed behind what a reader knows, it is told that some changes cannot be had."""
    await campaigns.create(a_campaign("one"))
    known = await changes.last_id()
    for name in ("two", "three"):
        await campaigns.create(a_campaign(name))
    await redis.xtrim(keys.changes, maxlen=1, approximate=False)

    assert await changes.since(known) is None


async def test_a_store_that_was_emptied_is_a_gap(
    changes: Changes, campaigns: Campaigns, redis: Redis, keys: Keys
) -> None:
    """After everything was deleted and begun anew, nothing that a reader knows is true any more."""
    await campaigns.create(a_campaign("one"))
    known = await changes.last_id()
    await redis.delete(keys.changes, keys.campaigns)

    assert await changes.since(known) is None
    await redis.xadd(keys.changes, {"campaign": "two"}, id="9999999999999-0")
    assert await changes.since(known) is None


async def test_a_store_that_is_emptied_while_it_is_waited_for_is_a_gap(
    changes: Changes, campaigns: Campaigns, redis: Redis, keys: Keys
) -> None:
    """The first change of its new list wakes who waits, and is not taken for what came next."""
    await campaigns.create(a_campaign("one"))
    waiting = asyncio.create_task(changes.since(await changes.last_id()))
    await until_blocked(redis)
    await redis.delete(keys.changes, keys.campaigns)
    await campaigns.create(a_campaign("two"))

    assert await waiting is None


async def test_what_was_trimmed_is_told_from_what_was_forgotten(
    changes: Changes, campaigns: Campaigns, redis: Redis, keys: Keys
) -> None:
    """A store that only took its oldest changes away has forgotten nothing; one that was emptied has, at any time."""
    for name in ("one", "two"):
        await campaigns.create(a_campaign(name))
    known = await changes.last_id()
    await campaigns.create(a_campaign("three"))
    await redis.xtrim(keys.changes, maxlen=1, approximate=False)
    trimmed = await changes.only_trimmed(known)
    await redis.xtrim(keys.changes, maxlen=0, approximate=False)
    trimmed_to_nothing = await changes.only_trimmed(known)
    await redis.delete(keys.changes)
    emptied = await changes.only_trimmed(known)
    await campaigns.create(a_campaign("four"))

    assert (trimmed, trimmed_to_nothing, emptied) == (True, True, False)
    assert not await changes.only_trimmed(known)


async def test_a_list_that_went_back_is_not_a_trimmed_one(
    changes: Changes, campaigns: Campaigns, redis: Redis, keys: Keys
) -> None:
    """A store that lost its newest changes has forgotten, though it took some away before, and has newer ones."""
    for name in ("one", "two"):
        await campaigns.create(a_campaign(name))
    await redis.xtrim(keys.changes, maxlen=1, approximate=False)
    later = f"{int((await changes.last_id()).split('-')[0]) + 10}-0"
    went_back = await changes.only_trimmed(later)
    await redis.xadd(keys.changes, {"campaign": "three"}, id=later.replace("-0", "-1"))

    assert (went_back, await changes.only_trimmed(later)) == (False, False)


async def test_an_empty_beginning_may_have_been_trimmed(
    changes: Changes, campaigns: Campaigns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has seen no change yet can read all of them from the first one on, unless there are more than are kept."""
    await campaigns.create(a_campaign("one"))
    read = await changes.since("0-0", wait=False)
    monkeypatch.setattr("redirector.store.changes.KEPT_CHANGES", 1)

    assert [change.name for change in read or ()] == ["one"]
    assert await changes.since("0-0", wait=False) is None
