"""Errors that nobody foresaw: they cost the clicks at hand at the most, and keep no reader."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from redirector.clicks import packed
from redirector.frames import Frame
from redirector.spool import Spool
from redirector.store.keys import Keys
from tests.builders import a_click
from tests.recorders import click_ids, ids, lost, record, recording, until_replayed
from tests.store.stores import until


class Unheard(BaseException):
    """What no `except Exception` stops."""


class TestTheUnforeseen:
    """What nobody foresaw costs the clicks that it struck, and keeps no reader."""

    async def test_a_batch_that_fails_is_lost_alone(  # noqa: PLR0917 - fixtures
        self,
        store_url: str,
        redis: Redis,
        keys: Keys,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Its readers go on, its clicks are counted, the error is named; clicks before and after are in the stream."""
        before = lost("failed")
        async with recording(store_url, keys, tmp_path) as recorder, asyncio.timeout(20):
            await record(recorder, 1)
            with monkeypatch.context() as broken:
                broken.setattr(recorder._appender, "append", lambda *_: 1 // 0)
                await record(recorder, 2, 3)
            await record(recorder, 4)
            await until_replayed(recorder)
            await record(recorder, 5)

        assert await ids(redis, keys) == ["test-1", "test-4", "test-5"]
        assert lost("failed") == before + 2
        assert any(said.startswith("2 clicks are lost: ZeroDivisionError in ") for said in caplog.messages)

    async def test_a_disk_that_fails_in_an_odd_way_keeps_nobody(
        self, directory: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same where the store is away, and the spool raises what it never should."""
        before = lost("failed")
        async with recording(f"unix://{directory}/store.sock", keys, directory) as recorder, asyncio.timeout(20):
            with monkeypatch.context() as broken:
                broken.setattr(recorder._spool, "append", lambda _: 1 // 0)
                await record(recorder, 1)
            await record(recorder, 2)

            assert recorder._spool.clicks == 1
        assert lost("failed") == before + 1

    async def test_a_reader_who_cannot_be_sent_on_keeps_nobody_else(
        self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The others of its batch go on, its click is in the stream, and the error is named."""

        def fail() -> None:
            raise ZeroDivisionError

        async with recording(store_url, keys, tmp_path) as recorder, asyncio.timeout(20):
            recorder.hand_in(packed(a_click(1)), fail)
            await record(recorder, 2)
            await record(recorder, 3)

        assert await ids(redis, keys) == ["test-1", "test-2", "test-3"]
        assert any("could not be sent on: ZeroDivisionError in " in said for said in caplog.messages)

    async def test_a_writer_that_dies_leaves_nobody_waiting(
        self, store_url: str, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Those in its batch, those behind it and those who come later go on, all counted; its process can end."""
        failed, stopped = lost("failed"), lost("stopped")
        with pytest.raises(Unheard):
            async with recording(store_url, keys, tmp_path) as recorder, asyncio.timeout(20):
                behind: list[asyncio.Task[None]] = []

                async def die(_: object) -> None:
                    behind.append(asyncio.create_task(record(recorder, 3, 4)))
                    while len(recorder._waiting) < 2:  # noqa: ASYNC110 - there is no event for it
                        await asyncio.sleep(0)
                    raise Unheard

                monkeypatch.setattr(recorder, "_write", die)
                await record(recorder, 1, 2)
                await behind[0]
                await recorder.ended()
                await record(recorder, 5)

        assert (lost("failed") - failed, lost("stopped") - stopped) == (4, 1)

    async def test_a_replay_that_fails_is_tried_again(  # noqa: PLR0917 - fixtures
        self,
        store_url: str,
        redis: Redis,
        keys: Keys,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """An error that nobody foresaw is logged, and what is on the disk is sent nevertheless, once."""
        failures = iter(range(3))
        spool = Spool(tmp_path / "spool-p", max_bytes=10**6, max_age_seconds=100, lost=lambda *_: None)
        spool.open()
        spool.append(Frame("killed-1", 1, [packed(a_click(1))]))
        real = Spool.read

        def read(spool: Spool) -> Any:
            return real(spool) if next(failures, None) is None else 1 // 0

        monkeypatch.setattr(Spool, "read", read)
        async with recording(store_url, keys, tmp_path) as recorder:
            await record(recorder, 2)
            await until(lambda: recorder._spool.clicks == 0)

        assert sorted(await ids(redis, keys)) == click_ids(range(1, 3))
        assert sum("cannot be sent: ZeroDivisionError" in said for said in caplog.messages) == 3
