"""Slots: directories that one redirect process each owns, for what it keeps on disk.

A process takes the first that is free: one that was killed leaves its slot to its successor, with what waits in it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

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
def abandoned_slots(data_dir: Path, containing: str) -> Iterator[list[Path]]:
    """The slots that belong to nobody and have files of this pattern; they are this process's while the block lasts."""
    with ExitStack() as locks:
        slots = []
        for slot in sorted(data_dir.glob("redirect-*")):
            if any(slot.glob(containing)) and (lock := _locked(slot)) is not None:
                locks.callback(os.close, lock)
                slots.append(slot)
        yield slots


def _first_free(data_dir: Path) -> tuple[Path, int]:
    number = 0
    while True:
        slot = data_dir / f"redirect-{number}"
        slot.mkdir(mode=0o700, parents=True, exist_ok=True)
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
