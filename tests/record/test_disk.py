"""A click on the disk is there before its reader goes on; where the disk refuses, the reader goes on all the same."""

import asyncio
import logging
import os
import threading
from collections import Counter
from pathlib import Path

import pytest

from redirector.store.keys import Keys
from tests.recorders import (
    SPOOL_SECONDS,
    click_ids,
    lost,
    record,
    recording,
    stored,
    until_replayed,
    waiting_on_disk,
)
from tests.store.stores import asked, own_store, until


class TestTheSpool:
    async def test_a_click_is_flushed_before_its_reader_goes_on(
        self, directory: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However long the disk takes for it: only a click that is on the disk outlives a power cut."""
        flushing, go_on, flush = threading.Event(), threading.Event(), os.fdatasync

        def slow(descriptor: int) -> None:
            flushing.set()
            assert go_on.wait(60)
            flush(descriptor)

        async with recording(f"unix://{directory}/store.sock", keys, directory) as recorder:
            with monkeypatch.context() as patched:
                patched.setattr(os, "fdatasync", slow)
                reader = asyncio.create_task(record(recorder, 1))
                try:
                    await until(flushing.is_set)
                    gone_on, _ = await asyncio.wait([reader], timeout=0.05)
                finally:
                    go_on.set()
                await reader

        assert not gone_on

    async def test_what_waits_for_too_long_is_given_up_without_the_store(self, directory: Path, keys: Keys) -> None:
        """However long the store is away, clicks leave the disk when their time is over, and make room for new ones."""
        expired, now = lost("spool_expired"), 1_000.0
        url = f"unix://{directory}/store.sock"
        async with recording(url, keys, directory, spool_max_bytes=2_000, clock=lambda: now) as recorder:
            for number in range(50):
                await record(recorder, number)
            kept, full = recorder._spool.clicks, lost("spool_full")
            now += SPOOL_SECONDS + 1
            await until(lambda: not list(directory.glob("spool-p/*.frames")))
            await until(lambda: waiting_on_disk() == 0)
            await record(recorder, 50)

            assert recorder._spool.clicks == 1
        assert 0 < kept < 50
        assert (lost("spool_expired") - expired, lost("spool_full")) == (kept, full)


class TestADiskInTrouble:
    async def test_a_full_spool_lets_readers_go_on(
        self, directory: Path, keys: Keys, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What has no room is counted by its reason, and said at once and at the end, not once a click."""
        before = lost("spool_full")
        url = f"unix://{directory}/store.sock"
        async with recording(url, keys, directory, spool_max_bytes=2_000) as recorder:
            with caplog.at_level(logging.ERROR):
                for number in range(50):
                    await record(recorder, number)
            kept = recorder._spool.clicks
            counted = lost("spool_full") - before
            with own_store("valkey", directory):
                await until_replayed(recorder)
                await record(recorder, 50)
                with asked(url) as admin:
                    assert stored(admin, keys) == Counter([*click_ids(range(kept)), "test-32"])

        assert (kept + counted, kept > 0) == (50, True)
        said = [entry.partition(":")[0] for entry in caplog.messages if "lost" in entry]
        assert said == ["1 click is lost", f"{counted - 1:.0f} clicks are lost"]

    async def test_a_disk_that_refuses_lets_readers_go_on(
        self, directory: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Store dead and disk broken: every reader goes on, every click is counted as lost, and both may come back."""
        before = lost("spool_failed")
        async with recording(f"unix://{directory}/store.sock", keys, directory) as recorder:
            with monkeypatch.context() as broken:
                broken.setattr(os, "fdatasync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
                for number in range(20):
                    await record(recorder, number)
            counted = lost("spool_failed") - before
            await record(recorder, 20)
            with own_store("valkey", directory) as url:
                await until_replayed(recorder)
                with asked(url) as admin:
                    assert stored(admin, keys) == Counter(click_ids(range(20, 21)))

        assert counted == 20

    async def test_what_was_sent_leaves_a_disk_that_recovers(
        self, directory: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Though nobody clicks any more."""
        segments = (directory / "spool-p").glob
        async with recording(f"unix://{directory}/store.sock", keys, directory) as recorder:
            await record(recorder, 1)
            monkeypatch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
            with own_store("valkey", directory):
                await until_replayed(recorder)
                stayed = len(list(segments("*.frames")))
                monkeypatch.undo()
                await until(lambda: recorder._spool.is_tidy)

                assert (stayed, list(segments("*.frames"))) == (1, [])
