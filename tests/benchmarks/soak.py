"""`make soak`: hours of half the load, and whether memory and file descriptors stay as they are."""

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.load import load
from tests.benchmarks.site import HOLD_MS, Site, site

LINKS = 10_000
CONNECTIONS = 16
STEP_SECONDS = 30.0
# Half of the time readers click, as fast as they are answered; the other half nobody does.
LOADED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment."""

    minute: float
    part: str
    resident_mb: float
    descriptors: int


def main() -> None:
    """Runs for so long, and prints a table by the minute, and everything as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    minutes = parser.parse_args().minutes
    with (
        tempfile.TemporaryDirectory(prefix="redirector-soak-") as directory,
        site(Path(directory), hold_ms=HOLD_MS) as running,
    ):
        paths = running.paths("soak", running.mint(LINKS))
        samples, requests = _soak(running, paths, minutes)
        clicks = running.recorded()
    Console(width=100).print(_table(samples))
    print(json.dumps({"requests": requests, "clicks": clicks, "samples": [asdict(each) for each in samples]}))  # noqa: T201


def _soak(running: Site, paths: Path, minutes: float) -> tuple[list[Sample], int]:
    began = time.monotonic()
    requests, samples = 0, _samples(running, 0)
    while (passed := time.monotonic() - began) < minutes * 60:
        loaded = load(running.url, paths, seconds=STEP_SECONDS * LOADED_SHARE, connections=CONNECTIONS)
        requests += loaded.requests
        time.sleep(STEP_SECONDS * (1 - LOADED_SHARE))
        samples += _samples(running, passed / 60)
    return samples, requests


def _samples(running: Site, minute: float) -> list[Sample]:
    return [
        Sample(round(minute, 1), part, _resident_mb(pid), len(list(Path(f"/proc/{pid}/fd").iterdir())))
        for part, pids in running.processes().items()
        for pid in pids
    ]


def _resident_mb(pid: int) -> float:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _table(samples: list[Sample]) -> Table:
    parts = sorted({each.part for each in samples})
    drawn = Table("minute", *(f"{part} MB" for part in parts), *(f"{part} files" for part in parts))
    for minute in sorted({each.minute for each in samples}):
        here = {each.part: each for each in samples if each.minute == minute}
        drawn.add_row(
            f"{minute:.0f}",
            *(f"{here[part].resident_mb:.1f}" for part in parts),
            *(str(here[part].descriptors) for part in parts),
        )
    return drawn


if __name__ == "__main__":
    main()
