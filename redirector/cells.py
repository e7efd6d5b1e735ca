"""Small cells of a table are merged, so that nobody is told apart by being the only one, or one of a few.

Whoever knows the rule, the total and every name in the table cannot compute a merged cell back: at least one that was
too small and one that was not are always merged together, and any two merged cells that differ could be exchanged
without a change in what is shown. Merging no more than it takes to reach the least size would not do: of 2 + 2 clicks
merged below a cell of 3, with 3 as the least size, only 2 and 2 could be the parts (R. C.-W. Wong et al., "Minimality
Attack in Privacy Preserving Data Publishing", VLDB 2007).
"""

from collections.abc import Mapping
from dataclasses import dataclass

# What a cell is called whose value is not known, or was not kept.
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells that may be seen, the largest first, and the sum of all others; 0 when there are no others."""

    shown: Mapping[str, int]
    other: int


def merged(cells: Mapping[str, int], least: int) -> Cells | None:
    """The cells with those below `least` merged, and with them the smallest of the others and its equals.

    Nothing (None) is shown of a whole that is smaller than two of the least cells, nor where all would be merged.
    """
    filled = {name: count for name, count in cells.items() if count > 0}
    if sum(filled.values()) < 2 * least:
        return None
    up_to = _merged_up_to(filled, least)
    shown = sorted(((-count, name) for name, count in filled.items() if count > up_to))
    if not shown:
        return None
    return Cells({name: -count for count, name in shown}, sum(count for count in filled.values() if count <= up_to))


def _merged_up_to(filled: Mapping[str, int], least: int) -> int:
    """The size of the largest cell that is merged; 0 when none is too small."""
    if min(filled.values()) >= least:
        return 0
    return min((count for count in filled.values() if count >= least), default=max(filled.values()))
