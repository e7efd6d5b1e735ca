"""The consumer's loop: it has judged clicks counted, and knows nothing of what judging and counting mean.

First it tries again what it was given and did not finish, then it takes what is due, and now and then it takes up what
was given to any consumer a while ago and is not finished yet.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from redirector.errors import StoreError
from redirector.judging import Judged, Judging
from redirector.metrics import CONSUMER_LAG, STORE_UP
from redirector.store.clicks import ClickStream

BATCH: Final = 1_000
RETRY_SECONDS: Final = 0.5
WAIT_SECONDS: Final = 0.5
LOOK_AROUND_SECONDS: Final = 2.0

# What comes within this time is read, taken and counted together, as far as one page goes, unless there is a backlog:
# 260 clicks a second then take 3% of a core instead of 24.
GATHER_SECONDS: Final = 0.05

# Every process is a consumer of its own. Those that ended are not kept for longer than this.
FORGET_AFTER_MS: Final = 10 * 60 * 1000

log = logging.getLogger(__name__)


async def _nothing() -> None:
    return


class Worker:
    """One consumer of the group; `process` handles a batch. Entries that are pending then come again later.

    `joined` is called whenever it has become one, at the start and after the store was away. `claim_after_ms` may be
    shorter than the hold: what is held was given to nobody yet, and is nobody's to claim. What was given out is judged
    from the stream around it, though, which must not take longer than that (`expect_time_to_judge`).
    """

    def __init__(
        self,
        stream: ClickStream,
        judging: Judging,
        process: Callable[[Judged], Awaitable[object]],
        *,
        claim_after_ms: int,
        joined: Callable[[], Awaitable[object]] = _nothing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._judging = judging
        self._process = process
        self._claim_after_ms = claim_after_ms
        self._joined = joined
        self._clock = clock
        self._look_around_at = 0.0
        self._stopping = asyncio.Event()
        self._said = ""

    async def run(self) -> None:
        """Works until `stop` is called; waits out a store that does not answer."""
        while not self._stopping.is_set():
            try:
                await self._stream.join()
                await self._stream.forget_consumers(idle_ms=FORGET_AFTER_MS)
                await self._joined()
                STORE_UP.set(1)
                await self._work()
            except StoreError as error:
                self._judging.restart()
                self._say(str(error))
                STORE_UP.set(0)
                await self._pause(RETRY_SECONDS)

    def _say(self, why: str) -> None:
        """Why counting waits; once, and not each time that it was tried again in vain."""
        if why != self._said:
            log.warning("counting waits for the store: %s", why)
        self._said = why

    def stop(self) -> None:
        """Ends the loop after the batch at hand."""
        self._stopping.set()

    async def _work(self) -> None:
        tried = "0"
        while not self._stopping.is_set() and (ids := await self._stream.mine(BATCH, after=tried)):
            await self._process(await self._judging.those(ids))
            tried = ids[-1]
        while not self._stopping.is_set():
            judged = await self._judging.next(BATCH, wait_seconds=WAIT_SECONDS)
            self._said = ""  # the store is well: what comes next is news
            if judged.ids:
                await self._process(judged)
            if self._clock() >= self._look_around_at:
                await self._look_around()
            if not self._judging.has_more:
                await self._pause(GATHER_SECONDS)

    async def _look_around(self) -> None:
        self._look_around_at = self._clock() + LOOK_AROUND_SECONDS
        if ids := await self._stream.claim(BATCH, idle_ms=self._claim_after_ms):
            log.info("taking up %d clicks that were given out and not counted", len(ids))
            await self._process(await self._judging.those(ids))
            self._look_around_at = 0.0
        lag = await self._stream.lag()
        if lag is not None:
            CONSUMER_LAG.labels(self._stream.group).set(max(0, lag - self._judging.waiting))

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
