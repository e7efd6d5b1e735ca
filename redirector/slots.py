"""Slots: directories that one redirect process each owns, for what it keeps on disk.

A process takes the first that is free: one that was killed leaves its slot to its successor, with what waits in it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redirector.durable import make_directory
from redirector.errors import InvalidSetting


@contextmanager
def own_slot(data_dir: Path) -> Iterator[Path]:
    """A slot that is this process's own while the block lasts. Raises InvalidSetting when the directory will not do."""
    try:
        slot, lock = _first_free(data_dir)
    except OSError as error:
        raise InvalidSetting(
            f"the directory cannot be used: {error.strerror}",
            field="REDIRECTOR_DATA_DIR",
            part=str(data_dir),
            remedy="choose a directory that this user may write to; clicks are kept there while the store is away",
        ) from None
    try:
        yield slot
    finally:
        os.close(lock)


@contextmanager
def abandoned_journals(data_dir: Path) -> Iterator[list[Path]]:
    """The journals with clicks in them that belong to nobody; they are this process's while the block lasts."""
    with ExitStack() as locks:
        journals = []
        for slot in sorted(data_dir.glob("redirect-*")):
            if any(slot.glob("*/*.frames")) and (lock := _locked(slot)) is not None:
                locks.callback(os.close, lock)
                journals += sorted({path.parent for path in slot.glob("*/*.frames")})
        yield journals


def _first_free(data_dir: Path) -> tuple[Path, int]:
    number = 0
    while True:
        slot = data_dir / f"redirect-{number}"
        make_directory(slot)
        if (lock := _locked(slot)) is not None:
            return slot, lock
        number += 1


def _locked(slot: Path) -> int | None:
    """A descriptor that keeps others out of the slot until it is closed; None when somebody else has it."""
    lock = os.open(slot / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
