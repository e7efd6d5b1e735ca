"""Records clicks: all that wait at one moment go to the store as one batch, and are there before their readers go on.

One task writes, over one connection that nobody else touches and that is never cancelled half way. A batch has a
number within its recorder's epoch, so that the store takes it once. On any doubt about a batch (no answer within the
deadline, an error, a lost connection) the epoch ends and the readers are sent on; a new epoch begins as soon as the
store answers again. Until then nobody waits.
"""

import asyncio
import contextlib
import logging
from typing import Final

from redirector.errors import StoreUnavailable
from redirector.metrics import CLICKS_LOST, RECORD_BATCH, RECORD_SECONDS, STORE_UP
from redirector.store.clicks import ClickAppender

# The clicks of one script call; it bounds how long a batch keeps the store from others, to some 10 ms.
MAX_BATCH: Final = 1_000

FIRST_RETRY_SECONDS: Final = 0.05
LAST_RETRY_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class Recorder:
    """Takes packed clicks from many requests and gives them to one appender.

    `producer` names this process; no other, before or after, may have the same name. At most `waiting_max` clicks
    wait in memory.
    """

    def __init__(self, appender: ClickAppender, *, producer: str, waiting_max: int) -> None:
        self._appender = appender
        self._producer = producer
        self._waiting_max = waiting_max
        self._epoch = 0
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._accepting = False
        self._task: asyncio.Task[None] | None = None

    async def record(self, click: bytes) -> None:
        """Returns when the store has the click, or when it is counted as lost; at most two deadlines later."""
        if not self._accepting:
            return self._lose(1, "store_unavailable")
        if len(self._waiting) >= self._waiting_max:
            return self._lose(1, "too_many_waiting")
        acknowledged = asyncio.get_running_loop().create_future()
        self._waiting.append((click, acknowledged))
        self._wake.set()
        await acknowledged
        return None

    async def start(self) -> None:
        """Begins to write, once the store answers or a first try has failed."""
        await self._open()
        self._task = asyncio.create_task(self._run(), name="recorder")

    async def stop(self) -> None:
        """Writes what still waits, and ends. Clicks that come later are counted as lost."""
        self._stopping.set()
        self._wake.set()
        if self._task:
            await self._task
        await self._appender.close()

    async def _run(self) -> None:
        retry_after = FIRST_RETRY_SECONDS
        while self._accepting or not self._stopping.is_set():
            if self._accepting:
                acknowledged = await self._write_an_epoch()
                retry_after = FIRST_RETRY_SECONDS if acknowledged else min(2 * retry_after, LAST_RETRY_SECONDS)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), retry_after)
                    return
                await self._open()
                retry_after = min(2 * retry_after, LAST_RETRY_SECONDS)

    async def _open(self) -> None:
        try:
            await self._appender.open()
        except StoreUnavailable as error:
            log.debug("no click can be recorded: %s", error)
            STORE_UP.set(0)
            return
        STORE_UP.set(1)
        self._accepting = True

    async def _write_an_epoch(self) -> int:
        """Writes batches until there is doubt about one, or the end; returns how many were acknowledged."""
        self._epoch += 1
        identity = f"{self._producer}-{self._epoch}"
        number = 0
        while True:
            await self._wake.wait()
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            if not batch:
                self._wake.clear()
                if self._stopping.is_set():
                    self._accepting = False  # at once: nobody is left to release whoever would come now
                    return number
                continue
            try:
                with RECORD_SECONDS.time():
                    await self._appender.append(identity, number + 1, [click for click, _ in batch])
            except StoreUnavailable as error:
                self._give_up(batch, error)
                return number
            number += 1
            RECORD_BATCH.observe(len(batch))
            _release(batch)

    def _give_up(self, batch: list[tuple[bytes, asyncio.Future[None]]], error: StoreUnavailable) -> None:
        self._accepting = False
        waiting, self._waiting = self._waiting, []
        log.warning("clicks are not recorded until the store answers again: %s", error)
        STORE_UP.set(0)
        self._lose(len(batch), "in_doubt")
        self._lose(len(waiting), "store_unavailable")
        _release(batch)
        _release(waiting)

    def _lose(self, clicks: int, reason: str) -> None:
        if clicks:
            CLICKS_LOST.labels(reason).inc(clicks)


def _release(batch: list[tuple[bytes, asyncio.Future[None]]]) -> None:
    """Lets the readers of a batch go on; one who went away in the meantime is not there any more."""
    for _, acknowledged in batch:
        if not acknowledged.done():
            acknowledged.set_result(None)
