"""A server's wall clock, moved by a test: every process of it is lied to, and waits as long as ever."""

import time
from pathlib import Path

from tests.chaos.worlds import faketime_library


def moved_by(clock: Path) -> dict[str, str]:
    """The variables of a server whose wall clock says what `set_clock` has written to the file."""
    return {
        "LD_PRELOAD": faketime_library(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def set_clock(clock: Path, moment: float) -> None:
    """From now on the clock goes on from this moment (Unix seconds)."""
    clock.write_text(f"{moment - time.time():+.0f}")
