"""Recording: a click is in the stream before its reader goes on, and no reader waits for a store in trouble."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import REGISTRY
from redis.asyncio import Redis

from redirector.clicks import packed
from redirector.record import Recorder
from redirector.store.clicks import ClickAppender
from redirector.store.keys import Keys
from tests.builders import a_click
from tests.store.stores import asked, entries, frozen, kill, on_both_stores, own_store, relayed, until, until_closed

DEADLINE_SECONDS = 0.1
SLACK_SECONDS = 0.5
PATIENCE_SECONDS = 20.0


@asynccontextmanager
async def recording(url: str, keys: Keys, *, waiting_max: int = 10_000, producer: str = "p") -> AsyncIterator[Recorder]:
    """A recorder that runs."""
    appender = ClickAppender(url, keys, deadline_seconds=DEADLINE_SECONDS)
    recorder = Recorder(appender, producer=producer, waiting_max=waiting_max)
    await recorder.start()
    try:
        yield recorder
    finally:
        await recorder.stop()


def lost(reason: str) -> float:
    """Clicks counted as lost for this reason so far."""
    return REGISTRY.get_sample_value("redirector_clicks_lost_total", {"reason": reason}) or 0


def store_up() -> float | None:
    """What the metrics say of the store."""
    return REGISTRY.get_sample_value("redirector_store_up")


async def ids(redis: Redis, keys: Keys) -> list[str]:
    """The ids of the clicks in the stream."""
    return [fields[b"id"].decode() for _, fields in await entries(redis, keys.clicks())]


async def record(recorder: Recorder, *numbers: int) -> None:
    """Records clicks whose ids end in these numbers, at once."""
    await asyncio.gather(*(recorder.record(packed(a_click(number))) for number in numbers))


async def until_recording(recorder: Recorder) -> None:
    """Waits until the recorder has found its store."""
    await until(lambda: recorder._accepting)


async def test_a_click_is_in_the_stream_when_its_reader_goes_on(store_url: str, redis: Redis, keys: Keys) -> None:
    """What `record` returned from is there."""
    async with recording(store_url, keys) as recorder:
        await record(recorder, 1)

        assert await ids(redis, keys) == ["test-1"]


async def test_readers_share_a_batch(store_url: str, redis: Redis, keys: Keys) -> None:
    """All clicks that wait at one moment go to the store in few calls, each click once."""
    before = REGISTRY.get_sample_value("redirector_record_batch_clicks_count") or 0
    async with recording(store_url, keys) as recorder:
        await record(recorder, *range(500))
    batches = (REGISTRY.get_sample_value("redirector_record_batch_clicks_count") or 0) - before

    assert Counter(await ids(redis, keys)) == Counter(f"test-{number:x}" for number in range(500))
    assert 1 <= batches <= 5


async def test_a_crowd_is_taken_in_several_batches(store_url: str, redis: Redis, keys: Keys) -> None:
    """More clicks than one call may hold are all there, in the order in which they came."""
    async with recording(store_url, keys) as recorder:
        await record(recorder, *range(2_500))

    assert await ids(redis, keys) == [f"test-{number:x}" for number in range(2_500)]


async def test_stopping_writes_what_waits(store_url: str, redis: Redis, keys: Keys) -> None:
    """Clicks that wait when the recorder is stopped are written first."""
    async with recording(store_url, keys) as recorder:
        waiting = asyncio.create_task(record(recorder, 1, 2, 3))
        await asyncio.sleep(0)
    await waiting

    assert await ids(redis, keys) == ["test-1", "test-2", "test-3"]


async def test_after_the_end_nobody_waits(store_url: str, redis: Redis, keys: Keys) -> None:
    """A click that comes after the recorder was stopped is counted as lost, at once."""
    async with recording(store_url, keys) as recorder:
        pass
    before = lost("store_unavailable")
    await record(recorder, 1)

    assert lost("store_unavailable") == before + 1
    assert await ids(redis, keys) == []


async def test_clicks_that_come_while_it_stops_are_written_or_lost(store_url: str, redis: Redis, keys: Keys) -> None:
    """Whatever moment of the stop a click falls into, its reader goes on, and the click is written or counted."""
    before = lost("store_unavailable")
    async with recording(store_url, keys) as recorder:
        stopping = asyncio.create_task(recorder.stop())
        readers: list[asyncio.Task[None]] = []
        while not stopping.done():
            readers.append(asyncio.create_task(record(recorder, len(readers))))
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*readers)

    assert len(await ids(redis, keys)) + lost("store_unavailable") - before == len(readers)


async def test_stopping_what_never_began(store_url: str, keys: Keys) -> None:
    """A recorder that was not started can be stopped."""
    recorder = Recorder(ClickAppender(store_url, keys, deadline_seconds=1), producer="p", waiting_max=1)
    await recorder.stop()
    before = lost("store_unavailable")
    await record(recorder, 1)

    assert lost("store_unavailable") == before + 1


async def test_a_reader_who_goes_away_takes_nobody_along(store_url: str, redis: Redis, keys: Keys) -> None:
    """A request that is cancelled while it waits leaves its batch whole: its click and the others are written."""
    async with recording(store_url, keys) as recorder:
        impatient = asyncio.create_task(recorder.record(packed(a_click(1))))
        patient = asyncio.create_task(record(recorder, 2, 3))
        await asyncio.sleep(0)
        impatient.cancel()
        await patient
        await record(recorder, 4)

    assert await ids(redis, keys) == ["test-1", "test-2", "test-3", "test-4"]


async def test_only_so_many_may_wait(store_url: str, redis: Redis, keys: Keys) -> None:
    """Who finds the waiting room full goes on at once, and the click is counted as lost for that reason."""
    before = lost("too_many_waiting")
    async with recording(store_url, keys, waiting_max=3) as recorder:
        await record(recorder, *range(10))

    assert len(await ids(redis, keys)) == 3
    assert lost("too_many_waiting") == before + 7


async def test_two_recorders_do_not_disturb_each_other(store_url: str, redis: Redis, keys: Keys) -> None:
    """Each process numbers its own batches."""
    async with recording(store_url, keys, producer="p") as one, recording(store_url, keys, producer="q") as two:
        for number in range(5):
            await asyncio.gather(record(one, 2 * number), record(two, 2 * number + 1))

    assert sorted(await ids(redis, keys)) == sorted(f"test-{number:x}" for number in range(10))


async def test_without_a_store_nobody_waits(directory: Path, keys: Keys) -> None:
    """Where there never was a store, a click is counted as lost at once, and the store as down."""
    before = lost("store_unavailable")
    async with recording(f"unix://{directory}/none.sock", keys) as recorder:
        began = time.monotonic()
        await record(recorder, *range(100))
        took = time.monotonic() - began
        up = store_up()

    assert took < SLACK_SECONDS
    assert lost("store_unavailable") == before + 100
    assert up == 0


@on_both_stores
async def test_a_store_that_comes_later_is_found(kind: str, directory: Path, keys: Keys) -> None:
    """A recorder that began without its store records as soon as there is one."""
    async with recording(f"unix://{directory}/store.sock", keys) as recorder:
        with own_store(kind, directory) as url:
            await until_recording(recorder)
            await record(recorder, 1)
            with asked(url) as admin:
                assert admin.xlen(keys.clicks()) == 1
            assert store_up() == 1


@on_both_stores
async def test_a_frozen_store_keeps_nobody(kind: str, directory: Path, keys: Keys) -> None:
    """Those who wait go on after the deadline, those who come later at once; each click is counted as lost."""
    with own_store(kind, directory) as url:
        async with recording(url, keys) as recorder:
            await record(recorder, 1)
            in_doubt, unavailable = lost("in_doubt"), lost("store_unavailable")
            with frozen(url):
                began = time.monotonic()
                await record(recorder, *range(2, 12))
                first = time.monotonic() - began
                began = time.monotonic()
                await record(recorder, *range(12, 22))
                later = time.monotonic() - began
                counted = lost("in_doubt") - in_doubt, lost("store_unavailable") - unavailable
            await until_recording(recorder)
            await record(recorder, *range(22, 32))
        with asked(url) as admin:
            stored = Counter(fields[b"id"].decode() for _, fields in admin.xrange(keys.clicks()))

    assert first < 2 * DEADLINE_SECONDS + SLACK_SECONDS
    assert later < DEADLINE_SECONDS
    assert counted == (10.0, 10.0)
    assert set(stored.values()) == {1}
    assert {f"test-{number:x}" for number in (1, *range(22, 32))} <= stored.keys()


@on_both_stores
async def test_who_waits_behind_a_frozen_batch_goes_on_with_it(kind: str, directory: Path, keys: Keys) -> None:
    """Clicks that came while a batch was under way are let go with it, when it is given up."""
    with own_store(kind, directory) as url:
        async with recording(url, keys) as recorder:
            unavailable = lost("store_unavailable")
            with frozen(url):
                first = asyncio.create_task(recorder.record(packed(a_click(1))))
                await asyncio.sleep(0)
                assert recorder._waiting
                await until(lambda: not recorder._waiting)
                began = time.monotonic()
                await record(recorder, 2, 3)
                took = time.monotonic() - began
                await first

    assert took < 2 * DEADLINE_SECONDS + SLACK_SECONDS
    assert lost("store_unavailable") == unavailable + 2


@on_both_stores
async def test_a_killed_store_loses_nothing_that_was_acknowledged(kind: str, directory: Path, keys: Keys) -> None:
    """Killed under load and started again: what was not counted as lost is in the stream, and everything once."""
    sent = 0
    before = lost("in_doubt") + lost("store_unavailable")
    with own_store(kind, directory, "--appendfsync", "always") as url:
        async with recording(url, keys) as recorder:
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
                await until_recording(recorder)
                await record(recorder, *range(sent, sent + 20))
                sent += 20
                with asked(url) as admin:
                    stored = Counter(fields[b"id"].decode() for _, fields in admin.xrange(keys.clicks()))
    unacknowledged = lost("in_doubt") + lost("store_unavailable") - before

    assert set(stored.values()) == {1}
    assert sent - unacknowledged <= len(stored) <= sent
    assert {f"test-{number:x}" for number in (*range(100), *range(sent - 20, sent))} <= stored.keys()


@on_both_stores
async def test_a_store_without_memory_is_waited_out(kind: str, directory: Path, keys: Keys) -> None:
    """A store that refuses to write loses clicks, not the recorder: with memory again, it takes them again."""
    with own_store(kind, directory) as url, asked(url) as admin:
        async with recording(url, keys) as recorder:
            in_doubt = lost("in_doubt")
            admin.config_set("maxmemory", "1")
            await record(recorder, 1)
            admin.config_set("maxmemory", "0")
            await until_recording(recorder)
            await record(recorder, 2)

        assert lost("in_doubt") == in_doubt + 1
        assert [fields[b"id"] for _, fields in admin.xrange(keys.clicks())] == [b"test-2"]


async def test_a_reset_connection_is_waited_out(store_url: str, redis: Redis, keys: Keys) -> None:
    """A connection that was reset while nobody clicked costs the next click at most, never the recorder."""
    async with relayed(store_url) as (url, reset), recording(url, keys) as recorder:
        await record(recorder, 1)
        reset()
        await until_closed(recorder._appender._connection)
        await record(recorder, 2)
        await until_recording(recorder)
        await record(recorder, 3)

    assert await ids(redis, keys) == ["test-1", "test-3"]
