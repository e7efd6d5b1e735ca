"""Python loads this file into every process of the program: a disk under the spool that fails while it is told to.

`CHAOS_BAD_DISK` names a file; while it is there, the share of calls that it says ends in EIO. The system's own ways to
a real one are not to be had everywhere: a device mapper wants its kernel module, and `strace --inject` may attach to
a running process neither on a hardened machine nor in most containers.

While there is a file of that name with `.flushed` behind it, whatever a flush has made durable is added to it.
"""

import errno
import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

SWITCH = Path(os.environ["CHAOS_BAD_DISK"])
FLUSHED = SWITCH.with_suffix(".flushed")


def failing(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, which fails now and then for what belongs to the spool."""

    def act(descriptor: int, *others: Any) -> Any:
        if "/spool" in str(path_of(descriptor)) and random.random() < failing_share():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return call(descriptor, *others)

    return act


def failing_share() -> float:
    """How many of the calls fail."""
    try:
        return float(SWITCH.read_text())
    except FileNotFoundError:
        return 0.0


def noted(flush: Callable[[int], None]) -> Callable[[int], None]:
    """The same call; before it returns, it is written down what the disk now keeps, whatever becomes of the rest."""

    def act(descriptor: int) -> None:
        kept = "".join(f"{line}\n" for line in durable_after_flush(path_of(descriptor), descriptor))
        flush(descriptor)
        with suppress(FileNotFoundError):
            notes = os.open(FLUSHED, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                os.write(notes, kept.encode())
            finally:
                os.close(notes)

    return act


def durable_after_flush(path: Path, descriptor: int) -> list[str]:
    """Of a file, how many bytes it has by now; of a directory, which segments."""
    if path.is_dir():
        return [f"named {segment}" for segment in path.glob("*.frames")]
    return [f"{os.fstat(descriptor).st_size} {path}"]


def path_of(descriptor: int) -> Path:
    """The file or directory behind it."""
    return Path(f"/proc/self/fd/{descriptor}").readlink()


for name in ("write", "pwrite", "fsync", "fdatasync"):
    setattr(os, name, failing(getattr(os, name)))
for name in ("fsync", "fdatasync"):
    setattr(os, name, noted(getattr(os, name)))
