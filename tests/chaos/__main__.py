"""`python -m tests.chaos`: many rounds, with their figures at the end."""

import argparse
import json
import random
import sys
from contextlib import ExitStack

from rich.console import Console
from rich.table import Table

from tests.chaos.faults import FAULTS
from tests.chaos.rounds import Figures, Results, play_all
from tests.chaos.worlds import KINDS, World


def main() -> None:
    """Plays the rounds; exits with 1 at the first that is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None, help="draws the same faults again")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if arguments.seed is None else arguments.seed
    console = Console() if sys.stdout.isatty() else Console(width=130)
    console.print(f"seed {seed}")
    with ExitStack() as stack:
        worlds = [stack.enter_context(World(kind)) for kind in KINDS]
        results = play_all(worlds, arguments.rounds, seed)
    console.print(table(results))
    print(json.dumps(results.as_json()))  # noqa: T201
    if results.broken:
        sys.exit("\n".join(results.broken))


def table(results: Results) -> Table:
    """The figures by fault, and their sums."""
    drawn = Table("fault", "rounds", "answered", "not answered", "lost", "doubled", "slowest (s)", "at most (s)")
    at_most = {fault.name: f"{fault.slowest_seconds:g}" for fault in FAULTS}
    everything = Figures()
    for name, figures in sorted(results.by_fault.items()):
        everything.add(figures)
        drawn.add_row(name, *_shown(figures), at_most[name])
    drawn.add_section()
    drawn.add_row("all", *_shown(everything))
    return drawn


def _shown(figures: Figures) -> list[str]:
    counts = (figures.rounds, figures.answered, figures.unanswered, figures.lost, figures.doubled)
    return [*map(str, counts), f"{figures.slowest_seconds:.2f}"]


main()
