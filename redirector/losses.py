"""Clicks that could not be kept are counted by their reasons, and said in the log soon, but never one by one."""

import asyncio
import logging
import traceback
from typing import Final

from redirector.metrics import CLICKS_LOST

SAY_EVERY_SECONDS: Final = 60.0

# Why clicks are lost. They are on the metrics from the start: Prometheus does not see an increase from nothing.
LOST_REASONS: Final = (
    "spool_full",
    "spool_failed",
    "spool_damaged",
    "spool_expired",
    "too_many_waiting",
    "stopped",
    "failed",
)

log = logging.getLogger(__name__)


class Losses:
    """Counts what is lost, and says it: the first at once, what follows together when the minute is over.

    Made, told and closed on the event loop; `add_from_thread` is for everybody else.
    """

    def __init__(self, *, say_every_seconds: float = SAY_EVERY_SECONDS) -> None:
        self._say_every_seconds = say_every_seconds
        self._loop = asyncio.get_running_loop()
        self._unsaid: dict[str, tuple[int, object]] = {}
        self._quiet: asyncio.TimerHandle | None = None

    def add(self, clicks: int, reason: str, why: object) -> None:
        """So many more are lost for this reason; `why` is for whoever reads the log."""
        CLICKS_LOST.labels(reason).inc(clicks)
        before, _ = self._unsaid.get(reason, (0, why))
        self._unsaid[reason] = before + clicks, why
        if self._quiet is None:
            self._say()

    def add_from_thread(self, clicks: int, reason: str, why: object) -> None:
        """The same from any thread: it is done before whatever this thread then gives the loop to do."""
        self._loop.call_soon_threadsafe(self.add, clicks, reason, why)

    def close(self) -> None:
        """Says what is left."""
        if self._quiet is not None:
            self._quiet.cancel()
        self._say()

    def _say(self) -> None:
        """Says what is unsaid, and then nothing for a while."""
        self._quiet = None
        if self._unsaid:
            for clicks, why in self._unsaid.values():
                log.error("%d %s lost: %s", clicks, "click is" if clicks == 1 else "clicks are", why)
            self._unsaid.clear()
            self._quiet = self._loop.call_later(self._say_every_seconds, self._say)


def unforeseen(error: BaseException) -> str:
    """An error that nobody foresaw, by its type and place: its words may hold what must not stand in a log."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"{type(error).__name__} {''.join(f'in {frame.filename}, line {frame.lineno}' for frame in frames)}".strip()
