"""Spools in a directory of a test's own, opened again as after a crash, with clocks that the test moves."""

from collections import Counter
from pathlib import Path

from redirector.frames import Frame
from redirector.spool import Spool

DAY = 24 * 3600


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Kept:
    """A directory with a spool in it, opened as often as a test likes; what it lost is counted."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lost: Counter[str] = Counter()
        self.clock = Clock()

    def open(self, max_bytes: int = 100 * 1024 * 1024) -> Spool:
        """The spool as a process finds it that starts."""
        spool = self.closed(max_bytes)
        spool.open()
        return spool

    def closed(self, max_bytes: int = 100 * 1024 * 1024) -> Spool:
        """The spool before it is opened."""
        return Spool(
            self.directory,
            max_bytes=max_bytes,
            max_age_seconds=7 * DAY,
            lost=lambda clicks, reason, _: self.lost.update({reason: clicks}),
            clock=self.clock,
            wall_clock=self.clock,
        )

    def adopting(self, other: "Kept") -> Spool:
        """The spool as a process finds it that starts, and adopts what another left."""
        spool = self.closed()
        spool.adopt(other.directory)
        spool.open()
        return spool

    def with_frames(self, *numbers: int) -> Spool:
        """A spool that took frames of these numbers."""
        spool = self.open()
        for number in numbers:
            spool.append(a_frame(number))
        return spool

    def segments(self) -> list[Path]:
        return sorted(self.directory.glob("*.frames"))


def a_frame(number: int, click_bytes: int = 10) -> Frame:
    """A frame of two clicks."""
    return Frame("p-1", number, [b"%d" % number * click_bytes, b"second"])


def numbers_in(spool: Spool) -> list[int]:
    """The numbers of all frames that wait, oldest first; they are sent."""
    numbers = []
    while frames := spool.read():
        for position, frame in frames:
            numbers.append(frame.number)
            spool.sent(position, frame)
    return numbers
