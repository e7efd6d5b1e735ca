"""Runs a program that dies with the process that started it, even when that one is killed.

Usage: python leash.py OWNER_PID PROGRAM ARGUMENT...
It is a program of its own because setting this up between fork and exec is not safe in a process with threads.
"""

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def leashed(*command: str) -> tuple[str, ...]:
    """The command that runs `command` (an absolute path and its arguments) on this process's leash."""
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), *command)


def hold(owner: int) -> None:
    """This process is killed when `owner` dies, and at once if it is dead already. Linux only; elsewhere nothing."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != owner:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    hold(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - the caller's own words, no shell
