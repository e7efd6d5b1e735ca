"""One file of a journal: frames are added at its end and flushed, until it is full or old, or until the disk failed."""

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from redirector.durable import sync_directory, write_all
from redirector.frames import clicks_in

SEGMENT_BYTES: Final = 16 * 1024 * 1024
SEGMENT_SECONDS: Final = 3600.0  # an age is a segment's: its frames are of about the same

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Segment:
    """A segment: what of it is surely on the disk, the clicks in it that were not sent, and when it was begun.

    Only one that is being written has a descriptor. `begun_at` is in monotonic seconds.
    """

    path: Path
    begun_at: float
    size: int = 0
    clicks: int = 0
    descriptor: int | None = None

    @classmethod
    def made(cls, path: Path, now: float) -> Self:
        """A new one, to be written. Raises OSError, also when there is such a file already."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        return cls(path, now, descriptor=os.open(path, flags, 0o600))

    def takes(self, wanted: int, now: float) -> bool:
        """Whether so many more bytes may be written to it."""
        is_young = now - self.begun_at < SEGMENT_SECONDS
        return self.descriptor is not None and is_young and self.size + wanted <= SEGMENT_BYTES

    def append(self, data: bytes, clicks: int) -> None:
        """Puts the bytes, which are so many clicks, on the disk.

        Raises OSError when the disk refuses: nobody knows then what of the file is there, so it is closed for good.
        """
        assert self.descriptor is not None  # noqa: S101 - who appends has asked whether it takes them
        try:
            if self.size == 0:
                sync_directory(self.path.parent)
            write_all(self.descriptor, data)
            os.fdatasync(self.descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self.descriptor, self.size)  # nobody was told that the rest is safe
            self.close()
            raise
        self.size += len(data)
        self.clicks += clicks

    def measure(self, start: int) -> None:
        """Finds out how much is in a file of an earlier run, and how many clicks behind `start`. Raises OSError."""
        data = self.path.read_bytes()
        self.size, self.clicks = len(data), clicks_in(data, start)

    def close(self) -> None:
        """Lets the file go; it is never written to again."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def remove(path: Path) -> None:
    """Removes a segment that was sent; one that stays is tried again at the next start."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s was sent, and cannot be removed: %s", path, error.strerror)
