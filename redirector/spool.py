"""Clicks on disk while the store cannot take them: this process's journal, and those of processes that are gone.

A reader is sent on once the frame with their click has been flushed to the disk. What processes that are gone had
left is sent first, one journal after the other: the store takes an epoch's frames in their order only, and all frames
of an epoch are in one journal. So a journal is adopted as a whole, by one renaming of its directory.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from redirector.cursor import Position
from redirector.durable import sync_directory
from redirector.errors import SpoolFailed, SpoolFull
from redirector.frames import Frame, encoded
from redirector.journal import Journal, Lost

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame ends: a position in one of the journals."""

    journal: Journal
    position: Position


class Spool:
    """The spool whose own journal is in `directory`; adopted ones lie beside it. They belong to this process alone.

    One thread may append while another reads, and a third may ask for `clicks` without waiting for either. `lost` and
    the clocks are those of `Journal`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int,
        max_age_seconds: float,
        lost: Lost,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._journal_in = partial(
            Journal, max_age_seconds=max_age_seconds, lost=lost, clock=clock, wall_clock=wall_clock
        )
        self._own = self._journal_in(directory)
        self._adopted: tuple[Journal, ...] = ()

    @property
    def clicks(self) -> int:
        """How many clicks wait to be sent."""
        return sum(journal.clicks for journal in self._journals)

    @property
    def is_tidy(self) -> bool:
        """Whether the disk has let go of everything that was sent; if not, `read` tries again."""
        return all(journal.is_tidy for journal in self._journals)

    def adopt(self, directory: Path) -> None:
        """Takes over the journal of a process that is gone, for `open` to find. Raises SpoolFailed.

        A kill leaves it where it was or where it is now, never in part. It takes a moment, however much is in it.
        """
        try:
            adopted = self._free_place()
            directory.rename(adopted)
        except OSError as error:
            raise self._failed(error) from error
        with suppress(OSError):  # a power cut may undo the renaming, and then somebody adopts it again
            sync_directory(adopted.parent)
            sync_directory(directory.parent)

    def open(self) -> None:
        """Finds what waits from an earlier run, and what was adopted then or now. Raises SpoolFailed."""
        try:
            for directory in sorted(self._directory.parent.glob("adopted-*")):
                self._take_up(directory)
            self._own.open()
        except OSError as error:
            raise self._failed(error) from error

    def append(self, frame: Frame) -> None:
        """Writes a frame and flushes it to the disk: its clicks are then safe.

        Raises SpoolFull when there is no room for it, and SpoolFailed when the disk refuses it.
        """
        data = encoded(frame)
        if len(data) + sum(journal.size for journal in self._journals) > self._max_bytes:
            raise SpoolFull(
                f"the spool has reached its {self._max_bytes:,} bytes",
                remedy="bring the store back, or raise spool_max_bytes",
            )
        try:
            self._own.append(data, len(frame.clicks))
        except OSError as error:
            raise self._failed(error) from error

    def expire(self) -> None:
        """Gives up what has waited for too long, as `read` does too: for whoever has nobody to send to."""
        for journal in self._journals:
            journal.expire()

    def read(self) -> list[tuple[Place, Frame]]:
        """The next frames that were not sent, each with the place behind it; none when all were.

        Call `sent` for each that the store has taken.
        """
        for journal in self._journals:
            if frames := journal.read():
                return [(Place(journal, position), frame) for position, frame in frames]
            if journal is not self._own and journal.remove():
                self._adopted = tuple(other for other in self._adopted if other is not journal)
        return []

    def sent(self, place: Place, frame: Frame) -> None:
        """The store has this frame, and all before it in its journal."""
        place.journal.sent(place.position, frame)

    def close(self) -> None:
        """Writes down how far the frames were sent, and lets the files go. What waits, stays."""
        for journal in self._journals:
            journal.close()

    @property
    def _journals(self) -> tuple[Journal, ...]:
        return (*self._adopted, self._own)

    def _take_up(self, directory: Path) -> None:
        journal = self._journal_in(directory)
        try:
            journal.open()
        except OSError as error:
            log.error("what is in %s waits for another start: %s", directory, error.strerror)
        else:
            self._adopted = (*self._adopted, journal)

    def _free_place(self) -> Path:
        number = 0
        while (place := self._directory.with_name(f"adopted-{number}")).exists():
            number += 1
        return place

    def _failed(self, error: OSError) -> SpoolFailed:
        return SpoolFailed(
            f"the disk refuses the spool: {error.strerror}", part=str(self._directory), remedy="see to the disk"
        )
