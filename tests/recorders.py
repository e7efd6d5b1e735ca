"""Recorders that run, for tests of what records and of what stands before it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import REGISTRY

from redirector.losses import Losses
from redirector.metrics import CLICKS_LOST
from redirector.record import Recorder
from redirector.spool import Spool
from redirector.store.clicks import ClickAppender
from redirector.store.keys import Keys
from tests.store.stores import until

# A machine that is busy with other tests may stall for longer than a store should.
PATIENT_SECONDS = 5.0

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
