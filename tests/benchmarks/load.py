"""The same load for every server: wrk, with the headers of browsers and a file of paths."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

SCRIPT: Final = Path(__file__).with_name("load.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw; it waits for an answer before it sends the next request of a connection."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float


def load(
    url: str,
    paths: Path,
    *,
    seconds: float,
    connections: int = 64,
    order: Literal["in turn", "at random"] = "at random",
    strict: bool = True,
) -> Load:
    """Requests of the paths for so long. If strict, fails when one is answered by an error, or not at all."""
    whole = max(1, round(seconds))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{whole}s", "-s", str(SCRIPT), url, "--", str(paths), order]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    seen = json.loads(finished.stdout.splitlines()[-1])
    errors = seen.pop("errors")
    assert not (strict and errors), finished.stdout
    return Load(**seen)
