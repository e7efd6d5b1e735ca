"""Python loads this file into every process of the program: a disk under the spool that fails while it is told to.

`CHAOS_BAD_DISK` names a file; while it is there, the share of calls that it says ends in EIO. The system's own ways to
a real one are not to be had everywhere: a device mapper wants its kernel module, and `strace --inject` may attach to
a running process neither on a hardened machine nor in most containers.
"""

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

SWITCH = Path(os.environ["CHAOS_BAD_DISK"])


def failing(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, which fails now and then for what belongs to the spool."""

    def act(descriptor: int, *others: Any) -> Any:
        if "/spool" in str(Path(f"/proc/self/fd/{descriptor}").readlink()) and random.random() < failing_share():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return call(descriptor, *others)

    return act


def failing_share() -> float:
    """How many of the calls fail."""
    try:
        return float(SWITCH.read_text())
    except FileNotFoundError:
        return 0.0


for name in ("write", "pwrite", "fsync", "fdatasync"):
    setattr(os, name, failing(getattr(os, name)))
