"""The change stream of the catalog."""

import asyncio
from unittest.mock import ANY

import pytest
from redis.asyncio import Redis

from redirector.store.campaigns import Campaigns
from redirector.store.changes import Change, Changes
from redirector.store.keys import Keys
from tests.builders import a_campaign


@pytest.fixture
def changes(redis: Redis, keys: Keys) -> Changes:
    """The change stream of a store of the test's own."""
    return Changes(redis, keys)


@pytest.fixture
def campaigns(redis: Redis, keys: Keys) -> Campaigns:
    """Something that changes."""
    return Campaigns(redis, keys)


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


async def test_an_empty_beginning_may_have_been_trimmed(
    changes: Changes, campaigns: Campaigns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has seen no change yet can read all of them from the first one on, unless there are more than are kept."""
    await campaigns.create(a_campaign("one"))
    read = await changes.since("0-0", wait=False)
    monkeypatch.setattr("redirector.store.changes.KEPT_CHANGES", 1)

    assert [change.name for change in read or ()] == ["one"]
    assert await changes.since("0-0", wait=False) is None
