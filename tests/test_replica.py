"""The local copy of the links: asked for once, kept up to date, and good without the store."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from redirector.errors import StoreError, StoreUnavailable
from redirector.links import Campaign, Link
from redirector.replica import Replica
from redirector.store.campaigns import Campaigns
from redirector.store.changes import Changes
from redirector.store.connection import connected
from redirector.store.keys import Keys
from redirector.store.links import Links, Minted
from tests.builders import NOON, a_campaign, a_destination, a_link
from tests.store.stores import asked, frozen, kill, on_both_stores, own_store, relayed, until

PATIENCE_SECONDS = 20.0


class Catalog:
    """The store's side: links and campaigns, and copies of them."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys
        self.links = Links(redis, keys)
        self.campaigns = Campaigns(redis, keys)

    async def mint(self, *drafts: Link) -> list[Link]:
        minted = await self.links.mint(a_campaign(), drafts or (a_link(),), topics_max=100, now=NOON)
        return [answer.link for answer in minted if isinstance(answer, Minted)]

    def replica(self, links_in_memory: int = 100) -> Replica:
        return Replica(self.links, self.campaigns, Changes(self.redis, self.keys), links_in_memory=links_in_memory)

    @asynccontextmanager
    async def followed(self, links_in_memory: int = 100) -> AsyncIterator[Replica]:
        replica = self.replica(links_in_memory)
        await replica.start()
        try:
            yield replica
        finally:
            await replica.stop()


@pytest.fixture
def catalog(redis: Redis, keys: Keys) -> Catalog:
    """Links and campaigns in a store of the test's own."""
    return Catalog(redis, keys)


async def answered(ask: Callable[[], Awaitable[tuple[Link, Campaign] | None]]) -> tuple[Link, Campaign] | None:
    """The answer, asked for until the store is in reach."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await ask()
            except StoreUnavailable:
                await asyncio.sleep(0.005)


class TestAsking:
    async def test_a_link_is_known_once_it_was_asked_for(self, catalog: Catalog) -> None:
        """The first question goes to the store, and from then on memory answers."""
        (link,) = await catalog.mint()
        async with catalog.followed() as replica:
            before = replica.known(link.number)
            asked_for = await replica.ask(link.number)

            assert before is None
            assert asked_for == replica.known(link.number) == (link, a_campaign())

    async def test_no_link_is_none(self, catalog: Catalog) -> None:
        """A number that was never given out has no link, and is not remembered."""
        async with catalog.followed() as replica:
            assert await replica.ask(99) is None
            (link,) = await catalog.mint()
            assert await replica.ask(link.number) == (link, a_campaign())

    async def test_many_who_ask_at_once_ask_once(self, catalog: Catalog) -> None:
        """A mailing's first clicks come together: the store is asked one time for a link."""
        (link,) = await catalog.mint()
        async with catalog.followed() as replica:
            before = (await catalog.redis.info("commandstats"))["cmdstat_hget"]["calls"]
            answers = await asyncio.gather(*(replica.ask(link.number) for _ in range(50)))
            calls = (await catalog.redis.info("commandstats"))["cmdstat_hget"]["calls"] - before

        assert answers == [(link, a_campaign())] * 50
        assert calls == 2  # one for the link, one for its campaign

    async def test_a_reader_who_goes_away_takes_nobody_along(self, catalog: Catalog) -> None:
        """A request that is cancelled while it asks leaves the answer to the others."""
        (link,) = await catalog.mint()
        async with catalog.followed() as replica:
            impatient = asyncio.create_task(replica.ask(link.number))
            patient = asyncio.create_task(replica.ask(link.number))
            await asyncio.sleep(0)
            impatient.cancel()

            assert await patient == (link, a_campaign())

    async def test_the_least_recently_used_makes_room(self, catalog: Catalog) -> None:
        """At most so many links are in memory; the one that was not clicked for longest goes first."""
        one, two, three = await catalog.mint(a_link(), a_link(label="b"), a_link(label="c"))
        async with catalog.followed(links_in_memory=2) as replica:
            await replica.ask(one.number)
            await replica.ask(two.number)
            replica.known(one.number)
            await replica.ask(three.number)

            assert [replica.known(link.number) is not None for link in (one, two, three)] == [True, False, True]

    async def test_a_link_without_its_campaign_is_an_error(self, catalog: Catalog) -> None:
        """A campaign that was lost is the store's trouble, not an unknown link; the link is not half known."""
        (link,) = await catalog.mint()
        await catalog.redis.hdel(catalog.keys.campaigns, "news")
        async with catalog.followed() as replica:
            with pytest.raises(StoreError, match="campaign that is not in the store"):
                await replica.ask(link.number)

            assert replica.known(link.number) is None

    async def test_a_spoiled_link_is_an_error_for_itself_only(self, catalog: Catalog) -> None:
        """A record that cannot be read spoils no other link."""
        bad, good = await catalog.mint(a_link(), a_link(label="b"))
        await catalog.redis.hset(catalog.keys.links, str(bad.number), "{")
        async with catalog.followed() as replica:
            with pytest.raises(StoreError):
                await replica.ask(bad.number)

            assert await replica.ask(good.number) == (good, a_campaign())


class TestChanges:
    @pytest.mark.parametrize(
        "changed",
        [
            pytest.param({"disabled": True}, id="disabled"),
            pytest.param({"destination": a_destination("https://www.example.com/new")}, id="new destination"),
            pytest.param({"expires_at": NOON}, id="expires"),
        ],
    )
    async def test_a_changed_link_arrives(self, catalog: Catalog, changed: dict[str, object]) -> None:
        """What somebody changes in the store is soon what every copy answers."""
        (link,) = await catalog.mint()
        expected = (replace(link, **changed), a_campaign())  # type: ignore[arg-type]
        async with catalog.followed() as replica:
            await replica.ask(link.number)
            await catalog.links.change(link.number, lambda it: replace(it, **changed))  # type: ignore[arg-type]
            await until(lambda: replica.known(link.number) == expected)

            assert await replica.ask(link.number) == expected

    async def test_a_changed_campaign_arrives(self, catalog: Catalog) -> None:
        """A fallback or an end that a campaign is given later holds for all of its links."""
        (link,) = await catalog.mint()
        expected = a_campaign(fallback_url=a_destination("https://www.example.com/over"), expires_at=NOON)
        async with catalog.followed() as replica:
            await replica.ask(link.number)
            await catalog.campaigns.change("news", lambda _: expected)
            await until(lambda: replica.known(link.number) == (link, expected))

            assert await replica.ask(link.number) == (link, expected)

    async def test_what_nobody_asked_for_is_not_fetched(self, catalog: Catalog) -> None:
        """A million new links cost a copy nothing until they are clicked."""
        async with catalog.followed() as replica:
            first, *_, last = await catalog.mint(*(a_link(label=str(number)) for number in range(50)))
            await replica.ask(last.number)

            assert replica.known(first.number) is None
            assert len(replica._links) == 1

    @pytest.mark.parametrize("what", ["link", "campaign"])
    async def test_a_change_during_the_question_wins(self, catalog: Catalog, keys: Keys, what: str) -> None:
        """An answer that was under way when the link or its campaign changed does not bring the old state back."""
        (link,) = await catalog.mint()
        url = f"unix://{catalog.redis.connection_pool.connection_kwargs['path']}"
        # Two clients: one is asked, and its answers come late; by the other one the change arrives in time.
        async with connected(url) as slow:
            replica = Replica(
                Links(slow, keys), Campaigns(slow, keys), Changes(catalog.redis, keys), links_in_memory=10
            )
            await replica._catch_up()
            question = asyncio.create_task(replica.ask(link.number))
            held_back: asyncio.Task[None] | None = None
            if what == "link":
                await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            else:
                await catalog.campaigns.change("news", lambda it: replace(it, sent=5))
            held_back = asyncio.create_task(replica._catch_up())
            await asyncio.gather(question, held_back)
            found = replica.known(link.number)

        assert found is not None
        assert (found[0].disabled, found[1].sent) == ((True, None) if what == "link" else (False, 5))

    async def test_a_gap_forgets_everything(self, catalog: Catalog) -> None:
        """When changes were missed, no link is answered from memory before the store was asked for it again."""
        (link,) = await catalog.mint()
        replica = catalog.replica()
        await replica.start()
        await replica.ask(link.number)
        await replica.stop()
        await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
        await catalog.redis.xtrim(catalog.keys.changes, maxlen=0, approximate=False)
        await replica.start()
        await replica.stop()

        assert replica.known(link.number) is None
        assert await replica.ask(link.number) == (replace(link, disabled=True), a_campaign())

    async def test_a_gap_takes_back_an_answer_that_is_under_way(self, catalog: Catalog) -> None:
        """An answer from before the gap does not outlive it."""
        (link,) = await catalog.mint()
        replica = catalog.replica()
        await replica._catch_up()
        question = asyncio.create_task(replica.ask(link.number))
        await asyncio.sleep(0)
        await catalog.redis.xtrim(catalog.keys.changes, maxlen=0, approximate=False)
        await replica._catch_up()
        await question

        assert replica.known(link.number) in {None, (link, a_campaign())}
        assert replica._last_change == "0-0"

    async def test_a_spoiled_record_does_not_stop_the_others(self, catalog: Catalog) -> None:
        """A change that cannot be read is passed over, and those behind it arrive."""
        bad, good = await catalog.mint(a_link(), a_link(label="b"))
        async with catalog.followed() as replica:
            await replica.ask(bad.number)
            await replica.ask(good.number)
            await catalog.redis.hset(catalog.keys.links, str(bad.number), "{")
            await catalog.redis.xadd(catalog.keys.changes, {"link": str(bad.number)})
            await catalog.links.change(good.number, lambda it: replace(it, disabled=True))
            await until(lambda: (replica.known(good.number) or (good,))[0].disabled)

            assert replica.known(bad.number) == (bad, a_campaign())

    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            pytest.param("link", "seven", id="no number"),
            pytest.param("link", "²", id="a digit that is no number"),
            pytest.param("link", "9" * 5000, id="a number past all numbers"),
            pytest.param("link", "99", id="no such link"),
            pytest.param("campaign", "other", id="unknown campaign"),
            pytest.param("colour", "red", id="unknown kind"),
        ],
    )
    async def test_odd_changes_are_passed_over(self, catalog: Catalog, kind: str, name: str) -> None:
        """Whatever else stands in the change stream, what comes behind it arrives."""
        (link,) = await catalog.mint()
        async with catalog.followed() as replica:
            await replica.ask(link.number)
            await catalog.redis.xadd(catalog.keys.changes, {kind: name})
            await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            await until(lambda: (replica.known(link.number) or (link,))[0].disabled)

            assert await replica.ask(link.number) == (replace(link, disabled=True), a_campaign())

    async def test_what_was_deleted_stays_in_memory(self, catalog: Catalog) -> None:
        """Links are never deleted by the program: one that vanished is answered as long as it is known."""
        (link,) = await catalog.mint()
        async with catalog.followed() as replica:
            await replica.ask(link.number)
            await catalog.redis.hdel(catalog.keys.links, str(link.number))
            await catalog.redis.hdel(catalog.keys.campaigns, "news")
            before = replica._last_change
            await catalog.redis.xadd(catalog.keys.changes, {"link": str(link.number)})
            last: Any = await catalog.redis.xadd(catalog.keys.changes, {"campaign": "news"})
            await until(lambda: replica._last_change == last.decode())

            assert before != replica._last_change
            assert replica.known(link.number) == (link, a_campaign())


class TestWithoutTheStore:
    async def test_it_is_ready_once_it_met_its_store(self, catalog: Catalog) -> None:
        """An empty store is a store."""
        replica = catalog.replica()
        assert not replica.ready
        await replica.start()
        await replica.stop()

        assert replica.ready

    async def test_stopping_what_never_began(self, catalog: Catalog) -> None:
        """A copy that was not started can be stopped."""
        replica = catalog.replica()
        await replica.stop()

        assert not replica.ready

    async def test_without_a_store_it_is_not_ready(self, directory: Path, keys: Keys) -> None:
        """A copy that never met its store knows nothing, and says so at once."""
        async with connected(f"unix://{directory}/none.sock") as client, Catalog(client, keys).followed() as replica:
            assert not replica.ready
            with pytest.raises(StoreUnavailable):
                await replica.ask(1)

    @on_both_stores
    async def test_what_is_known_is_answered_with_the_store_dead(self, kind: str, directory: Path, keys: Keys) -> None:
        """Dead and started again: what is known is answered all the time, the rest refused at once, then asked for."""
        with own_store(kind, directory, "--appendfsync", "always") as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys)
                known, unknown = await catalog.mint(a_link(), a_link(label="b"))
                async with catalog.followed() as replica:
                    await replica.ask(known.number)
                    kill(url)
                    await until(lambda: not replica._store_answers)
                    began = time.monotonic()
                    with pytest.raises(StoreUnavailable):
                        await replica.ask(unknown.number)
                    took = time.monotonic() - began
                    while_dead = replica.known(known.number)
                    ready = replica.ready
                    with own_store(kind, directory):
                        assert await answered(lambda: replica.ask(unknown.number)) == (unknown, a_campaign())

        assert while_dead == (known, a_campaign())
        assert took < 0.1
        assert ready

    @on_both_stores
    async def test_a_frozen_store_is_found_out(self, kind: str, directory: Path, keys: Keys) -> None:
        """A store that says nothing is soon known to be out of reach, and changes made meanwhile arrive after it."""
        with own_store(kind, directory) as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys)
                (link,) = await catalog.mint()
                async with catalog.followed() as replica:
                    await replica.ask(link.number)
                    with frozen(url):
                        await until(lambda: not replica._store_answers)
                        while_frozen = replica.known(link.number)
                    with asked(url) as admin:
                        record = admin.hget(keys.links, str(link.number)).replace(b"www", b"new")
                        admin.hset(keys.links, str(link.number), record)
                        admin.xadd(keys.changes, {"link": str(link.number)})
                    await until(lambda: replica.known(link.number) != while_frozen)

                    assert while_frozen == (link, a_campaign())

    async def test_a_reset_connection_does_not_end_the_following(
        self, store_url: str, catalog: Catalog, keys: Keys
    ) -> None:
        """After a reset of its connections a copy goes on hearing of changes."""
        (link,) = await catalog.mint()
        async with (
            relayed(store_url) as (url, reset),
            connected(url) as client,
            Catalog(client, keys).followed() as replica,
        ):
            await replica.ask(link.number)
            reset()
            await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            await until(lambda: (replica.known(link.number) or (link,))[0].disabled)

            assert await answered(lambda: replica.ask(link.number)) == (replace(link, disabled=True), a_campaign())
