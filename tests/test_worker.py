"""The consumer's loop: whatever stops it or its store, each click is counted once."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from redirector.clicks import packed
from redirector.count import TRIES, Tally
from redirector.store.clicks import ClickAppender, ClickStream
from redirector.store.connection import connected
from redirector.store.counters import Counters
from redirector.store.keys import Keys
from redirector.worker import BATCH, Worker
from tests.builders import a_click, fields_of
from tests.store.stores import entries, frozen, kill, on_both_stores, own_store
from tests.streams import judging, next_of

GROUP = "counting"
PATIENCE_SECONDS = 20.0


class Counting:
    """Consumers of one group over one store, and the sum of what they counted."""

    def __init__(self, url: str, redis: Redis, keys: Keys) -> None:
        self.url = url
        self.redis = redis
        self.keys = keys
        self.counters = Counters(redis, keys)

    async def click(self, recorder: str, clicks: int, **properties: Any) -> None:
        """Appends so many clicks; the same recorder's second call adds nothing."""
        appender = ClickAppender(self.url, self.keys, deadline_seconds=5)
        await appender.open()
        await appender.append(recorder, 1, [packed(a_click(number, **properties)) for number in range(clicks)])
        await appender.close()

    def stream(self, consumer: str) -> ClickStream:
        """The stream as this consumer sees it."""
        return ClickStream(self.redis, self.keys, group=GROUP, consumer=consumer)

    def tally(self, stream: ClickStream) -> Tally:
        """What counts for this consumer."""
        return Tally(stream, self.counters, self.keys)

    @asynccontextmanager
    async def worker(
        self, consumer: str = "one", claim_after_ms: int = 60_000, hold_ms: int = 0
    ) -> AsyncIterator[Worker]:
        """A worker that runs."""
        stream = self.stream(consumer)
        judges = judging(stream, self.redis, self.keys, hold_ms=hold_ms)
        worker = Worker(stream, judges, self.tally(stream).count, claim_after_ms=claim_after_ms)
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await running

    async def counted(self, clicks: int) -> None:
        """Waits until so many are counted, and nothing is left to be counted; fails if there are more."""
        await until(lambda total, lag: total >= clicks and lag == 0, self)
        assert await self.counters.totals() == {"human": clicks}


async def until(condition: Callable[[int, int | None], bool], counting: Counting) -> None:
    """Waits until the condition holds of how many are counted, and how many are not."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            totals = await counting.counters.totals()
            if condition(sum(totals.values()), await counting.stream("looker-on").lag()):
                return
            await asyncio.sleep(0.02)


async def all_given(counting: Counting, clicks: int, *, times: int = 1) -> None:
    """Waits until so many entries are pending, each of them given out so many times."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            pending: Any = await counting.redis.xpending_range(counting.keys.clicks(), GROUP, "-", "+", clicks)
            if [entry for entry in pending if entry["times_delivered"] >= times][clicks - 1 :]:
                return
            await asyncio.sleep(0.02)


@pytest.fixture
def counting(store_url: str, redis: Redis, keys: Keys) -> Counting:
    """Consumers over a stream of the test's own."""
    return Counting(store_url, redis, keys)


async def test_a_backlog_is_drained(counting: Counting) -> None:
    """Clicks that were recorded before any consumer ran are counted, in more than one batch."""
    await counting.click("p-1", 2 * BATCH + 1)

    async with counting.worker():
        await counting.counted(2 * BATCH + 1)


async def test_new_clicks_are_counted(counting: Counting) -> None:
    """A consumer that waits counts what comes."""
    async with counting.worker():
        for number in range(1, 4):
            await counting.click(f"p-{number}", 10)
            await counting.counted(10 * number)


async def test_what_was_begun_before_is_finished_first(counting: Counting) -> None:
    """Entries that this consumer was given before it died are counted once, after its restart."""
    await counting.click("p-1", 10)
    stream = counting.stream("one")
    await stream.join()
    assert len(await next_of(stream, 4)) == 4

    async with counting.worker("one"):
        await counting.counted(10)


async def test_what_a_dead_consumer_left_is_taken_over(counting: Counting) -> None:
    """Another consumer counts it, once it has lain for long enough."""
    await counting.click("p-1", 10)
    dead = counting.stream("dead")
    await dead.join()
    assert len(await next_of(dead, 4)) == 4

    async with counting.worker("alive", claim_after_ms=100):
        await counting.counted(10)


async def test_what_a_living_consumer_has_is_left_to_it(counting: Counting) -> None:
    """Entries that were given out just now are nobody else's."""
    await counting.click("p-1", 10)
    busy = counting.stream("busy")
    await busy.join()
    given = await next_of(busy, 4)

    async with counting.worker("other", claim_after_ms=60_000):
        await until(lambda total, _: total == 6, counting)
        assert await counting.tally(busy).count(await judging(busy, counting.redis, counting.keys).those(given)) == 4

    await counting.counted(10)


async def test_two_workers_share_the_stream(counting: Counting) -> None:
    """Each click goes to one of them."""
    async with counting.worker("one"), counting.worker("two"):
        for number in range(5):
            await counting.click(f"p-{number}", BATCH)

        await counting.counted(5 * BATCH)


async def test_restarts_lose_and_double_nothing(counting: Counting) -> None:
    """Stopped again and again in the middle of a backlog, the sum is right."""
    clicks = 10 * BATCH
    await counting.click("p-1", clicks)
    for _ in range(8):
        async with counting.worker():
            await asyncio.sleep(0.02)

    async with counting.worker():
        await counting.counted(clicks)


async def test_it_stops_soon(counting: Counting) -> None:
    """A worker that waits for clicks ends within the time of one blocking read."""
    await counting.stream("one").join()
    async with counting.worker():
        await until(lambda _, lag: lag == 0, counting)
        began = time.monotonic()

    assert time.monotonic() - began < 2


async def test_how_far_behind_it_is_can_be_seen(counting: Counting) -> None:
    """The lag is on the metrics, under the consumer group's name."""
    await counting.click("p-1", 10)

    async with counting.worker():
        await counting.counted(10)

    assert REGISTRY.get_sample_value("redirector_consumer_lag_clicks", {"consumer": GROUP}) == 0


async def test_a_group_that_somebody_destroyed_counts_nothing_twice(counting: Counting) -> None:
    """The consumer makes it again, behind what was counted, and goes on."""
    async with counting.worker():
        await counting.click("p-1", 10)
        await counting.counted(10)
        await counting.redis.xgroup_destroy(counting.keys.clicks(), GROUP)
        await counting.click("p-2", 5)
        await until(lambda total, _: total >= 15, counting)

    assert await counting.counters.totals() == {"human": 15}


async def test_a_stream_that_somebody_removed_is_begun_anew(counting: Counting) -> None:
    """What was counted stays, and what comes is counted."""
    async with counting.worker():
        await counting.click("p-1", 10)
        await counting.counted(10)
        await counting.redis.delete(counting.keys.clicks())
        await counting.click("p-2", 5)
        await until(lambda total, _: total >= 15, counting)

    assert await counting.counters.totals() == {"human": 15}


async def test_what_a_counter_refuses_keeps_nothing_back(counting: Counting) -> None:
    """Clicks behind those that cannot be counted are counted; those are set aside after a few tries, once each."""
    refusing = counting.keys.unique_of_campaign("broken")
    await counting.redis.set(refusing, "no HyperLogLog")
    await counting.click("p-1", 10, campaign="broken")
    async with counting.worker(claim_after_ms=1):
        await counting.click("p-2", BATCH)
        await until(lambda total, lag: total == BATCH and lag == 0, counting)

    assert await counting.counters.totals() == {"human": BATCH}
    poison = [fields[b"poison_reason"].decode() for _, fields in await entries(counting.redis, counting.keys.poison())]
    assert poison == [f"{refusing} does not hold what clicks are added to"] * 10


async def test_what_a_counter_refused_is_counted_once_it_takes_it(counting: Counting) -> None:
    """When somebody removes the wrong key in time, every click is counted, after a restart too, and none twice."""
    refusing = counting.keys.by_link("news")
    await counting.redis.set(refusing, "no hash")
    await counting.click("p-1", 10)
    async with counting.worker("one"):
        await until(lambda _, lag: lag == 10, counting)
        await all_given(counting, 10)
    await counting.redis.delete(refusing)

    async with counting.worker("two", claim_after_ms=1):
        await counting.counted(10)

    assert await counting.counters.by_link("news") == {("7", "human"): 10}
    assert await counting.redis.xlen(counting.keys.poison()) == 0


async def test_no_click_is_set_aside_while_none_can_be_counted(counting: Counting) -> None:
    """The totals are every click's: while they refuse, the clicks wait, however often they are tried."""
    await counting.redis.set(counting.keys.totals(), "no hash")
    await counting.click("p-1", 10)
    await counting.stream("one").join()
    async with counting.worker(claim_after_ms=1):
        await all_given(counting, 10, times=TRIES + 1)
        await counting.redis.delete(counting.keys.totals())
        await counting.counted(10)

    assert await counting.redis.xlen(counting.keys.poison()) == 0


@on_both_stores
async def test_no_click_is_set_aside_while_the_store_takes_nothing(kind: str, directory: Path, keys: Keys) -> None:
    """A store without memory refuses everything: the clicks wait, and are counted once when it has room."""
    with own_store(kind, directory) as url:
        async with connected(url) as client:
            counting = Counting(url, client, keys)
            await counting.click("p-1", 10)
            await counting.stream("one").join()
            await client.config_set("maxmemory", "1")
            async with counting.worker(claim_after_ms=1):
                await all_given(counting, 10, times=TRIES + 1)
                await client.config_set("maxmemory", "0")
                await counting.counted(10)

            assert await client.xlen(keys.poison()) == 0


@on_both_stores
async def test_a_store_that_was_frozen_is_waited_out(kind: str, directory: Path, keys: Keys) -> None:
    """What was under way when the store froze is counted once after the thaw."""
    with own_store(kind, directory) as url:
        async with connected(url, answer_within_seconds=0.9) as client:
            counting = Counting(url, client, keys)
            await counting.click("p-1", 4 * BATCH)
            async with counting.worker():
                await until(lambda total, _: total > 0, counting)
                with frozen(url):
                    await asyncio.sleep(1.5)
                await counting.counted(4 * BATCH)


@on_both_stores
async def test_a_store_that_died_is_waited_out(
    kind: str, directory: Path, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed and started again over its data: every click that it acknowledged is counted once, and it was said why."""
    with own_store(kind, directory, "--appendfsync", "always") as url:
        async with connected(url) as client:
            counting = Counting(url, client, keys)
            await counting.click("p-1", 4 * BATCH)
            with caplog.at_level(logging.WARNING):
                async with counting.worker():
                    await until(lambda total, _: total > 0, counting)
                    kill(url)
                    await asyncio.sleep(1)
                    with own_store(kind, directory, "--appendfsync", "always"):
                        await counting.counted(4 * BATCH)

    assert any("counting waits for the store" in record.message for record in caplog.records)


@on_both_stores
async def test_a_store_that_forgot_everything_is_begun_anew(kind: str, directory: Path, keys: Keys) -> None:
    """A store that was flushed has no group: the consumer joins again, and counts what comes."""
    with own_store(kind, directory) as url:
        async with connected(url) as client:
            counting = Counting(url, client, keys)
            async with counting.worker():
                await counting.click("p-1", 3)
                await counting.counted(3)
                await client.flushall()
                await counting.click("p-2", 5)
                await until(lambda total, _: total == 5, counting)


@on_both_stores
async def test_it_says_that_it_has_joined(kind: str, directory: Path, keys: Keys) -> None:
    """At the start, and again after the store forgot everything, what others should know of it with it."""
    joined = asyncio.Queue[bool]()

    async def note() -> None:
        await joined.put(True)

    with own_store(kind, directory) as url:
        async with connected(url) as client:
            counting = Counting(url, client, keys)
            stream = counting.stream("one")
            judges = judging(stream, client, keys)
            worker = Worker(stream, judges, counting.tally(stream).count, claim_after_ms=60_000, joined=note)
            running = asyncio.create_task(worker.run())
            async with asyncio.timeout(PATIENCE_SECONDS):
                await joined.get()
                await client.flushall()
                await joined.get()
            worker.stop()
            await running


async def test_another_stream_is_counted_from_its_beginning(counting: Counting) -> None:
    """A stream that was made anew under a clock that had jumped back holds nothing that was counted already."""
    async with counting.worker():
        await counting.click("p-1", 10)
        await counting.counted(10)
    await counting.redis.delete(counting.keys.clicks())
    await counting.redis.xadd(counting.keys.clicks(), fields_of(a_click(99)), id="1-1")

    async with counting.worker():
        await until(lambda total, _: total >= 11, counting)

    assert await counting.counters.totals() == {"human": 11}


async def test_an_answer_that_makes_no_sense_is_waited_out(caplog: pytest.LogCaptureFixture) -> None:
    """A store, or something in between, that answers with anything at all ends no worker; it is said once."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            writer.write(b":42\r\n" * 3)
        writer.close()

    listener = await asyncio.start_server(speak, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()
    async with connected(f"redis://{host}:{port}") as redis:
        counting = Counting("", redis, Keys("none"))
        async with counting.worker() as worker:
            await asyncio.sleep(1.2)
            worker.stop()
    listener.close()

    assert caplog.text.count("counting waits for the store") == 1
