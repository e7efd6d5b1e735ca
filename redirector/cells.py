"""Small cells of a table are merged: no cell below a least size is shown, and none can be computed from what is.

A cell counts what its table counts. Where that is clicks, it says nothing about how many people made them: one reader
with ten clicks makes a cell of ten.

Whoever knows the rule, the total and every name in the table cannot compute a merged cell back: at least one that was
too small and one that was not are always merged together, and any two merged cells that differ could be exchanged
without a change in what is shown. Merging no more than it takes to reach the least size would not do: of 2 + 2 clicks
merged below a cell of 3, with 3 as the least size, only 2 and 2 could be the parts (R. C.-W. Wong et al., "Minimality
Attack in Privacy Preserving Data Publishing", VLDB 2007).

Of tables whose cells follow from one another, such as systems and the devices that they run on, each alone could be
safe, and a cell be computed from both. So they are shown as a tree: each shown cell is a table of its own for what lies
below it, and its size is that table's total. Nothing then is in two tables but the cell that is the other's total.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# What a cell is called whose value is not known, or was not kept.
UNKNOWN = "unknown"

# Between the names on the way to a cell of a tree.
BELOW: Final = " / "

# The way to a cell of a tree, from the top.
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells that may be seen, the largest first, and the sum of all others; 0 when there are no others."""

    shown: Mapping[str, int]
    other: int


def merged(cells: Mapping[str, int], least: int) -> Cells | None:
    """The cells with those below `least` merged, and with them the smallest of the others and its equals.

    Nothing (None) is shown of a whole that is smaller than two of the least cells, nor where all would be merged. With
    1 as the least size everything is shown.
    """
    filled = {name: count for name, count in cells.items() if count > 0}
    if not filled or (least > 1 and sum(filled.values()) < 2 * least):
        return None
    up_to = _merged_up_to(filled, least)
    shown = sorted(((-count, name) for name, count in filled.items() if count > up_to))
    if not shown:
        return None
    return Cells({name: -count for count, name in shown}, sum(count for count in filled.values() if count <= up_to))


def merged_tree(leaves: Mapping[Path, int], least: int, *, depth: int) -> list[Cells | None]:
    """The levels of a tree from the top, each cell named by its path (`desktop / Windows`).

    `leaves` are paths of `depth` names. The cells below a shown one are merged among themselves, as `merged` does;
    below a merged cell none is shown. `other` of a level is all that it does not show; None is a level without a cell.
    """
    total = sum(leaves.values())
    shown: dict[Path, int] = {(): total}
    levels: list[Cells | None] = []
    for level in range(depth):
        tables: defaultdict[Path, Counter[str]] = defaultdict(Counter)
        for path, count in leaves.items():
            tables[path[:level]][path[level]] += count
        tables_seen = {parent: merged(tables[parent], least) for parent in shown}
        shown = {
            (*parent, name): count for parent, seen in tables_seen.items() if seen for name, count in seen.shown.items()
        }
        largest_first = sorted((-count, path) for path, count in shown.items())
        cells = {BELOW.join(path): -count for count, path in largest_first}
        levels.append(Cells(cells, total - sum(cells.values())) if cells else None)
    return levels


def _merged_up_to(filled: Mapping[str, int], least: int) -> int:
    """The size of the largest cell that is merged; 0 when none is too small."""
    if min(filled.values()) >= least:
        return 0
    return min((count for count in filled.values() if count >= least), default=max(filled.values()))
