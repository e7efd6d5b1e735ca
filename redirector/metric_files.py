"""The files through which the processes of one machine share their numbers, so that any of them answers for all.

They are named after what the supervisor calls a process, not after its number: whoever takes the place of a process
that ended counts on in its files, whose room on the disk is taken already. A process alone shares nothing.
"""

import logging
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's own variable
PROCESS: Final = "PROMETHEUS_MULTIPROC_PROCESS"

# The files of one process, one for each kind of metric, and what each may come to hold, twice over.
_LIVE: Final = ("gauge_livesum", "gauge_livemax", "gauge_livemin")
_KINDS: Final = ("counter", "histogram", *_LIVE)
_FILE_BYTES: Final = 16 * 1024

log = logging.getLogger(__name__)


def begin() -> str:
    """Makes this process share its numbers if it is to. Call it before the first metric is made.

    Returns the directory of the files, or "" when there is none.
    """
    directory = os.environ.get(DIRECTORY, "")
    if directory:
        name = os.environ.get(PROCESS, "") or str(os.getpid())
        if _has_room(Path(directory), name):
            values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call] # the package leaves it so
        else:
            values.ValueClass = values.MutexValue
    return directory


def _has_room(directory: Path, name: str) -> bool:
    """Takes the room for these files on the disk. prometheus-client would map files without any.

    On a full disk the first number written to such a file kills the process (SIGBUS).
    """
    files = [_file(directory, kind, name) for kind in _KINDS]
    new = [file for file in files if not _is_sound(file)]
    try:
        for file in new:
            file.write_bytes(bytes(_FILE_BYTES))
    except OSError as error:
        log.warning("the metrics of this process cannot be seen until it is started again: %s", error)
        with suppress(OSError):
            for file in new:
                file.unlink(missing_ok=True)
        return False
    return True


def _is_sound(file: Path) -> bool:
    """Whether it can be counted on in this file: prometheus-client would read it before the process can do anything."""
    try:
        data = file.read_bytes()
        used: int = struct.unpack_from("i", data)[0]
        for _ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call] # the package leaves it so
            pass
    except (OSError, ValueError, RuntimeError, struct.error):
        return False
    return 0 <= used <= len(data)


def process_ended(directory: Path, name: str) -> None:
    """A process that ended has no gauges any more; what it counted stays, and so does the room of its files."""
    for kind in _LIVE:
        with suppress(OSError), _file(directory, kind, name).open("r+b") as file:
            file.write(bytes(os.fstat(file.fileno()).st_size))


def _file(directory: Path, kind: str, name: str) -> Path:
    return directory / f"{kind}_{name}.db"
