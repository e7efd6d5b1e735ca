"""A role's process: it runs until it is asked to stop, shows on the metrics, and says what speaks against its store."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from redirector import metrics
from redirector.errors import StoreError
from redirector.repeat import repeating
from redirector.settings import Settings
from redirector.store.connection import connected
from redirector.store.suitability import findings

PROCESSOR_TIME_EVERY_SECONDS: Final = 1

log = logging.getLogger(__name__)


@contextmanager
def asked_to_stop() -> Iterator[asyncio.Event]:
    """What is set once the process is asked to stop; it then finishes what it has begun."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@asynccontextmanager
async def measured(role: str) -> AsyncIterator[None]:
    """While the block lasts, this process is on the metrics as one that plays the role, with its processor time."""
    metrics.PROCESSES.labels(role).set(1)
    processor_time = metrics.ProcessorTime(role)

    async def hand_on() -> None:
        processor_time.hand_on()

    await hand_on()
    try:
        async with repeating(hand_on, PROCESSOR_TIME_EVERY_SECONDS):
            yield
    finally:
        await hand_on()
        metrics.PROCESSES.labels(role).set(0)


async def warn_of_store(settings: Settings) -> None:
    """Logs what speaks against the store, if it can be asked."""
    async with connected(settings.store_url.get_secret_value()) as redis:
        try:
            found = await findings(redis)
        except StoreError as error:
            log.warning("%s", error)
            return
    for finding in found:
        log.warning("%s; remedy: %s", finding.what, finding.remedy)
