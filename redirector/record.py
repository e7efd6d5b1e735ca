"""Records clicks: all that wait at one moment go on as one batch, and are safe before their readers go on.

While the store answers, a batch is safe when the store has acknowledged it. On any doubt (no answer within the
deadline, an error, a lost connection) the batch goes to the spool under the name it had, and so does every batch
after it: no reader waits for a store that is known to be in trouble. What is in the spool is sent in order, beside the
clicks that come in. When the store takes it in good time, new batches go there directly again: at once after a first
doubt, after a pause when there were several (`breaker.py`).

One task writes and another one replays, each over a connection of its own, and no call is cancelled half way. The
writer's is opened by the replay, while the writer does not use it. Batches are numbered within an epoch, so that the
store takes each of them once; a new epoch begins with every change of the way.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from redirector.breaker import Breaker
from redirector.errors import SpoolError, StoreUnavailable
from redirector.frames import Frame
from redirector.losses import LOST_REASONS, Losses, unforeseen
from redirector.metrics import (
    CLICKS_LOST,
    CLICKS_REPLAYED,
    CLICKS_SPOOLED,
    RECORD_BATCH,
    RECORD_SECONDS,
    SPOOL_CLICKS,
    STORE_UP,
)
from redirector.spool import Spool
from redirector.store.clicks import ClickAppender

# The clicks of one script call; it bounds how long a batch keeps the store from others, to some 10 ms.
MAX_BATCH: Final = 1_000

FIRST_RETRY_SECONDS: Final = 0.05
LAST_RETRY_SECONDS: Final = 1.0
LAST_RETRY_AFTER_FAILURE_SECONDS: Final = 60.0

log = logging.getLogger(__name__)

Waiting = list[tuple[bytes, Callable[[], None]]]  # clicks, and how their readers go on
Answer = TypeVar("Answer")


class Recorder:
    """Takes packed clicks from many requests, and gives them to the store, or else to the spool.

    `producer` names this process; no other, before or after, may have the same name. `appender` is for clicks as they
    come and knows the deadline, `replayer` for those in the spool. `losses`, of which the spool knows too, are said to
    the last by `stop`. At most `waiting_max` clicks wait in memory. `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        appender: ClickAppender,
        replayer: ClickAppender,
        spool: Spool,
        *,
        losses: Losses,
        producer: str,
        waiting_max: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._appender = appender
        self._replayer = replayer
        self._spool = spool
        self._producer = producer
        self._waiting_max = waiting_max
        self._waiting: Waiting = []
        self._wake = asyncio.Event()
        self._spooled = asyncio.Event()
        self._stopping = asyncio.Event()
        self._recording = False
        self._direct = False
        self._epoch = 0
        self._number = 0
        self._retry_after = FIRST_RETRY_SECONDS
        self._time = clock
        self._breaker = Breaker(appender.deadline_seconds, clock)
        self._losses = losses
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._tasks: list[asyncio.Task[None]] = []

    async def ended(self) -> None:
        """Returns when it writes no more: after `stop`, or because of something that `stop` then raises."""
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def record(self, click: bytes) -> None:
        """Returns when the click is safe with the store or on the disk, or when it is counted as lost."""
        safe = asyncio.get_running_loop().create_future()

        def go_on() -> None:
            if not safe.done():  # its reader may have gone away
                safe.set_result(None)

        self.hand_in(click, go_on)
        await safe

    def hand_in(self, click: bytes, go_on: Callable[[], None]) -> None:
        """For whoever has no task: calls `go_on` when `record` would return, and never before this has returned."""
        if not self._recording:
            self._losses.add(1, "stopped", "they came after the end")
            asyncio.get_running_loop().call_soon(go_on)
        elif len(self._waiting) >= self._waiting_max:
            self._losses.add(1, "too_many_waiting", "record_waiting_max clicks wait already")
            asyncio.get_running_loop().call_soon(go_on)
        else:
            self._waiting.append((click, go_on))
            self._wake.set()

    def lose(self, error: Exception) -> None:
        """Counts a click as lost that could not even be made, because of an error that nobody foresaw."""
        self._losses.add(1, "failed", unforeseen(error))

    async def start(self) -> None:
        """Begins to write; tries once to reach the store before it returns."""
        for reason in LOST_REASONS:
            CLICKS_LOST.labels(reason)
        try:
            await self._go_direct(0.0)
        except StoreUnavailable as error:
            log.warning("clicks go to the disk until the store answers: %s", error)
            STORE_UP.set(0)
        self._spooled.set()  # there may be something from an earlier run
        self._recording = True
        self._tasks = [
            asyncio.create_task(self._write_all(), name="recorder"),
            asyncio.create_task(self._replay_all(), name="replay"),
        ]

    async def stop(self) -> None:
        """Writes what still waits, and ends. What is in the spool stays there for the next start."""
        self._stopping.set()
        self._wake.set()
        self._spooled.set()
        try:
            await asyncio.wait(self._tasks)  # for both, whatever became of the other: their connections are closed next
            await asyncio.gather(*self._tasks)
        finally:
            self._recording = False
            await self._appender.close()
            await self._replayer.close()
            self._disk.shutdown()
            self._losses.close()

    # --- clicks as they come

    async def _write_all(self) -> None:
        """Writes until it is stopped; whatever goes wrong, nobody is left waiting."""
        batch: Waiting = []
        try:
            while True:
                await self._wake.wait()
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                if batch:
                    try:
                        await self._write([click for click, _ in batch])
                    except Exception as error:  # noqa: BLE001 - these clicks are counted as lost, the next are written
                        self._give_up(len(batch), error)
                    released, batch = batch, []  # first, so that nobody is ever sent on twice
                    _release(released)
                elif self._stopping.is_set():
                    return
                else:
                    self._wake.clear()
        finally:
            self._recording = False  # at once: nobody is left to release whoever would come now
            if left := [*batch, *self._waiting]:
                _release(left)
                self._losses.add(len(left), "failed", "the recorder has ended")

    async def _write(self, clicks: list[bytes]) -> None:
        self._number += 1
        batch = Frame(f"{self._producer}-{self._epoch}", self._number, clicks)
        if self._direct:
            try:
                with RECORD_SECONDS.time():
                    await self._appender.append(batch.recorder, batch.number, clicks)
            except StoreUnavailable as error:
                self._shut(error)
            else:
                RECORD_BATCH.observe(len(clicks))
                return
        await self._spool_batch(batch)

    async def _spool_batch(self, batch: Frame) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._disk, self._spool.append, batch)
        except SpoolError as error:
            self._losses.add(len(batch.clicks), error.code, error)
        else:
            CLICKS_SPOOLED.inc(len(batch.clicks))
        SPOOL_CLICKS.set(self._spool.clicks)
        self._spooled.set()

    def _give_up(self, clicks: int, error: Exception) -> None:
        """Counts clicks as lost to an error that nobody foresaw, after which nobody knows what is under way."""
        self._losses.add(clicks, "failed", unforeseen(error))
        if self._direct:
            self._shut(unforeseen(error))
            self._spooled.set()

    def _shut(self, why: object) -> None:
        """Closes the direct way."""
        self._breaker.doubted()
        self._begin_epoch(direct=False)
        STORE_UP.set(0)
        log.warning("clicks go to the disk until the store answers in good time again: %s", why)

    def _begin_epoch(self, *, direct: bool) -> None:
        self._direct = direct
        self._epoch += 1
        self._number = 0

    # --- clicks from the disk

    async def _replay_all(self) -> None:
        while not self._stopping.is_set():
            await self._spooled.wait()
            self._spooled.clear()
            try:
                await self._replay()
            except StoreUnavailable as error:
                STORE_UP.set(0)
                log.debug("what is on the disk waits for the store: %s", error)
                await self._pause()
            except Exception as error:  # noqa: BLE001 - the clicks are still on the disk, to be tried again
                log.error("what is on the disk cannot be sent: %s", unforeseen(error))
                await self._pause(LAST_RETRY_AFTER_FAILURE_SECONDS)
            else:
                if self._direct and self._spool.is_tidy:
                    self._retry_after = FIRST_RETRY_SECONDS
                else:  # the store takes clicks, but too slowly for readers, or too often did; or the disk keeps them
                    await self._pause()

    async def _replay(self) -> None:
        """Sends what is in the spool, oldest first; if the store takes it in good time, the direct way opens again."""
        await self._from_disk(self._spool.expire)  # first: clicks wait for so long only while there is no store
        began = self._time()
        await self._replayer.open()
        took = self._time() - began
        while frames := await self._from_disk(self._spool.read):
            for position, frame in frames:
                if self._stopping.is_set():
                    return
                began = self._time()
                await self._replayer.append(frame.recorder, frame.number, frame.clicks)
                took = self._time() - began
                await self._from_disk(self._spool.sent, position, frame)
                CLICKS_REPLAYED.inc(len(frame.clicks))
                await self._go_direct(took)
        await self._go_direct(took)

    async def _from_disk(self, act: Callable[..., Answer], *arguments: object) -> Answer:
        """What the spool answers, which takes its time; it may have fewer clicks then."""
        try:
            return await asyncio.to_thread(act, *arguments)
        finally:
            SPOOL_CLICKS.set(self._spool.clicks)

    async def _go_direct(self, took_seconds: float) -> None:
        """Opens the direct way, if the store's last answer and what the breaker remembers of it give hope."""
        if not self._direct and self._breaker.may_open(took_seconds):
            await self._appender.open()
            self._breaker.opened()
            self._begin_epoch(direct=True)
        STORE_UP.set(1)  # it answers, whether or not readers wait for that

    async def _pause(self, longest_seconds: float = LAST_RETRY_SECONDS) -> None:
        """Waits before the store is tried again: longer each time that it was in vain."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), self._retry_after)
        self._retry_after = min(2 * self._retry_after, longest_seconds)
        self._spooled.set()


def _release(batch: Waiting) -> None:
    """Lets the readers of a batch go on, each whatever becomes of the others."""
    for _, go_on in batch:
        try:
            go_on()
        except Exception as error:  # noqa: BLE001 - the clicks are safe, and others wait
            log.error("a reader could not be sent on: %s", unforeseen(error))
