"""Slots: directories that one redirect process each owns, for what it keeps on disk.

A process takes the first that is free: one that was killed leaves its slot to its successor, with what waits in it.
Its journals have a lock of their own: whoever adopts them is through with it in a moment, and the slot itself, with
the links in it, is free for others all the time.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from redirector.durable import make_directory
from redirector.errors import InvalidSetting

# The slot of a process whose disk fails: nothing can be made there.
NOWHERE: Final = Path("/dev/null/redirect")

# What no other directory on this disk would mend.
_DISK_FAULTS: Final = {errno.EIO, errno.EROFS, errno.ENOSPC, errno.EDQUOT}

log = logging.getLogger(__name__)


@contextmanager
def own_slot(data_dir: Path) -> Iterator[Path]:
    """A slot that is this process's own while the block lasts; `NOWHERE` when the disk fails.

    Raises InvalidSetting when the directory will not do.
    """
    with ExitStack() as locks:
        try:
            slot = _first_free(data_dir, locks)
        except OSError as error:
            if error.errno not in _DISK_FAULTS:
                raise InvalidSetting(
                    f"the directory cannot be used: {error.strerror}",
                    field="REDIRECTOR_DATA_DIR",
                    part=str(data_dir),
                    remedy="choose a directory that this user may write to; clicks are kept there while the store is "
                    "away",
                ) from None
            log.error("nothing is kept on the disk until the next start, see to %s: %s", data_dir, error.strerror)
            slot = NOWHERE
        yield slot


@contextmanager
def abandoned_journals(data_dir: Path) -> Iterator[list[Path]]:
    """The journals with clicks in them that belong to nobody; they are this process's while the block lasts.

    A process that takes one of their slots waits for that long. What the disk refuses is left to another start.
    """
    with ExitStack() as locks:
        journals = []
        for slot in sorted(data_dir.glob("redirect-*")):
            try:
                if any(slot.glob("*/*.frames")) and _locked(slot / "spool.lock", locks):
                    journals += sorted({path.parent for path in slot.glob("*/*.frames")})
            except OSError as error:
                log.warning("what may be in %s is not sent now: %s", slot, error.strerror)
        yield journals


def _first_free(data_dir: Path, locks: ExitStack) -> Path:
    number = 0
    while True:
        slot = data_dir / f"redirect-{number}"
        make_directory(slot)
        if _locked(slot / "lock", locks):
            _locked(slot / "spool.lock", locks, wait=True)
            return slot
        number += 1


def _locked(path: Path, locks: ExitStack, *, wait: bool = False) -> bool:
    """Keeps others out until `locks` is closed; answers whether it does, or else somebody was first."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(lock)
        return False
    locks.callback(os.close, lock)
    return True
