"""Recording: a click is safe before its reader goes on, it arrives once, and no reader waits for a store in trouble."""

import asyncio
import logging
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from redirector.clicks import packed
from redirector.frames import Frame
from redirector.record import Recorder
from redirector.spool import Spool
from redirector.store.clicks import ClickAppender
from redirector.store.keys import Keys
from tests.builders import a_click
from tests.recorders import SPOOL_SECONDS, all_lost, lost, recording, until_replayed
from tests.store.stores import asked, entries, frozen, kill, on_both_stores, own_store, relayed, until, until_closed

DEADLINE_SECONDS = 0.1
SLACK_SECONDS = 0.5


def store_up() -> float | None:
    """What the metrics say of the store."""
    return REGISTRY.get_sample_value("redirector_store_up")


def spooled() -> float:
    """How many clicks went to the disk so far."""
    return REGISTRY.get_sample_value("redirector_clicks_spooled_total") or 0


def waiting_on_disk() -> float | None:
    """How many clicks the metrics say are in the spool."""
    return REGISTRY.get_sample_value("redirector_spool_clicks")


def waited_for_in_vain() -> float:
    """How many batches kept their readers so far, and were then not acknowledged."""
    asked = REGISTRY.get_sample_value("redirector_record_duration_seconds_count") or 0
    acknowledged = REGISTRY.get_sample_value("redirector_record_batch_clicks_count") or 0
    return asked - acknowledged


def click_ids(numbers: range) -> list[str]:
    """The ids of the clicks of these numbers."""
    return [f"test-{number:x}" for number in numbers]


async def ids(redis: Redis, keys: Keys) -> list[str]:
    """The ids of the clicks in the stream."""
    return [fields[b"id"].decode() for _, fields in await entries(redis, keys.clicks())]


def stored(admin: SyncRedis, keys: Keys) -> Counter[str]:
    """How often each click is in the stream."""
    found: Any = admin.xrange(keys.clicks())
    return Counter(fields[b"id"].decode() for _, fields in found)


async def record(recorder: Recorder, *numbers: int) -> None:
    """Records clicks whose ids end in these numbers, at once."""
    await asyncio.gather(*(recorder.record(packed(a_click(number))) for number in numbers))


class TestWhileTheStoreAnswers:
    async def test_a_click_is_in_the_stream_when_its_reader_goes_on(
        self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path
    ) -> None:
        """What `record` returned from is there."""
        async with recording(store_url, keys, tmp_path) as recorder:
            await record(recorder, 1)

            assert await ids(redis, keys) == ["test-1"]

    async def test_readers_share_a_batch(self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path) -> None:
        """All clicks that wait at one moment go to the store in few calls, each click once."""
        before = REGISTRY.get_sample_value("redirector_record_batch_clicks_count") or 0
        async with recording(store_url, keys, tmp_path) as recorder:
            await record(recorder, *range(500))
        batches = (REGISTRY.get_sample_value("redirector_record_batch_clicks_count") or 0) - before

        assert Counter(await ids(redis, keys)) == Counter(click_ids(range(500)))
        assert 1 <= batches <= 5

    async def test_a_crowd_is_taken_in_several_batches(
        self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path
    ) -> None:
        """More clicks than one call may hold are all there, in the order in which they came."""
        async with recording(store_url, keys, tmp_path) as recorder:
            await record(recorder, *range(2_500))

        assert await ids(redis, keys) == click_ids(range(2_500))

    async def test_a_reader_who_goes_away_takes_nobody_along(
        self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path
    ) -> None:
        """A request that is cancelled while it waits leaves its batch whole: its click and the others are written."""
        async with recording(store_url, keys, tmp_path) as recorder:
            impatient = asyncio.create_task(recorder.record(packed(a_click(1))))
            patient = asyncio.create_task(record(recorder, 2, 3))
            await asyncio.sleep(0)
            impatient.cancel()
            await patient
            await record(recorder, 4)

        assert await ids(redis, keys) == click_ids(range(1, 5))

    async def test_only_so_many_may_wait(self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path) -> None:
        """Who finds the waiting room full goes on at once, and the click is counted as lost for that reason."""
        before = lost("too_many_waiting")
        async with recording(store_url, keys, tmp_path, waiting_max=3) as recorder:
            await record(recorder, *range(10))

        assert len(await ids(redis, keys)) == 3
        assert lost("too_many_waiting") == before + 7

    async def test_two_recorders_do_not_disturb_each_other(
        self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path
    ) -> None:
        """Each process numbers its own batches."""
        async with (
            recording(store_url, keys, tmp_path, producer="p") as one,
            recording(store_url, keys, tmp_path, producer="q") as two,
        ):
            for number in range(5):
                await asyncio.gather(record(one, 2 * number), record(two, 2 * number + 1))

        assert sorted(await ids(redis, keys)) == sorted(click_ids(range(10)))


class TestStopping:
    async def test_what_waits_is_written(self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path) -> None:
        """Clicks that wait when the recorder is stopped are written first."""
        async with recording(store_url, keys, tmp_path) as recorder:
            waiting = asyncio.create_task(record(recorder, 1, 2, 3))
            await asyncio.sleep(0)
        await waiting

        assert await ids(redis, keys) == click_ids(range(1, 4))

    async def test_what_waits_is_spooled_without_a_store(self, directory: Path, keys: Keys) -> None:
        """Nothing is left in memory, store or no store; the next start sends it."""
        async with recording(f"unix://{directory}/store.sock", keys, directory) as recorder:
            waiting = asyncio.create_task(record(recorder, 1, 2, 3))
            await asyncio.sleep(0)
        await waiting
        with own_store("valkey", directory) as url:
            async with recording(url, keys, directory) as recorder:
                await until_replayed(recorder)
            with asked(url) as admin:
                assert stored(admin, keys) == Counter(click_ids(range(1, 4)))

    async def test_after_the_end_nobody_waits(self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path) -> None:
        """A click that comes after the recorder was stopped is counted as lost, at once."""
        async with recording(store_url, keys, tmp_path) as recorder:
            pass
        before = lost("stopped")
        await record(recorder, 1)

        assert lost("stopped") == before + 1
        assert await ids(redis, keys) == []

    async def test_clicks_that_come_while_it_stops_are_written_or_lost(
        self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path
    ) -> None:
        """Whatever moment of the stop a click falls into, its reader goes on, and the click is written or counted."""
        before = lost("stopped")
        readers: list[asyncio.Task[None]] = []
        async with recording(store_url, keys, tmp_path) as recorder:
            stopping = asyncio.create_task(recorder.stop())
            while not stopping.done():
                readers.append(asyncio.create_task(record(recorder, len(readers))))
                await asyncio.sleep(0)
            async with asyncio.timeout(20):
                await asyncio.gather(*readers)

        assert len(await ids(redis, keys)) + lost("stopped") - before == len(readers)


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


@on_both_stores
class TestAStoreInTrouble:
    async def test_a_store_that_comes_later_is_found(self, kind: str, directory: Path, keys: Keys) -> None:
        """A recorder that began without its store keeps clicks on the disk, and sends them as soon as there is one."""
        before = all_lost()
        async with recording(f"unix://{directory}/store.sock", keys, directory) as recorder:
            began = time.monotonic()
            await record(recorder, *range(10))
            took = time.monotonic() - began
            up_before = store_up()
            with own_store(kind, directory) as url:
                await until_replayed(recorder)
                await record(recorder, 10)
                up_after = store_up()
                with asked(url) as admin:
                    assert stored(admin, keys) == Counter(click_ids(range(11)))

        assert took < SLACK_SECONDS
        assert (up_before, up_after, all_lost()) == (0, 1, before)

    async def test_a_store_that_is_back_is_up(self, kind: str, directory: Path, keys: Keys) -> None:
        """While readers are still kept from a store after several doubts, the metrics say whether it answers."""
        with own_store(kind, directory) as url:
            async with recording(
                url, keys, directory, deadline_seconds=DEADLINE_SECONDS, clock=lambda: 0.0
            ) as recorder:
                with frozen(url):
                    await record(recorder, 1)
                await until_replayed(recorder)
                with frozen(url):
                    await record(recorder, 2)
                await until(lambda: store_up() == 1)
                trusted = recorder._direct
                kill(url)
                await until(lambda: store_up() == 0)

        assert not trusted

    async def test_a_frozen_store_keeps_nobody(self, kind: str, directory: Path, keys: Keys) -> None:
        """Those who wait go on after the deadline, those who come later at once; after the thaw all are there once."""
        before = all_lost()
        with own_store(kind, directory) as url:
            async with recording(url, keys, directory, deadline_seconds=DEADLINE_SECONDS) as recorder:
                await record(recorder, 1)
                with frozen(url):
                    began = time.monotonic()
                    await record(recorder, *range(2, 12))
                    first = time.monotonic() - began
                    began = time.monotonic()
                    for number in range(12, 22):
                        await record(recorder, number)
                    later = time.monotonic() - began
                await record(recorder, *range(22, 32))
                await until_replayed(recorder)
                await record(recorder, 32)
            with asked(url) as admin:
                assert stored(admin, keys) == Counter(click_ids(range(1, 33)))

        assert first < 2 * DEADLINE_SECONDS + SLACK_SECONDS
        assert later < SLACK_SECONDS
        assert all_lost() == before

    async def test_who_waits_behind_a_frozen_batch_goes_on_with_it(
        self, kind: str, directory: Path, keys: Keys
    ) -> None:
        """Clicks that came while a batch was under way wait for its deadline, not for one of their own."""
        with own_store(kind, directory) as url:
            async with recording(url, keys, directory, deadline_seconds=DEADLINE_SECONDS) as recorder:
                with frozen(url):
                    first = asyncio.create_task(recorder.record(packed(a_click(1))))
                    await until(lambda: first.done() or not recorder._waiting)
                    began = time.monotonic()
                    await record(recorder, 2, 3)
                    took = time.monotonic() - began
                    await first
                await until_replayed(recorder)
            with asked(url) as admin:
                assert stored(admin, keys) == Counter(click_ids(range(1, 4)))

        assert took < 2 * DEADLINE_SECONDS + SLACK_SECONDS

    async def test_a_killed_store_loses_nothing(self, kind: str, directory: Path, keys: Keys) -> None:
        """Killed under load and started again over its data: every click is in the stream once."""
        before = all_lost()
        sent = 0
        with own_store(kind, directory, "--appendfsync", "always") as url:
            async with recording(url, keys, directory) as recorder:
                for _ in range(5):
                    await record(recorder, *range(sent, sent + 20))
                    sent += 20
                under_way = asyncio.create_task(record(recorder, *range(sent, sent + 20)))
                sent += 20
                await asyncio.sleep(0)
                kill(url)
                await under_way
                await record(recorder, *range(sent, sent + 20))
                sent += 20
                with own_store(kind, directory):
                    await until_replayed(recorder)
                    await record(recorder, *range(sent, sent + 20))
                    sent += 20
                    with asked(url) as admin:
                        assert stored(admin, keys) == Counter(click_ids(range(sent)))

        assert all_lost() == before

    @pytest.mark.parametrize(
        ("setting", "trouble", "usual"),
        [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0"), ("replicaof", "127.0.0.1 1", "no one")],
        ids=["out of memory", "too few replicas", "read-only"],
    )
    async def test_a_store_that_refuses_writes_is_waited_out(  # noqa: PLR0917 - three of them say what is wrong
        self, kind: str, directory: Path, keys: Keys, setting: str, trouble: str, usual: str
    ) -> None:
        """Clicks go to the disk until it takes them again; then all of them are there once."""
        before = all_lost()

        def put(value: str) -> None:
            with asked(url) as admin:
                if setting == "replicaof":
                    admin.replicaof(*value.split())
                else:
                    admin.config_set(setting, value)

        with own_store(kind, directory) as url:
            async with recording(url, keys, directory) as recorder:
                await record(recorder, 0)
                put(trouble)
                for number in range(1, 10):
                    await record(recorder, number)
                put(usual)
                await until_replayed(recorder)
                await record(recorder, 10)
            with asked(url) as admin:
                assert stored(admin, keys) == Counter(click_ids(range(11)))

        assert all_lost() == before

    async def test_a_store_that_asks_for_a_password_is_waited_out(self, kind: str, directory: Path, keys: Keys) -> None:
        """A password that somebody set keeps clicks on the disk until it is taken back."""
        with own_store(kind, directory) as url, asked(url) as admin:
            async with recording(url, keys, directory) as recorder:
                admin.config_set("requirepass", "geheim")
                admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                for number in range(5):
                    await record(recorder, number)
                admin.config_set("requirepass", "")
                await until_replayed(recorder)
            assert stored(admin, keys) == Counter(click_ids(range(5)))


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
