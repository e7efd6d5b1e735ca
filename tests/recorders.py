"""Recorders that run, for tests of what records and of what stands before it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from redirector.clicks import packed
from redirector.losses import Losses
from redirector.metrics import CLICKS_LOST, hand_on
from redirector.record import Recorder
from redirector.spool import Spool
from redirector.store.clicks import ClickAppender
from redirector.store.keys import Keys
from tests.builders import a_click
from tests.store.stores import entries, until

# A machine that is busy with other tests may stall for longer than a store should.
PATIENT_SECONDS = 5.0

# As the program waits for its store, and what a busy machine adds to it.
DEADLINE_SECONDS = 0.1
SLACK_SECONDS = 0.5

# How long clicks may wait in the spool.
SPOOL_SECONDS = 3600.0


@asynccontextmanager
async def recording(
    url: str,
    keys: Keys,
    directory: Path,
    *,
    deadline_seconds: float = PATIENT_SECONDS,
    waiting_max: int = 10_000,
    producer: str = "p",
    spool_max_bytes: int = 100 * 1024 * 1024,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Recorder]:
    """A recorder that runs, with its spool in the directory; stopped in order at the end."""
    losses = Losses()
    spool = Spool(
        directory / f"spool-{producer}",
        max_bytes=spool_max_bytes,
        max_age_seconds=SPOOL_SECONDS,
        lost=losses.add_from_thread,
        clock=clock,
    )
    spool.open()
    recorder = Recorder(
        ClickAppender(url, keys, deadline_seconds=deadline_seconds),
        ClickAppender(url, keys, deadline_seconds=PATIENT_SECONDS),
        spool,
        losses=losses,
        producer=producer,
        waiting_max=waiting_max,
        clock=clock,
    )
    await recorder.start()
    try:
        yield recorder
    finally:
        async with asyncio.timeout(60):
            await recorder.stop()
        spool.close()


async def until_replayed(recorder: Recorder) -> None:
    """Waits until nothing is in the spool, and clicks go to the store directly again."""
    await until(lambda: recorder._direct and recorder._spool.clicks == 0)


def lost(reason: str) -> float:
    """Clicks counted as lost for this reason so far."""
    return REGISTRY.get_sample_value("redirector_clicks_lost_total", {"reason": reason}) or 0


def all_lost() -> float:
    """Clicks counted as lost so far, for whatever reason."""
    samples = (sample for metric in CLICKS_LOST.collect() for sample in metric.samples)
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


def store_up() -> float | None:
    """What the metrics say of the store."""
    return REGISTRY.get_sample_value("redirector_store_up")


def spooled() -> float:
    """How many clicks went to the disk so far."""
    return REGISTRY.get_sample_value("redirector_clicks_spooled_total") or 0


def waiting_on_disk() -> float | None:
    """How many clicks the metrics say are in the spool."""
    return REGISTRY.get_sample_value("redirector_spool_clicks")


def batches() -> float:
    """How many batches the store has acknowledged so far, as readers waited."""
    hand_on()
    return REGISTRY.get_sample_value("redirector_record_batch_clicks_count") or 0


def waited_for_in_vain() -> float:
    """How many batches kept their readers so far, and were then not acknowledged."""
    acknowledged = batches()
    return (REGISTRY.get_sample_value("redirector_record_duration_seconds_count") or 0) - acknowledged


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
