"""Disks without room, and disks that fail."""

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
    """A disk that fails under the spools of a server that was started with these variables."""

    def __init__(self, directory: Path) -> None:
        self._switch = directory / "bad-disk"
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
