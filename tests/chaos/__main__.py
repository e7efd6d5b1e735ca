"""`python -m tests.chaos`: many rounds, with their figures at the end."""

import argparse
import json
import random
import sys
from contextlib import ExitStack

from rich.console import Console
from rich.table import Table

from tests.chaos.rounds import Results, play_all
from tests.chaos.worlds import KINDS, World


def main() -> None:
    """Plays the rounds; exits with 1 at the first click that is lost or doubled."""
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


def table(results: Results) -> Table:
    """The figures by fault, and their sums."""
    drawn = Table("fault", "rounds", "answered", "not answered", "lost", "doubled", "slowest (s)")
    for name, figures in sorted(results.by_fault.items()):
        slowest = f"{figures.slowest_seconds:.2f}"
        drawn.add_row(name, *map(str, (figures.rounds, figures.answered, figures.unanswered, figures.lost, 0)), slowest)
    return drawn


main()
