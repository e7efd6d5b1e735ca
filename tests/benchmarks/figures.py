"""What was measured, by name: tables for people, and one line of JSON for programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

# What issue and documentation promise: the figure, the bound, and whether it is the most or the least.
REACH: Final = {
    "redirect_cpu_to_nginx": ("<=", 7.5),
    "redirect_p99_to_p50": ("<=", 4.0),
    "redirect_p99_store_dead_to_alive": ("<=", 3.0),
    "redirect_cpu_million_links_to_ten": ("<=", 1.15),
    "consumer_clicks_per_cpu_second": (">=", 50_000.0),
    "minted_to_hashids": (">=", 6.0),
    "rewritten_mb_per_cpu_second": (">=", 20.0),
    "store_bytes_per_click": ("<=", 110.0),
    "store_rows_30_links": ("<=", 30.0),
}


class Figures:
    """Figures in the order in which they were measured."""

    def __init__(self) -> None:
        self.by_name: dict[str, float] = {}
        self._console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)

    def add(self, name: str, value: float) -> None:
        """A figure."""
        self.by_name[name] = round(value, 3)

    def table(self, title: str, columns: Sequence[str], rows: Mapping[str, Sequence[float]]) -> None:
        """Prints a table; the first column names the row."""
        table = Table(title=title, title_justify="left")
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number else "left")
        for name, values in rows.items():
            table.add_row(name, *map(readable, values))
        self._console.print(table)

    def finish(self) -> None:
        """Prints what was to be reached, and then everything as one line of JSON."""
        table = Table(title="What is to be reached", title_justify="left")
        for column in ("figure", "measured", "to reach", ""):
            table.add_column(column)
        for name, (kind, bound) in REACH.items():
            if (value := self.by_name.get(name)) is not None:
                reached = value <= bound if kind == "<=" else value >= bound
                table.add_row(name, readable(value), f"{kind} {readable(bound)}", "yes" if reached else "NO")
        self._console.print(table)
        sys.stdout.write(json.dumps(self.by_name) + "\n")


def readable(value: float) -> str:
    """A number with no more digits than mean anything."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:,.3g}" if abs(value) < 100 else f"{value:,.1f}"
