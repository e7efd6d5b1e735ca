"""What cannot be sent, set aside: copies for whoever wants to look, which also say what was counted already.

A copy has the time of its segment, so that it is kept for no longer than the clicks that were sent.
"""

import logging
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

DIRECTORY: Final = "quarantine"
SEGMENT_DIGITS: Final = 12  # how a copy's name begins: with the number of its segment

log = logging.getLogger(__name__)


class Quarantine:
    """The directory of copies, made when there is a first one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: set[str] = set()

    def keep(self, name: str, data: bytes, *, written_at: float) -> Path | None:
        """Keeps a copy of data found at a place of this name, and answers where; None when that was done before.

        `written_at` is when the data was written, in Unix seconds. A disk that takes no copy is no error: the data is
        then known until the process ends.
        """
        # The same place may be spoiled twice: segments are numbered from the start again when the cursor is lost.
        copy = self._directory / f"{name}-{zlib.crc32(data):08x}"
        if copy.name in self._known or copy.exists():
            return None
        self._known.add(copy.name)
        with suppress(OSError):
            self._directory.mkdir(mode=0o700, exist_ok=True)
            copy.write_bytes(data)
            os.utime(copy, (written_at, written_at))
        return copy


def forget(data_dir: Path, *, before: float) -> None:
    """Removes the copies of what was written before this moment (Unix seconds), also those of processes that are gone.

    One whose segment still waits to be sent stays with it: it says that its clicks were counted as lost.
    """
    copies: list[Path] = []
    with suppress(OSError):  # a disk that fails
        copies = list(data_dir.glob(f"redirect-*/*/{DIRECTORY}/*"))
    if forgotten := sum(_forgotten(copy, before) for copy in copies):
        log.info("%d damaged pieces of spools were removed: they are older than what is kept of clicks", forgotten)


def _forgotten(copy: Path, before: float) -> bool:
    segment = copy.parent.parent / f"{copy.name[:SEGMENT_DIGITS]}.frames"
    try:
        if copy.stat().st_mtime >= before or segment.exists():
            return False
        copy.unlink()
    except FileNotFoundError:  # another process was first
        return False
    except OSError as error:
        log.warning("%s is older than what is kept of clicks, and cannot be removed: %s", copy, error.strerror)
        return False
    return True
