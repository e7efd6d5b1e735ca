"""Every link is copied to the file, whatever happens meanwhile."""

import asyncio
import resource
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from redirector.catalog import CatalogFile
from redirector.store.connection import connected
from redirector.store.keys import Keys
from tests.builders import a_link
from tests.replica.catalogs import PATIENCE_SECONDS, Catalog, be_current, disabled_in, mint_many, without_store
from tests.store.stores import frozen, kill, on_both_stores, own_store, until


class TestFilling:
    async def test_changes_arrive_within_a_second(self, catalog: Catalog) -> None:
        """Of a link in memory, of one that is on disk only, and of a new one."""
        one, two = await catalog.mint(a_link(), a_link(label="b"))
        async with catalog.followed() as replica:
            await be_current(replica)
            replica.known(one.number)
            began = time.monotonic()
            for link in (one, two):
                await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            (new,) = await catalog.mint(a_link(label="c"))
            await until(lambda: disabled_in(replica, one) and disabled_in(replica, two) and replica.known(new.number))
            took = time.monotonic() - began

        assert took < 1

    async def test_a_reader_during_the_write_does_not_bring_the_old_state_back(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is read from the file while a change is on its way there is not remembered."""
        (link,) = await catalog.mint()
        replica = catalog.replica()
        replica._last_change = replica._copy.open()
        await replica._catch_up(wait=False)
        while not replica._copy.is_current:
            await replica._fill_file()
        go_on, write = threading.Event(), CatalogFile.write
        monkeypatch.setattr(CatalogFile, "write", lambda *it: go_on.wait(PATIENCE_SECONDS) and write(*it))
        await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
        writing = asyncio.create_task(replica._catch_up(wait=False))
        await until(lambda: replica._copy._is_changing)
        meanwhile = disabled_in(replica, link)
        go_on.set()
        await writing
        afterwards = disabled_in(replica, link)
        await replica.stop()

        assert (meanwhile, afterwards) == (False, True)

    async def test_a_hundred_thousand_links(self, catalog: Catalog) -> None:
        """They are copied in seconds, in little memory, and the loop is free for readers meanwhile."""
        await mint_many(catalog, 100_000)
        before, longest, began = resident_bytes(), 0.0, time.process_time()
        async with catalog.followed(links_in_memory=1_000) as replica:
            while not replica._copy.is_current:
                looked = time.thread_time()
                await asyncio.sleep(0.001)  # and no less, or looking would be most of the time that is counted
                longest = max(longest, time.thread_time() - looked)
            took = time.process_time() - began
            known = [replica.known(number) is not None for number in range(1, 100_001, 37)]

            assert all(known)
            assert len(replica._copy.links) <= 2_000
        assert took < 5
        assert longest < 0.05
        assert resident_bytes() - before < 50_000_000

    async def test_changes_during_the_fill_win(self, catalog: Catalog) -> None:
        """A link that was copied already and one that was not yet: both end up as they were changed."""
        await mint_many(catalog, 30_000)
        async with catalog.followed() as replica:
            await until(lambda: replica._fill and replica._fill._next > 5_000)
            for number in (1, 30_000):
                await catalog.links.change(number, lambda it: replace(it, disabled=True, label=str(it.number)))
            assert not replica._copy.is_current
            await be_current(replica)
            await until(lambda: all(disabled_in(replica, a_link(number=number)) for number in (1, 30_000)))

        async with without_store(catalog) as replica:
            assert all(disabled_in(replica, a_link(number=number)) for number in (1, 30_000))

    @on_both_stores
    async def test_a_store_that_freezes_meanwhile_is_waited_out(self, kind: str, directory: Path, keys: Keys) -> None:
        """What was copied before is answered, and the copying goes on when the store wakes up."""
        with own_store(kind, directory) as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys, directory)
                await mint_many(catalog, 30_000)
                async with catalog.followed() as replica:
                    await until(lambda: replica._fill and replica._fill._next > 2_000)
                    with frozen(url):
                        await until(lambda: not replica._store_answers)
                        meanwhile = (replica.known(1), replica.known(30_000))
                    await be_current(replica)

                    assert meanwhile[0] is not None
                    assert meanwhile[1] is None
                    assert replica.known(30_000) is not None

    @on_both_stores
    async def test_a_store_that_is_killed_meanwhile_is_waited_for(self, kind: str, directory: Path, keys: Keys) -> None:
        """A new store over the same data is copied to the end."""
        with own_store(kind, directory) as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys, directory)
                await mint_many(catalog, 30_000)
                async with catalog.followed() as replica:
                    await until(lambda: replica._fill and replica._fill._next > 2_000)
                    kill(url)
                    await until(lambda: not replica._store_answers)
                    with own_store(kind, directory):
                        await be_current(replica)

                        assert replica.known(30_000) is not None

    async def test_a_process_that_ended_meanwhile_begins_again(self, catalog: Catalog) -> None:
        """A file that was not filled to its end is not taken for complete; what it has is answered all the same."""
        await mint_many(catalog, 30_000)
        async with catalog.followed() as replica:
            await until(lambda: replica._fill and replica._fill._next > 2_000)
        async with without_store(catalog) as replica:
            assert (replica.ready, replica.known(1) is not None, replica.known(30_000)) == (False, True, None)
        async with catalog.followed() as replica:
            assert replica.known(1) is None
            await be_current(replica)

            assert replica.known(30_000) is not None


def resident_bytes() -> int:
    """What this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
