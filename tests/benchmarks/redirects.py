"""What a redirect costs, beside nginx's bare one under the same load, in turns, so that noise meets both alike."""

import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from tests.benchmarks.figures import Figures
from tests.benchmarks.load import Load, load
from tests.benchmarks.measured import cpu_seconds, memory_mb, tree
from tests.benchmarks.site import DEADLINE_MS, Site, individual_campaign

CONNECTIONS: Final = 64

COLUMNS: Final = ("redirect CPU µs", "store CPU µs", "consumer CPU µs", "requests/s", "p50 ms", "p99 ms", "p99/p50")


@dataclass(frozen=True, slots=True)
class Round:
    """One run of the load: what it saw, and the CPU microseconds per request of each part."""

    seen: Load
    cpu: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Bare:
    """nginx, and the paths that it is asked for."""

    url: str
    pid: int
    paths: Path


def bare_round(bare: Bare, seconds: float) -> Round:
    """One run against nginx."""
    before = cpu_seconds(tree(bare.pid))
    seen = load(bare.url, bare.paths, seconds=seconds, connections=CONNECTIONS)
    used = cpu_seconds(tree(bare.pid)) - before
    return Round(seen, {"redirect": 1e6 * used / seen.requests, "store": 0.0, "consumer": 0.0})


def site_round(
    site: Site, paths: Path, seconds: float, connections: int = CONNECTIONS, *, is_recorded: bool = True
) -> Round:
    """One run against the program, until the last click is counted."""
    processes, recorded = site.processes(), site.recorded()
    before = {name: cpu_seconds(pids) for name, pids in processes.items()}
    seen = load(site.url, paths, seconds=seconds, connections=connections)
    site.drain()
    recorded = site.recorded() - recorded
    as_meant = recorded >= seen.requests if is_recorded else recorded <= connections  # were under way before
    assert as_meant, f"{recorded} of {seen.requests} clicks are in the stream"
    used = {name: cpu_seconds(pids) - before[name] for name, pids in processes.items()}
    return Round(seen, {name: 1e6 * cpu / seen.requests for name, cpu in used.items()})


def warm(site: Site, paths: Path) -> None:
    """Asks for every path at least once, so that what is measured afterwards is not the first time."""
    left = paths.read_bytes().count(b"\n")
    for seconds in (1, 5, 20, 80):
        left -= load(site.url, paths, seconds=seconds, order="in turn", strict=False).requests
        if left < 0:
            break
    site.drain()


def compare(site: Site, bare: Bare, figures: Figures, *, rounds: int, seconds: float, links: int) -> None:
    """All ways of being asked, one after the other, each in turns with nginx."""
    site.create(individual_campaign())
    hot, individual = site.mint(1), site.mint(1, "renewal-2026")
    ways: dict[str, tuple[str, Callable[[], Path]]] = {
        "hot": ("one hot link", lambda: site.paths("hot", hot)),
        "untracked": ("not recorded", lambda: site.paths("untracked", hot, door="d")),
        "recipients": (f"{links:,} recipients", lambda: site.paths("recipients", individual, recipients=links)),
        "random": (f"{links:,} links at random", lambda: site.paths("random", site.mint(links))),
    }
    bare_round(bare, 1)
    rows: dict[str, list[float]] = {}
    all_bare: list[Round] = []
    for name, (title, paths_of) in ways.items():
        paths = paths_of()
        warm(site, paths)
        pairs = [
            (site_round(site, paths, seconds, is_recorded=name != "untracked"), bare_round(bare, seconds))
            for _ in range(rounds)
        ]
        to_nginx = median(_ratios([one for one, _ in pairs], [other for _, other in pairs]))
        figures.add(f"{name}_cpu_to_nginx", to_nginx)
        rows[title] = [*_row(figures, name, [one for one, _ in pairs]), to_nginx]
        all_bare += [other for _, other in pairs]
    rows = {"nginx: return 302": [*_row(figures, "nginx", all_bare), 1.0]} | rows
    figures.table(
        f"Redirects: {CONNECTIONS} connections, medians of {rounds} rounds of {seconds} s in turn with nginx",
        ("", *COLUMNS, "redirect CPU / nginx's"),
        rows,
    )
    figures.add("redirect_cpu_to_nginx", figures.by_name["hot_cpu_to_nginx"])
    figures.add("redirect_p99_to_p50", figures.by_name["hot_p99_to_p50"])
    figures.add("redirect_memory_mb", memory_mb(site.processes()["redirect"]))


def without_store(site: Site, figures: Figures, *, rounds: int, seconds: float) -> None:
    """How long readers wait while the store is frozen and clicks go to the disk, beside how long they wait with it."""
    paths = site.data_dir / "hot.paths"
    alive = [load(site.url, paths, seconds=seconds, connections=CONNECTIONS) for _ in range(rounds)]
    (store,) = site.processes()["store"]
    os.kill(store, signal.SIGSTOP)
    try:
        # Until the first batch was given up, and those who waited with it: nobody waits for the store after that.
        load(site.url, paths, seconds=DEADLINE_MS / 1000 + 1, connections=CONNECTIONS, strict=False)
        dead = [load(site.url, paths, seconds=seconds, connections=CONNECTIONS) for _ in range(rounds)]
    finally:
        os.kill(store, signal.SIGCONT)
    rows = {}
    for name, title, each in (("store_alive", "store alive", alive), ("store_dead", "store frozen", dead)):
        p50, p99 = median(one.p50_ms for one in each), median(one.p99_ms for one in each)
        rate = median(one.requests / one.seconds for one in each)
        figures.add(f"{name}_p99_ms", p99)
        rows[title] = [rate, p50, p99]
    dead_to_alive = figures.by_name["store_dead_p99_ms"] / figures.by_name["store_alive_p99_ms"]
    figures.add("redirect_p99_store_dead_to_alive", dead_to_alive)
    figures.table("With the store frozen: one hot link", ("", "requests/s", "p50 ms", "p99 ms"), rows)


def by_connections(site: Site, figures: Figures, counts: Iterable[int], *, rounds: int, seconds: float) -> None:
    """How the hot link's cost and latency change with the number of connections."""
    paths = site.data_dir / "hot.paths"
    rows = {}
    for connections in counts:
        each = [site_round(site, paths, seconds, connections) for _ in range(rounds)]
        rows[f"{connections}"] = _row(figures, f"connections_{connections}", each)
    figures.table("By connections: one hot link", ("connections", *COLUMNS), rows)


@dataclass(frozen=True, slots=True)
class Reference:
    """A server of the smallest size, and the paths that it is asked for."""

    site: Site
    paths: Path


def grown_beside(
    site: Site, figures: Figures, name: str, paths: Path, beside: Reference, *, rounds: int, seconds: float
) -> tuple[list[float], float]:
    """A row of a table of growth, the last of it what a redirect costs beside one of the reference, in turns."""
    warm(site, paths)
    warm(beside.site, beside.paths)
    pairs = [(site_round(site, paths, seconds), site_round(beside.site, beside.paths, seconds)) for _ in range(rounds)]
    ratio = median(_ratios([one for one, _ in pairs], [other for _, other in pairs]))
    figures.add(f"{name}_to_few", ratio)
    return [*_row(figures, name, [one for one, _ in pairs]), ratio], ratio


def grown(site: Site, figures: Figures, name: str, paths: Path, *, rounds: int, seconds: float) -> list[float]:
    """A row of a table of growth: one more size of what grows."""
    warm(site, paths)
    return _row(figures, name, [site_round(site, paths, seconds) for _ in range(rounds)])


def _row(figures: Figures, name: str, rounds: Sequence[Round]) -> list[float]:
    values = {f"{part}_cpu_us": median(each.cpu[part] for each in rounds) for part in rounds[0].cpu} | {
        "requests_per_second": median(each.seen.requests / each.seen.seconds for each in rounds),
        "p50_ms": median(each.seen.p50_ms for each in rounds),
        "p99_ms": median(each.seen.p99_ms for each in rounds),
        "p99_to_p50": median(each.seen.p99_ms / each.seen.p50_ms for each in rounds),
    }
    for part, value in values.items():
        figures.add(f"{name}_{part}", value)
    return list(values.values())


def _ratios(rounds: Sequence[Round], bare: Sequence[Round]) -> Iterable[float]:
    return (each.cpu["redirect"] / other.cpu["redirect"] for each, other in zip(rounds, bare, strict=True))
