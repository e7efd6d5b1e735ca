"""What it takes that files and directories are still there after a power cut."""

import os
from contextlib import suppress
from pathlib import Path


def make_directory(directory: Path) -> None:
    """Makes a directory for its owner alone, with those above it that are missing, and makes their names durable."""
    if not directory.parent.exists():
        make_directory(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)
    with suppress(PermissionError):  # what stands above the first of ours may be closed to us
        sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Makes durable which files a directory has."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all of the data, however small the pieces are that the disk takes; it is not flushed yet."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
