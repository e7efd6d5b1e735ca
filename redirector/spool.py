"""Clicks on disk while the store cannot take them: a directory of append-only segments of frames.

A reader is sent on once the frame with their click has been flushed to the disk. The store takes each frame once, so
that sending one again is harmless: the cursor, which says how far they were sent, is only made durable before a
segment is removed. What a crash left half written, and what the disk gives back changed, is set aside in
`quarantine`, and the rest is sent.
"""

import logging
import os
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from redirector.errors import SpoolFailed, SpoolFull
from redirector.frames import Damage, Frame, clicks_in, decoded, encoded

SEGMENT_BYTES: Final = 16 * 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the spool: the number of a segment, and an offset in it."""

    segment: int
    offset: int


@dataclass(slots=True)
class _Segment:
    """A segment file: what of it is surely on the disk, the clicks in it that were not sent, its last change.

    Only the segment that is being written has a descriptor. `written_at` is in monotonic seconds.
    """

    path: Path
    size: int
    clicks: int
    written_at: float
    descriptor: int | None = None

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class Spool:
    """The spool in `directory`, which belongs to this process alone.

    One thread may append while another reads. `lost` is told how many clicks had to be given up, and why
    (`spool_damaged` or `spool_expired`). `clock` gives monotonic seconds, `wall_clock` Unix seconds: an age that
    spans a restart needs both.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int,
        max_age_seconds: float,
        lost: Callable[[int, str], None],
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._max_age_seconds = max_age_seconds
        self._lost = lost
        self._clock = clock
        self._wall_clock = wall_clock
        self._changing = Lock()
        self._cursor = _Cursor(directory / "cursor")
        self._segments: dict[int, _Segment] = {}  # oldest first
        self._read_to = Position(0, 0)
        self._next = 0

    @property
    def clicks(self) -> int:
        """How many clicks wait to be sent."""
        return sum(segment.clicks for segment in self._segments.values())

    def open(self) -> None:
        """Finds what waits from an earlier run. Raises SpoolFailed."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._find(self._cursor.open())
        except OSError as error:
            raise self._failed(error) from error

    def adopt(self, directory: Path) -> None:
        """Takes over what waits in the spool of a process that is gone; the caller owns it now. Raises SpoolFailed."""
        try:
            for path in sorted(directory.glob("*.frames")):
                path.rename(self._path(self._next))
                self._take(self._next)
            if self._segments:
                _sync_directory(directory)
                _sync_directory(self._directory)
        except OSError as error:
            raise self._failed(error) from error

    def append(self, frame: Frame) -> None:
        """Writes a frame and flushes it to the disk: its clicks are then safe.

        Raises SpoolFull when there is no room for it, and SpoolFailed when the disk refuses it twice, in two segments:
        after a failed flush nobody knows what of a file is on the disk, so that file is never written to again.
        """
        data = encoded(frame)
        with self._changing:
            if len(data) + sum(segment.size for segment in self._segments.values()) > self._max_bytes:
                raise SpoolFull(
                    f"the spool has reached its {self._max_bytes:,} bytes",
                    remedy="bring the store back, or raise spool_max_bytes",
                )
            try:
                self._write(data, len(frame.clicks))
            except OSError as first:
                log.debug("a segment of the spool is given up, and another begun: %s", first.strerror)
                try:
                    self._write(data, len(frame.clicks))
                except OSError as error:
                    raise self._failed(error) from error

    def read(self) -> list[tuple[Position, Frame]]:
        """The frames of the oldest segment that were not sent, each with the position behind it; none when all were.

        Call `sent` for each that the store has taken.
        """
        self._expire()
        while (oldest := next(iter(self._segments), None)) is not None:
            if frames := self._frames_of(oldest):
                return frames
        return []

    def sent(self, position: Position, frame: Frame) -> None:
        """The store has this frame, and all before it; a segment that is done with is removed."""
        with self._changing:
            segment = self._segments[position.segment]
            segment.clicks -= len(frame.clicks)
            self._read_to = position
            if position.offset >= segment.size:
                self._done_with(position.segment)

    def close(self) -> None:
        """Writes down how far the frames were sent, and lets the files go. What waits, stays."""
        with self._changing:
            for segment in self._segments.values():
                segment.close()
            with suppress(OSError):
                self._cursor.write(self._read_to)
            self._cursor.close()

    # --- segments

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:012d}.frames"

    def _find(self, cursor: Position | None) -> None:
        numbers = sorted(int(path.stem) for path in self._directory.glob("*.frames") if path.stem.isdecimal())
        self._read_to = cursor or Position(numbers[0] if numbers else 0, 0)
        self._next = self._read_to.segment
        for number in numbers:
            if number < self._read_to.segment:
                self._path(number).unlink()  # all of it was sent; only its removal was missed
                continue
            if number > self._next:
                self._give_up(number - self._next, f"{number - self._next} segments are missing", "spool_damaged")
            self._take(number)

    def _take(self, number: int) -> None:
        """Takes up a segment that somebody else wrote."""
        path = self._path(number)
        status = path.stat()
        clicks = clicks_in(path.read_bytes(), self._offset_in(number))
        written_at = self._clock() - max(0.0, self._wall_clock() - status.st_mtime)
        self._segments[number] = _Segment(path, status.st_size, clicks, written_at)
        self._next = number + 1

    def _offset_in(self, number: int) -> int:
        return self._read_to.offset if self._read_to.segment == number else 0

    def _write(self, data: bytes, clicks: int) -> None:
        """Puts the bytes on the disk, at the end of the newest segment; one that fails is not written to again."""
        segment, descriptor = self._open_segment(len(data))
        try:
            if segment.size == 0:
                _sync_directory(self._directory)
            _write_all(descriptor, data)
            os.fdatasync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, segment.size)  # nobody was told that the rest is safe
            segment.close()
            if segment.size == 0:
                self._take_back(segment)
            raise
        segment.size += len(data)
        segment.clicks += clicks
        segment.written_at = self._clock()

    def _open_segment(self, wanted: int) -> tuple[_Segment, int]:
        """The segment that has room for so many bytes, made if need be, and its descriptor."""
        newest = self._segments.get(self._next - 1)
        if newest is not None and newest.descriptor is not None:
            if newest.size + wanted <= SEGMENT_BYTES:
                return newest, newest.descriptor
            newest.close()
        path = self._path(self._next)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        segment = self._segments[self._next] = _Segment(path, 0, 0, self._clock(), descriptor)
        self._next += 1
        return segment, descriptor

    def _take_back(self, segment: _Segment) -> None:
        """Removes a segment that never held anything."""
        with suppress(OSError):
            segment.path.unlink()
            self._next -= 1
            del self._segments[self._next]

    def _done_with(self, number: int) -> None:
        """Removes the oldest segment, once it is durable that it is not needed any more."""
        segment = self._segments.pop(number)
        segment.close()
        self._read_to = Position(number + 1, 0)
        try:
            self._cursor.write(self._read_to)
            segment.path.unlink(missing_ok=True)
        except OSError as error:  # it is sent again after a restart, and taken once
            log.warning("a segment of the spool that was sent cannot be removed: %s", error.strerror)

    # --- what is read back

    def _frames_of(self, number: int) -> list[tuple[Position, Frame]]:
        """The sound frames of a segment that were not sent; when there are none, the segment is removed."""
        with self._changing:
            segment, size, start = self._segments[number], self._segments[number].size, self._offset_in(number)
        try:
            data = segment.path.read_bytes()[:size]
        except OSError as error:
            with self._changing:
                self._give_up(
                    max(1, segment.clicks), f"{segment.path} cannot be read: {error.strerror}", "spool_failed"
                )
                self._done_with(number)
            return []
        found = list(decoded(data, start))
        for end, damage in found:
            if isinstance(damage, Damage):
                self._set_aside(segment, f"{number:012d}-{end}", damage)
        frames = [(Position(number, end), frame) for end, frame in found if isinstance(frame, Frame)]
        with self._changing:
            if frames:  # whoever has sent the last of them, is also through with the damage behind it
                frames[-1] = (Position(number, size), frames[-1][1])
            elif segment.size == size:
                self._done_with(number)
        return frames

    def _set_aside(self, segment: _Segment, name: str, damage: Damage) -> None:
        """Keeps a copy of bytes that are no frame, for whoever wants to look; they are counted at their first sight."""
        copy = self._directory / "quarantine" / name
        if copy.exists():
            return
        segment.clicks = max(0, segment.clicks - damage.clicks)
        if damage.torn:
            log.warning("the spool ended in a frame that was never finished: %d bytes are cut off", len(damage.data))
        else:
            self._give_up(max(1, damage.clicks), f"{len(damage.data)} bytes are damaged, see {copy}", "spool_damaged")
        with suppress(OSError):
            copy.parent.mkdir(mode=0o700, exist_ok=True)
            copy.write_bytes(damage.data)

    def _expire(self) -> None:
        """Gives up the oldest segments that have waited for too long."""
        with self._changing:
            for number, segment in list(self._segments.items()):
                if self._clock() - segment.written_at <= self._max_age_seconds:
                    return
                self._give_up(segment.clicks, "they have waited for longer than spool_max_age_days", "spool_expired")
                self._done_with(number)

    def _give_up(self, clicks: int, why: str, reason: str) -> None:
        log.error("clicks in the spool are lost, %d or more: %s", clicks, why)
        self._lost(clicks, reason)

    def _failed(self, error: OSError) -> SpoolFailed:
        return SpoolFailed(
            f"the disk refuses the spool: {error.strerror}", part=str(self._directory), remedy="see to the disk"
        )


class _Cursor:
    """Up to where the frames were sent: one short line, written over in place, so that a full disk has room for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def open(self) -> Position | None:
        """The position that was written last; None when there is none that can be read."""
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        line = os.pread(self._descriptor, 100, 0)
        text, _, checksum = line.strip().rpartition(b" ")
        if not text or f"{zlib.crc32(text):08x}".encode() != checksum:
            if line:
                log.warning("the spool's cursor cannot be read: all that is there is sent again, and taken once")
            return None
        segment, offset = text.split()
        return Position(int(segment), int(offset))

    def write(self, position: Position) -> None:
        """Makes the position durable."""
        if self._descriptor is None:
            return
        text = f"{position.segment:012d} {position.offset:012d}".encode()
        os.pwrite(self._descriptor, text + f" {zlib.crc32(text):08x}\n".encode(), 0)
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_directory(directory: Path) -> None:
    """Makes durable which files a directory has."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
