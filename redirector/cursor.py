"""The cursor of a journal: up to where its frames were sent, as far as that is durable."""

import logging
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a journal: the number of a segment, and an offset in it."""

    segment: int
    offset: int


class Cursor:
    """One short line in the file at `path`, written over in place: a full disk has room for all but the first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def read(self) -> Position | None:
        """The position that was written last; None when there is none, or none that can be read."""
        try:
            line = os.pread(self._opened(), 100, 0)
        except OSError as error:
            log.warning("%s cannot be read: all that is there is sent again, and taken once: %s", self._path, error)
            return None
        text, _, checksum = line.strip().rpartition(b" ")
        if not text or f"{zlib.crc32(text):08x}".encode() != checksum:
            if line:
                log.warning("%s is spoiled: all that is there is sent again, and taken once", self._path)
            return None
        segment, offset = text.split()
        return Position(int(segment), int(offset))

    def write(self, position: Position) -> None:
        """Makes the position durable. Raises OSError."""
        text = f"{position.segment:012d} {position.offset:012d}".encode()
        descriptor = self._opened()
        os.pwrite(descriptor, text + f" {zlib.crc32(text):08x}\n".encode(), 0)
        os.fdatasync(descriptor)

    def close(self) -> None:
        """Lets the file go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._descriptor
