"""What the operating system says that processes have used."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from tests.processes import descendants

TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of processes, and of those of their children that have ended."""
    return sum(map(_cpu_seconds, pids))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS_PER_SECOND  # utime, stime, cutime, cstime of proc(5)


def memory_mb(pids: Iterable[int]) -> float:
    """The resident memory of processes, in MB."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    return [pid, *descendants(pid)]


def below(pid: int, words: str) -> list[int]:
    """The processes below this one whose command line has these words."""
    return [child for child, command in descendants(pid).items() if words in command]


def per_cpu_second(units: float, act: Callable[[], object], cpu_clock: Callable[[], float]) -> float:
    """How much of something this process does in a second of its own CPU time, when `act` does so many units."""
    began = cpu_clock()
    act()
    return units / (cpu_clock() - began)
