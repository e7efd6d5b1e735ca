"""A file that is spoiled, and a disk that fails, stop nobody."""

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redirector.catalog import CatalogFile
from tests.builders import a_campaign, a_link
from tests.replica.catalogs import Catalog, be_current, disabled_in, filled, without_store
from tests.store.stores import until


class TestSpoiledFile:
    @pytest.mark.parametrize("content", [b"links!" * 1_000, b"\0" * 10_000], ids=["text", "zeros"])
    async def test_at_the_start(self, catalog: Catalog, content: bytes) -> None:
        """It is begun anew: no crash, and soon everything is in it again."""
        (link,) = await catalog.mint()
        await filled(catalog)
        catalog.path.write_bytes(content)
        await filled(catalog)
        async with without_store(catalog) as replica:
            assert replica.known(link.number) == (link, a_campaign())

    async def test_while_it_is_used(self, catalog: Catalog) -> None:
        """A row that was changed behind the program's back is asked of the store, and the file is replaced."""
        (link,) = await catalog.mint()
        async with catalog.followed() as replica:
            await be_current(replica)
            with closing(sqlite3.connect(catalog.path, isolation_level=None)) as connection:
                connection.execute("UPDATE links SET record = CAST(replace(record, 'www', 'wwv') AS BLOB)")
            found = replica.known(link.number) or await replica.ask(link.number)
            await until(lambda: not replica._copy.is_spoiled)
            await be_current(replica)

            assert found == replica.known(link.number) == (link, a_campaign())
        assert catalog.path.with_name("links.sqlite.spoiled").exists()

    async def test_without_the_store_the_rest_of_it_is_used(self, catalog: Catalog) -> None:
        """One spoiled row is no reason to give up all others, as long as there is no other copy."""
        bad, good = await catalog.mint(a_link(), a_link(label="b"))
        await filled(catalog)
        with closing(sqlite3.connect(catalog.path, isolation_level=None)) as connection:
            connection.execute("UPDATE links SET seal = 1 WHERE number = ?", (bad.number,))
        async with without_store(catalog) as replica:
            assert (replica.known(bad.number), replica.known(good.number)) == (None, (good, a_campaign()))


class TestFailingDisk:
    async def test_a_full_disk_stops_nobody(
        self, catalog: Catalog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Changes arrive and links are answered from memory and the store; when there is room again, from the file."""
        monkeypatch.setattr("redirector.replica.FIRST_REST_SECONDS", 0.5)
        (link,) = await catalog.mint()
        async with catalog.followed(links_in_memory=1_000) as replica:
            await be_current(replica)
            assert replica._copy._file._writer is not None
            replica._copy._file._writer.execute("PRAGMA max_page_count = 1")
            replica.known(link.number)
            await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            many = await catalog.mint(*(a_link(label=str(number)) for number in range(200)))
            await until(lambda: not replica._copy.is_current)
            asked_for = replica.known(many[0].number) or await replica.ask(many[0].number)
            disabled = disabled_in(replica, link)
            replica._copy._file._writer.execute("PRAGMA max_page_count = 1000000")
            await be_current(replica)

            assert (asked_for, disabled) == ((many[0], a_campaign()), True)
            assert [replica.known(each.number) for each in many] == [(each, a_campaign()) for each in many]
            assert disabled_in(replica, link)
        assert "database or disk is full" in caplog.text

    async def test_what_a_full_disk_does_not_take_is_in_memory(self, catalog: Catalog) -> None:
        """A link that was minted or disabled meanwhile is known when the store is out of reach next."""
        (old,) = await catalog.mint()
        async with catalog.followed(links_in_memory=1_000) as replica:
            await be_current(replica)
            assert replica._copy._file._writer is not None
            replica._copy._file._writer.execute("PRAGMA max_page_count = 1")
            await catalog.links.change(old.number, lambda it: replace(it, disabled=True))
            new = (await catalog.mint(*(a_link(label=str(number)) for number in range(200))))[-1]
            await until(lambda: new.number in replica._copy.links)
            replica._store_answers = replica._store_is_prompt = False

            assert (replica.known(new.number), disabled_in(replica, old)) == ((new, a_campaign()), True)

    async def test_a_backup_that_holds_the_file_stops_nobody(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While the file is tried again, readers are answered; when it is let go, it is filled."""
        monkeypatch.setattr("redirector.replica.FIRST_REST_SECONDS", 0.1)
        (link,) = await catalog.mint()
        await filled(catalog)
        replica, longest = catalog.replica(), 0.0
        with closing(sqlite3.connect(catalog.path, isolation_level=None)) as backup:
            backup.execute("PRAGMA locking_mode = EXCLUSIVE")
            backup.execute("BEGIN EXCLUSIVE")
            await replica.start()
            tried = log_of_openings(monkeypatch)
            while len(tried) < 2:
                looked = time.monotonic()
                await asyncio.sleep(0)
                known = replica.known(link.number) or await replica.ask(link.number)
                longest = max(longest, time.monotonic() - looked)
        await be_current(replica)
        await replica.stop()

        assert known == (link, a_campaign())
        assert longest < 0.5

    async def test_no_file_at_all(self, catalog: Catalog, caplog: pytest.LogCaptureFixture) -> None:
        """Where no file can be made, links are known from the store and from memory."""
        catalog.path.parent.touch()
        (link,) = await catalog.mint()
        async with catalog.followed() as replica:
            asked_for = await replica.ask(link.number)
            await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            await until(lambda: disabled_in(replica, link))

            assert asked_for == (link, a_campaign())
        assert "links are kept in memory only" in caplog.text

    async def test_a_catalog_that_cannot_be_copied(
        self, catalog: Catalog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A store that refuses a part of it is asked link by link, and the copying tried again later."""
        monkeypatch.setattr("redirector.replica.FIRST_REST_SECONDS", 0.1)
        (link,) = await catalog.mint()
        number: Any = await catalog.redis.get(catalog.keys.next_link)
        await catalog.redis.delete(catalog.keys.next_link)
        await catalog.redis.rpush(catalog.keys.next_link, "not a number")
        async with catalog.followed() as replica:
            await until(lambda: "links are kept in memory only" in caplog.text)
            asked_for = await replica.ask(link.number)
            await catalog.redis.set(catalog.keys.next_link, number)
            await be_current(replica)

            assert asked_for == replica.known(link.number) == (link, a_campaign())


def log_of_openings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were opened from now on, each when that has ended."""
    opened, open_file = [], CatalogFile.open

    def open_and_log(file: CatalogFile) -> None:
        open_file(file)
        opened.append(file._path)

    monkeypatch.setattr(CatalogFile, "open", open_and_log)
    return opened
