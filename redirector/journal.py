"""Frames on disk: a directory of append-only segments, and a cursor that says how far they were sent.

The store takes each frame once, so that sending one again is harmless: the cursor is only made durable before a
segment is removed. What a crash left half written, and what the disk gives back changed, is set aside in
`quarantine`; a file that cannot be read costs only itself; and the rest is sent.
"""

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

from redirector.age import age_at_start
from redirector.cursor import Cursor, Position
from redirector.durable import make_directory
from redirector.frames import Damage, Frame, decoded
from redirector.quarantine import DIRECTORY, SEGMENT_DIGITS, Quarantine
from redirector.segment import SEGMENT_SECONDS, Segment, remove

_SEGMENT_NAME: Final = re.compile(r"([0-9]{12})\.frames")

# Is told how many clicks had to be given up, for which reason (`spool_damaged`, `spool_expired` or `spool_failed`), and
# why, in words for the log; by whichever thread found it out.
Lost = Callable[[int, str, str], None]

log = logging.getLogger(__name__)


class Journal:
    """The journal in `directory`, which belongs to this process alone.

    One thread may append while another reads, and a third may ask how much there is without waiting for either.
    `clock` gives monotonic seconds, `wall_clock` Unix seconds: an age that spans a restart needs both.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_age_seconds: float,
        lost: Lost,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._max_age_seconds = max_age_seconds
        self._lost = lost
        self._clock = clock
        self._wall_clock = wall_clock
        self._changing = Lock()
        self._cursor = Cursor(directory / "cursor")
        self._quarantine = Quarantine(directory / DIRECTORY)
        # Oldest first. It is replaced and never changed, because it is looked at without the lock.
        self._segments: dict[int, Segment] = {}
        self._done: list[Path] = []  # segments to be removed as soon as the cursor is durably behind them
        self._read_to = Position(0, 0)
        self._next = 0
        self._is_open = False

    @property
    def clicks(self) -> int:
        """How many clicks wait to be sent."""
        return sum(segment.clicks for segment in self._segments.values())

    @property
    def size(self) -> int:
        """How many bytes its segments have."""
        return sum(segment.size for segment in self._segments.values())

    @property
    def is_tidy(self) -> bool:
        """Whether the disk has let go of everything that was sent; if not, `read` tries again."""
        return not self._done

    def open(self) -> None:
        """Finds what waits from an earlier run. Raises OSError when the directory will not do; `append` tries again."""
        with self._changing:
            self._open()

    def append(self, data: bytes, clicks: int) -> None:
        """Writes an encoded frame of so many clicks, and flushes it to the disk: they are then safe.

        Raises OSError when the disk refuses it twice, in two segments: after a failed flush nobody knows what of a
        file is on the disk, so that file is never written to again.
        """
        with self._changing:
            self._open()
            try:
                self._write(data, clicks)
            except OSError as first:
                log.debug("a segment of the spool is given up, and another begun: %s", first.strerror)
                self._write(data, clicks)

    def expire(self) -> None:
        """Gives up the oldest segments that have waited for too long."""
        with self._changing:
            for number, segment in self._segments.items():
                if self._clock() - segment.begun_at <= self._max_age_seconds:
                    return
                if segment.size or segment.clicks:  # what no header speaks of is one at least
                    why = "they have waited for longer than spool_max_age_days"
                    self._lost(max(1, segment.clicks), "spool_expired", why)
                self._done_with(number)

    def read(self) -> list[tuple[Position, Frame]]:
        """The frames of the oldest segment that were not sent, each with the position behind it; none when all were.

        Call `sent` for each that the store has taken. What has waited for too long is given up first.
        """
        self.expire()
        while (oldest := next(iter(self._segments), None)) is not None:
            if frames := self._frames_of(oldest):
                return frames
        with self._changing, suppress(OSError):
            if self._done:
                self._write_cursor()
        return []

    def sent(self, position: Position, frame: Frame) -> None:
        """The store has this frame, and all before it; a segment that is done with is removed."""
        with self._changing:
            segment = self._segments.get(position.segment)
            if segment is None:
                return
            segment.clicks -= len(frame.clicks)
            self._read_to = position
            if position.offset >= segment.size:
                self._done_with(position.segment)

    def close(self) -> None:
        """Writes down how far the frames were sent, and lets the files go. What waits, stays."""
        with self._changing:
            for segment in self._segments.values():
                segment.close()
            if self._is_open:
                with suppress(OSError):
                    self._write_cursor()
            self._cursor.close()

    def remove(self) -> bool:
        """Lets an empty journal go, and its directory with it, unless there is something for somebody to look at.

        Answers False while the disk does not let go of what was sent.
        """
        self.close()
        if self._done:
            return False
        with suppress(OSError):
            (self._directory / DIRECTORY).rmdir()  # if all that was in it is forgotten
        with suppress(OSError):
            if [path.name for path in self._directory.iterdir()] == ["cursor"]:
                (self._directory / "cursor").unlink()
                self._directory.rmdir()
        return True

    # --- segments

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:012d}.frames"

    def _open(self) -> None:
        if self._is_open:
            return
        make_directory(self._directory)
        names = (_SEGMENT_NAME.fullmatch(path.name) for path in self._directory.iterdir())
        numbers = sorted(int(name[1]) for name in names if name)
        if (sent_to := self._cursor.read()) is None:
            sent_to = Position(numbers[0] if numbers else 0, 0)
            with suppress(OSError):
                self._cursor.write(sent_to)  # takes its room while there is some, and is written over from then on
        self._read_to = sent_to
        first = sent_to.segment
        # A number is never used twice: not even that of a file that cannot be read, or is missing.
        self._next = max([first + bool(self._read_to.offset), *(number + 1 for number in numbers)])
        self._is_open = True
        waiting = [number for number in numbers if number >= first]
        if missing := self._next - first - len(waiting):
            why = f"segments are missing in {self._directory}; of each, one click is counted"
            self._lost(missing, "spool_damaged", why)
        self._segments = {number: self._found(number) for number in waiting}
        for number in numbers:
            if number < first:
                remove(self._path(number))  # all of it was sent; only its removal was missed

    def _found(self, number: int) -> Segment:
        """A segment of an earlier run. One that cannot be read now is tried again when its turn comes."""
        segment = Segment(self._path(number), self._clock())
        try:
            segment.measure(self._offset_in(number))
            by_the_wall_clock = self._wall_clock() - segment.path.stat().st_mtime + SEGMENT_SECONDS
            segment.begun_at -= age_at_start(by_the_wall_clock, self._max_age_seconds)
        except OSError as error:
            log.warning("%s cannot be read: %s", segment.path, error.strerror)
            segment.clicks = max(1, segment.clicks)  # nobody knows how many, but it is not given up for nothing
        return segment

    def _offset_in(self, number: int) -> int:
        return self._read_to.offset if self._read_to.segment == number else 0

    def _write(self, data: bytes, clicks: int) -> None:
        """Puts the bytes on the disk, at the end of the newest segment, or of a new one."""
        segment = self._writable_segment(len(data))
        try:
            segment.append(data, clicks)
        except OSError:
            if segment.size == 0:
                self._take_back(segment)
            raise

    def _writable_segment(self, wanted: int) -> Segment:
        """The segment that has room for so many bytes, made if need be."""
        now = self._clock()
        newest = self._segments.get(self._next - 1)
        if newest is not None and newest.takes(wanted, now):
            return newest
        if newest is not None:
            newest.close()
        while self._path(self._next).exists():  # whoever made it, it is not ours to write to
            self._next += 1
        segment = Segment.made(self._path(self._next), now)
        self._segments = {**self._segments, self._next: segment}
        self._next += 1
        return segment

    def _take_back(self, segment: Segment) -> None:
        """Removes a segment that never held anything."""
        with suppress(OSError):
            segment.path.unlink()
            self._next -= 1
            self._forget(self._next)

    def _forget(self, number: int) -> Segment:
        segment = self._segments[number]
        self._segments = {other: kept for other, kept in self._segments.items() if other != number}
        return segment

    def _done_with(self, number: int) -> None:
        """Removes the oldest segment, as soon as it is durable that it is not needed any more."""
        segment = self._forget(number)
        segment.close()
        self._done.append(segment.path)
        self._read_to = Position(number + 1, 0)
        try:
            self._write_cursor()
        except OSError as error:  # it goes with the next one; after a restart it is sent again, and taken once
            log.warning("a segment of the spool that is done with cannot be removed yet: %s", error.strerror)

    def _write_cursor(self) -> None:
        """Makes durable how far the frames were sent, and removes all segments before that. Raises OSError."""
        self._cursor.write(self._read_to)
        for path in self._done:
            remove(path)
        self._done.clear()

    # --- what is read back

    def _frames_of(self, number: int) -> list[tuple[Position, Frame]]:
        """The sound frames of a segment that were not sent; when there are none, the segment is removed."""
        with self._changing:
            segment = self._segments.get(number)
            if segment is None:  # it never held anything, and was taken back
                return []
            start = self._offset_in(number)
        try:
            if segment.size == 0:  # it could not be read at the start
                segment.measure(start)
            size = segment.size
            written_at = segment.path.stat().st_mtime
            data = segment.path.read_bytes()
        except OSError as error:
            with self._changing:
                why = f"{segment.path} cannot be read: {error.strerror}"
                self._lost(max(1, segment.clicks), "spool_failed", why)
                self._done_with(number)
            return []
        found = list(decoded(data[:size], start))
        frames = [(Position(number, end), frame) for end, frame in found if isinstance(frame, Frame)]
        with self._changing:
            for end, damage in found:
                if isinstance(damage, Damage):
                    self._set_aside(segment, f"{number:0{SEGMENT_DIGITS}d}-{end}", damage, written_at)
            if frames:  # whoever has sent the last of them, is also through with the damage behind it
                frames[-1] = (Position(number, size), frames[-1][1])
            elif segment.size == size:
                self._done_with(number)
        return frames

    def _set_aside(self, segment: Segment, place: str, damage: Damage, written_at: float) -> None:
        """Keeps a copy of bytes that are no frame, for whoever wants to look; they are counted at their first sight."""
        copy = self._quarantine.keep(place, damage.data, written_at=written_at)
        if copy is None:
            return
        segment.clicks = max(0, segment.clicks - damage.clicks)
        if damage.torn:
            log.warning("the spool ended in a frame that was never finished: %d bytes are cut off", len(damage.data))
        else:
            why = f"the disk gave back other bytes than it was given, see {copy.parent}"
            self._lost(max(1, damage.clicks), "spool_damaged", why)
