"""Links are asked for once, and nobody waits for a store that is late."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from redirector.errors import StoreError, StoreUnavailable
from redirector.links import Link
from redirector.replica import Replica
from redirector.store.connection import ANSWER_WITHIN_SECONDS, connected
from redirector.store.keys import Keys
from tests.builders import a_campaign, a_link
from tests.replica.catalogs import Catalog, disabled_in, filled
from tests.store.stores import frozen, on_both_stores, own_store, relayed, until


class TestAsking:
    async def test_a_link_is_known_once_it_was_asked_for(self, catalog: Catalog) -> None:
        """What the file has not yet is asked of the store, and from then on memory answers."""
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
        """The links clicked last are in memory; the one that was not clicked for longest goes first."""
        one, two, three = await catalog.mint(a_link(), a_link(label="b"), a_link(label="c"))
        async with catalog.followed(links_in_memory=1) as replica:
            await replica.ask(one.number)
            await replica.ask(two.number)
            replica.known(one.number)
            await replica.ask(three.number)

            assert [link.number in replica._copy.links for link in (one, two, three)] == [True, False, True]
            await until(lambda: replica.known(two.number) == (two, a_campaign()))

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


DEADLINE_SECONDS = 0.2


@asynccontextmanager
async def not_current(catalog: Catalog, *, deadline_seconds: float = DEADLINE_SECONDS) -> AsyncIterator[Replica]:
    """A copy that is in touch with its store, and has not filled its file again since a gap."""
    await catalog.redis.xtrim(catalog.keys.changes, maxlen=0, approximate=False)
    replica = catalog.replica(deadline_seconds=deadline_seconds)
    replica._last_change = replica._copy.open()
    await replica._catch_up(wait=False)
    try:
        yield replica
    finally:
        await asyncio.gather(*replica._asking.values(), return_exceptions=True)
        await replica.stop()


async def longest_wait(replica: Replica, links: Sequence[Link], expected: object) -> float:
    """How long the last of the links' readers waits, who come all at once; each of them gets what is expected."""

    async def read(link: Link) -> float:
        began = time.monotonic()
        try:
            found: object = replica.known(link.number) or await replica.ask(link.number)
        except StoreUnavailable as error:
            found = error
        took = time.monotonic() - began
        assert found == (link, a_campaign()) if expected is Link else isinstance(found, StoreUnavailable)
        return took

    return max(await asyncio.gather(*map(read, links)))


class TestDeadline:
    @on_both_stores
    async def test_readers_of_known_links_do_not_wait_longer(self, kind: str, directory: Path, keys: Keys) -> None:
        """The file answers in place of a store that froze before it was current; once known, nobody waits."""
        with own_store(kind, directory) as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys, directory)
                links = await catalog.mint(*(a_link(label=str(number)) for number in range(64)))
                await filled(catalog)
                async with not_current(catalog) as replica:
                    with frozen(url):
                        first = await longest_wait(replica, links, Link)
                        second = await longest_wait(replica, links, Link)

        assert DEADLINE_SECONDS <= first < 10 * DEADLINE_SECONDS
        assert second < DEADLINE_SECONDS

    @on_both_stores
    async def test_readers_of_unknown_links_wait_once(self, kind: str, directory: Path, keys: Keys) -> None:
        """Those whose links only a frozen store can know are refused after one time-out, and after that at once."""
        with own_store(kind, directory) as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys, directory)
                links = await catalog.mint(*(a_link(label=str(number)) for number in range(64)))
                async with not_current(catalog) as replica:
                    with frozen(url):
                        first = await longest_wait(replica, links, StoreUnavailable)
                        second = await longest_wait(replica, links, StoreUnavailable)

        assert first < 2 * ANSWER_WITHIN_SECONDS
        assert second < DEADLINE_SECONDS

    async def test_a_late_answer_is_better_than_none(self, store_url: str, catalog: Catalog, directory: Path) -> None:
        """A link that only a slow store knows is waited for, past the deadline."""
        (link,) = await catalog.mint()
        async with (
            relayed(store_url, late_seconds=lambda: 0.05) as (url, _),
            connected(url) as client,
            not_current(Catalog(client, catalog.keys, directory), deadline_seconds=0.02) as replica,
        ):
            assert await replica.ask(link.number) == (link, a_campaign())

    async def test_a_store_that_answers_again_is_asked_again(
        self, store_url: str, catalog: Catalog, directory: Path
    ) -> None:
        """While it is late, what the file has is believed; its late answer, and any later one, counts again."""
        one, two = await catalog.mint(a_link(), a_link(label="b"))
        await filled(catalog)
        for link in (one, two):
            await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
        async with (
            relayed(store_url, late_seconds=lambda: 0.05) as (url, _),
            connected(url) as client,
            not_current(Catalog(client, catalog.keys, directory), deadline_seconds=0.02) as replica,
        ):
            late = await replica.ask(one.number)
            meanwhile = replica.known(two.number)
            await asyncio.gather(*replica._asking.values())
            await replica._catch_up(wait=False)

            assert (late, meanwhile) == ((one, a_campaign()), (two, a_campaign()))
            assert disabled_in(replica, one)
            assert replica.known(two.number) is None
