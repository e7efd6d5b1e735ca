"""What is known is answered while the store is away, also by a process that starts then."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from redirector.errors import StoreUnavailable
from redirector.fill import Fill
from redirector.store.connection import connected
from redirector.store.keys import Keys
from redirector.store.records import campaign_record
from tests.builders import a_campaign, a_destination, a_link
from tests.replica.catalogs import Catalog, answered, be_current, disabled_in, filled, without_store
from tests.store.stores import asked, frozen, kill, on_both_stores, own_store, relayed, until


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
        async with (
            connected(f"unix://{directory}/none.sock") as client,
            Catalog(client, keys, directory).followed() as replica,
        ):
            assert not replica.ready
            with pytest.raises(StoreUnavailable):
                await replica.ask(1)

    @on_both_stores
    async def test_what_is_known_is_answered_with_the_store_dead(self, kind: str, directory: Path, keys: Keys) -> None:
        """Dead and started again: what is known is answered all the time, the rest refused at once, then asked for."""
        with own_store(kind, directory, "--appendfsync", "always") as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys, directory)
                (link,) = await catalog.mint()
                async with catalog.followed() as replica:
                    await until(lambda: replica.known(link.number))
                    kill(url)
                    await until(lambda: not replica._store_answers)
                    began = time.monotonic()
                    with pytest.raises(StoreUnavailable):
                        await replica.ask(99)
                    took = time.monotonic() - began
                    while_dead = replica.known(link.number)
                    ready = replica.ready
                    with own_store(kind, directory):
                        (new,) = await catalog.mint(a_link(label="b"))
                        assert await answered(lambda: replica.ask(new.number)) == (new, a_campaign())

        assert while_dead == (link, a_campaign())
        assert took < 0.1
        assert ready

    @on_both_stores
    async def test_a_frozen_store_is_found_out(self, kind: str, directory: Path, keys: Keys) -> None:
        """A store that says nothing is soon known to be out of reach, and changes made meanwhile arrive after it."""
        with own_store(kind, directory) as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys, directory)
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
        self, store_url: str, catalog: Catalog, keys: Keys, directory: Path
    ) -> None:
        """After a reset of its connections a copy goes on hearing of changes."""
        (link,) = await catalog.mint()
        async with (
            relayed(store_url) as (url, reset),
            connected(url) as client,
            Catalog(client, keys, directory).followed() as replica,
        ):
            await replica.ask(link.number)
            reset()
            await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            await until(lambda: (replica.known(link.number) or (link,))[0].disabled)

            assert await answered(lambda: replica.ask(link.number)) == (replace(link, disabled=True), a_campaign())


class TestStartWithoutTheStore:
    async def test_what_an_earlier_run_knew_is_answered(self, catalog: Catalog) -> None:
        """Links that nobody ever clicked, too; it is ready, and what it does not know is refused at once."""
        minted = await catalog.mint(*(a_link(label=str(number)) for number in range(20)))
        await filled(catalog)
        async with without_store(catalog) as replica:
            assert replica.ready
            assert [replica.known(link.number) for link in minted] == [(link, a_campaign()) for link in minted]
            with pytest.raises(StoreUnavailable):
                await replica.ask(99)

    async def test_a_disabled_link_stays_disabled(self, catalog: Catalog) -> None:
        """What was changed while an earlier run followed is as it was then, with the campaign's fallback."""
        (link,) = await catalog.mint()
        expected = a_campaign(fallback_url=a_destination("https://www.example.com/over"))
        async with catalog.followed() as replica:
            await be_current(replica)
            await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            await catalog.campaigns.change("news", lambda _: expected)
            await until(lambda: replica._copy._file.campaign("news") == campaign_record(expected).encode())
        async with without_store(catalog) as replica:
            assert replica.known(link.number) == (replace(link, disabled=True), expected)

    async def test_what_was_asked_for_before_the_file_was_full_is_kept(self, catalog: Catalog) -> None:
        """A link that was clicked while the file was being filled is in it, though the fill did not come to it."""
        (link,) = await catalog.mint()
        replica = catalog.replica()
        replica._copy.open()
        await replica._catch_up(wait=False)
        replica._fill = Fill(catalog.links, catalog.campaigns)
        await replica.ask(link.number)
        await replica._catch_up(wait=False)
        await replica.stop()
        async with without_store(catalog) as later:
            assert later.known(link.number) == (link, a_campaign())

    async def test_it_catches_up_with_what_it_missed(self, catalog: Catalog) -> None:
        """A worker that comes back to its store does not send readers on by a link disabled meanwhile."""
        one, two = await catalog.mint(a_link(), a_link(label="b"))
        await filled(catalog)
        await catalog.links.change(one.number, lambda it: replace(it, disabled=True))
        await catalog.mint(*(a_link(label=str(number)) for number in range(1_500)))
        await catalog.links.change(two.number, lambda it: replace(it, disabled=True))
        async with catalog.followed() as replica:
            assert [disabled_in(replica, link) for link in (one, two)] == [True, True]
