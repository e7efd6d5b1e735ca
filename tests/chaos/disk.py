"""Disks without room, disks that fail, and what they keep when the power is cut."""

import os
import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import command_line

BAD_DISK = Path(__file__).parent / "bad_disk"


@contextmanager
def full_for(pids: Iterable[int]) -> Iterator[None]:
    """The system lets no file of these processes grow, as on a disk without room."""
    pids = list(pids)
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        for pid in pids:
            if command_line(pid):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class BadDisk:
    """A disk that fails under the spools of a server that was started with these variables, or loses its power."""

    def __init__(self, directory: Path) -> None:
        self._switch = directory / "bad-disk"
        self._notes = self._switch.with_suffix(".flushed")
        self.variables = {"PYTHONPATH": str(BAD_DISK), "CHAOS_BAD_DISK": str(self._switch)}

    @contextmanager
    def failing(self, share: float) -> Iterator[None]:
        """So many of the calls that write or flush what is in a spool, end in EIO: 1 for all of them."""
        told = self._switch.with_suffix(".new")
        told.write_text(str(share))
        told.rename(self._switch)
        try:
            yield
        finally:
            self._switch.unlink()

    @contextmanager
    def noting_flushes(self) -> Iterator[None]:
        """Meanwhile it is written down what the program has flushed, before it learns that it has."""
        self._notes.touch()
        try:
            yield
        finally:
            self._notes.unlink()

    def flushed(self, path: Path) -> int:
        """How many bytes of a file were flushed since then."""
        sizes = [size for size, noted in self._noted() if noted == str(path.resolve()) and size != "named"]
        return int(sizes[-1]) if sizes else 0

    def cut_power(self, segments: Iterable[Path]) -> None:
        """Takes from segments that were begun since then all that was not flushed, and those whose names were not."""
        named = {noted for size, noted in self._noted() if size == "named"}
        for segment in segments:
            if str(segment.resolve()) in named:
                os.truncate(segment, self.flushed(segment))
            else:
                segment.unlink()

    def _noted(self) -> list[tuple[str, str]]:
        lines = (line.partition(" ") for line in self._notes.read_text().splitlines())
        return [(size, noted) for size, _, noted in lines]
