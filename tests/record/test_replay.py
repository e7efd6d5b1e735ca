"""What went to the disk arrives once, in its order, when the store is back."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from redirector.clicks import packed
from redirector.frames import Frame
from redirector.spool import Spool
from redirector.store.clicks import ClickAppender
from redirector.store.keys import Keys
from tests.builders import a_click
from tests.recorders import (
    DEADLINE_SECONDS,
    click_ids,
    ids,
    record,
    recording,
    spooled,
    until_replayed,
    waited_for_in_vain,
)
from tests.store.stores import relayed, until, until_closed


class TestReplay:
    async def test_a_lost_reply_doubles_nothing(
        self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The store took the batch, and nobody heard of it: it comes from the spool under its old name, and is once."""
        async with recording(store_url, keys, tmp_path) as recorder:
            real, replies = recorder._appender._connection.read_response, 0

            async def lose_the_reply(*arguments: Any, **named: Any) -> Any:
                nonlocal replies
                replies += 1
                reply = await real(*arguments, **named)
                if replies == 1:
                    raise ConnectionResetError("lost")
                return reply

            monkeypatch.setattr(recorder._appender._connection, "read_response", lose_the_reply)
            before = spooled()
            await record(recorder, 1, 2)
            await until_replayed(recorder)
            await record(recorder, 3)

            assert spooled() == before + 2
        assert await ids(redis, keys) == click_ids(range(1, 4))

    async def test_what_an_earlier_process_left_is_sent(
        self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path
    ) -> None:
        """Under its own name, so that what the store has of it already is not taken again."""
        spool = Spool(tmp_path / "spool-p", max_bytes=10**6, max_age_seconds=100, lost=lambda *_: None)
        spool.open()
        appender = ClickAppender(store_url, keys, deadline_seconds=5)
        await appender.open()
        for number in range(1, 6):
            batch = Frame("killed-1", number, [packed(a_click(number))])
            spool.append(batch)
            if number <= 2:
                await appender.append(batch.recorder, batch.number, batch.clicks)
        await appender.close()
        async with recording(store_url, keys, tmp_path) as recorder:
            await until_replayed(recorder)

        assert await ids(redis, keys) == click_ids(range(1, 6))

    async def test_new_clicks_do_not_wait_for_old_ones(
        self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path
    ) -> None:
        """While a long spool is being sent, clicks that come go to the store directly."""
        spool = Spool(tmp_path / "spool-p", max_bytes=10**8, max_age_seconds=100, lost=lambda *_: None)
        spool.open()
        for number in range(1, 301):
            spool.append(Frame("old-1", number, [packed(a_click(1000 + number))] * 20))
        async with recording(store_url, keys, tmp_path) as recorder:
            before = spooled()
            await record(recorder, *range(10))
            early = await redis.xlen(keys.clicks())
            await until_replayed(recorder)

        assert spooled() == before
        assert early < 6_010
        assert await redis.xlen(keys.clicks()) == 6_010

    async def test_a_reset_connection_is_waited_out(
        self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path
    ) -> None:
        """A connection that was reset while nobody clicked sends the next click over the disk; none is lost."""
        async with relayed(store_url) as (url, reset), recording(url, keys, tmp_path) as recorder:
            await record(recorder, 1)
            reset()
            await until_closed(recorder._appender._connection)
            await record(recorder, 2)
            await until_replayed(recorder)
            await record(recorder, 3)

        assert await ids(redis, keys) == click_ids(range(1, 4))

    async def test_a_store_that_is_too_slow_still_gets_them(
        self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path
    ) -> None:
        """A store whose every answer is later than the deadline keeps no reader for long, and has all clicks once."""
        async with (
            relayed(store_url, late_seconds=lambda: 3 * DEADLINE_SECONDS) as (url, _),
            recording(url, keys, tmp_path, deadline_seconds=DEADLINE_SECONDS) as recorder,
        ):
            waits = []
            for number in range(8):
                began = time.monotonic()
                await record(recorder, number)
                waits.append(time.monotonic() - began)
            await until(lambda: recorder._spool.clicks == 0)

        assert await ids(redis, keys) == click_ids(range(8))
        assert sum(wait > DEADLINE_SECONDS for wait in waits) <= 3

    async def test_a_store_that_is_late_now_and_then_keeps_few(
        self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path
    ) -> None:
        """However often that is within a second, two readers wait for the deadline; then it is given another chance."""
        before = waited_for_in_vain()
        now, late_seconds = 1000.0, 0.0
        async with (
            relayed(store_url, late_seconds=lambda: late_seconds) as (url, _),
            recording(url, keys, tmp_path, deadline_seconds=DEADLINE_SECONDS, clock=lambda: now) as recorder,
        ):
            for number in range(0, 15, 3):
                late_seconds = 3 * DEADLINE_SECONDS
                await record(recorder, number)
                late_seconds = 0.0
                for quick in (number + 1, number + 2):  # when the second is sent, the replay is through with the first
                    await record(recorder, quick)
                    await until(lambda: recorder._spool.clicks == 0)
            waited = waited_for_in_vain() - before
            now += 1
            await until_replayed(recorder)

        assert Counter(await ids(redis, keys)) == Counter(click_ids(range(15)))
        assert waited == 2
