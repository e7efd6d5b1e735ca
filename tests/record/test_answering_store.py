"""While the store answers, a click is in the stream before its reader goes on; and nothing is left at the end."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from redis.asyncio import Redis

from redirector.clicks import packed
from redirector.store.keys import Keys
from tests.builders import a_click
from tests.recorders import batches, click_ids, ids, lost, record, recording, stored, until_replayed
from tests.store.stores import asked, own_store, until


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
        before = batches()
        async with recording(store_url, keys, tmp_path) as recorder:
            await record(recorder, *range(500))

        assert Counter(await ids(redis, keys)) == Counter(click_ids(range(500)))
        assert 1 <= batches() - before <= 5

    async def test_a_crowd_is_taken_in_several_batches(
        self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path
    ) -> None:
        """More clicks than one call may hold are all there, in the order in which they came."""
        async with recording(store_url, keys, tmp_path) as recorder:
            await record(recorder, *range(2_500))

        assert await ids(redis, keys) == click_ids(range(2_500))

    async def test_a_reader_who_goes_away_takes_nobody_along(
        self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path, caplog: pytest.LogCaptureFixture
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
        assert caplog.messages == []

    async def test_only_so_many_may_wait(self, store_url: str, redis: Redis, keys: Keys, tmp_path: Path) -> None:
        """Who finds the waiting room full goes on at once, and the click is counted as lost for that reason."""
        before = lost("too_many_waiting")
        async with recording(store_url, keys, tmp_path, waiting_max=3) as recorder:
            await record(recorder, *range(10))

        assert len(await ids(redis, keys)) == 3
        assert lost("too_many_waiting") == before + 7

    @pytest.mark.parametrize("waiting_max", [10, 0], ids=["taken", "too many wait"])
    async def test_whoever_hands_in_goes_on_later(
        self, store_url: str, keys: Keys, tmp_path: Path, waiting_max: int
    ) -> None:
        """Never out of the call that handed the click in, whatever becomes of it; and once."""
        went_on: list[int] = []
        async with recording(store_url, keys, tmp_path, waiting_max=waiting_max) as recorder:
            recorder.hand_in(packed(a_click(1)), lambda: went_on.append(1))

            assert went_on == []
            await until(lambda: went_on)
        assert went_on == [1]

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

    async def test_after_the_end_whoever_hands_in_goes_on_later(
        self, store_url: str, keys: Keys, tmp_path: Path
    ) -> None:
        """Not out of the call, as at any other time."""
        async with recording(store_url, keys, tmp_path) as recorder:
            pass
        went_on: list[int] = []
        recorder.hand_in(packed(a_click(1)), lambda: went_on.append(1))

        assert went_on == []
        await until(lambda: went_on)

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
