"""A report's breakdowns, read by an attacker who knows the rule and every name that there is."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations, permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from redirector.cells import BELOW, Cells, Path
from redirector.count import AGENT
from redirector.report import breakdowns

# Each system on its device, as the program tells them, and two programs on each system.
SYSTEMS = {
    "desktop": ("Windows", "Mac OS X", "Linux"),
    "phone": ("iOS", "Android", "KaiOS"),
    "unknown": ("unknown", "Roku", "Tizen"),
}
LEAVES: list[Path] = [
    (device, system, client) for device, systems in SYSTEMS.items() for system in systems for client in ("one", "two")
]
DEVICE, SYSTEM = 6, 2  # so many leaves lie below one

Table = tuple[int, ...]
Seen = Mapping[str, Cells | None]
TABLES = st.tuples(*[st.just(0) | st.integers(0, 12) | st.integers(0, 60)] * len(LEAVES))


def seen(table: Table, least: int) -> Seen:
    """What a report shows of so many clicks below each leaf; who reads which language is another matter."""
    agents = {"/".join(path): count for path, count in zip(LEAVES, table, strict=True)}
    return breakdowns({"agent": agents, "lang": {"de": sum(table)}}, least)


def cells_of(table: Table) -> Counter[Path]:
    """Every cell of every level, also the empty ones."""
    cells: Counter[Path] = Counter()
    for path, count in zip(LEAVES, table, strict=True):
        for depth in range(len(path)):
            cells[path[: depth + 1]] += count
    return cells


def shown_of(found: Seen) -> dict[Path, int]:
    """The cells that are shown, by their paths."""
    levels = [found[name] for name in AGENT]
    return {tuple(name.split(BELOW)): count for level in levels if level for name, count in level.shown.items()}


def hidden_of(found: Seen, total: int) -> list[Path]:
    """The cells that are not shown, and for which those that are leave any click."""
    shown = {(): total, **shown_of(found)}
    left = Counter(shown)
    for path, count in shown.items():
        if path:
            left[path[:-1]] -= count
    return [path for path in cells_of((0,) * len(LEAVES)) if path not in shown and left[_shown_above(path, shown)]]


def _shown_above(path: Path, shown: Mapping[Path, int]) -> Path:
    return next(path[:depth] for depth in range(len(path) - 1, -1, -1) if path[:depth] in shown)


def rearranged(table: Table) -> Iterator[Table]:
    """Tables of as many clicks: one click is another leaf's, or all those of a cell are its sibling's, and its are."""
    for one, other in permutations(range(len(table)), 2):
        if table[one]:
            moved = list(table)
            moved[one] -= 1
            moved[other] += 1
            yield tuple(moved)
    for size, below in ((DEVICE, len(table)), (SYSTEM, DEVICE), (1, SYSTEM)):
        for start in range(0, len(table), below):
            for one, other in combinations(range(start, start + below, size), 2):
                swapped = list(table)
                swapped[one : one + size], swapped[other : other + size] = (
                    table[other : other + size],
                    table[one : one + size],
                )
                yield tuple(swapped)


@settings(max_examples=60, deadline=None)
@given(TABLES, st.integers(1, 25))
def test_no_hidden_cell_can_be_computed_from_all_breakdowns(table: Table, least: int) -> None:
    """For each cell of any level that is not shown there are two tables that look the same and differ in it."""
    found = seen(table, least)
    alike = [cells_of(other) for other in (table, *rearranged(table)) if seen(other, least) == found]

    assert [path for path in hidden_of(found, sum(table)) if len({cells[path] for cells in alike}) == 1] == []


@given(TABLES, st.integers(1, 25))
def test_what_is_shown_is_true_and_large_enough(table: Table, least: int) -> None:
    """A cell is shown with its clicks, below one that is shown; what is hidden beside it is nothing, or enough."""
    found, cells = seen(table, least), cells_of(table)
    shown = shown_of(found)

    assert all(cells[path] == count >= least for path, count in shown.items())
    assert all(len(path) == 1 or path[:-1] in shown for path in shown)
    for parent in {path[:-1] for path in shown}:
        siblings = [path for path in cells if path[:-1] == parent and len(path) == len(parent) + 1]
        hidden = [cells[path] for path in siblings if path not in shown and cells[path]]
        assert not hidden or (len(hidden) >= 2 and sum(hidden) >= least)
    for name in AGENT:
        level = found[name]
        assert level is None or sum(level.shown.values()) + level.other == sum(table)
        assert level is None or list(level.shown.values()) == sorted(level.shown.values(), reverse=True)


def test_attacker_finds_a_cell_where_breakdowns_stand_apart() -> None:
    """The attack finds something where there is something to find: programs that are merged as if devices were not."""
    table = (20, 10, 14, 0, 2, 0, 11, 0, *[0] * 10)
    systems = Cells({"desktop / Windows": 30, "desktop / Mac OS X": 14}, 13)
    found: Seen = {"device": Cells({"desktop": 46, "phone": 11}, 0), "os": systems, "client": None}

    def looks_so(other: Table) -> bool:
        cells = cells_of(other)
        return all(cells[path] == count for path, count in shown_of(found).items())

    alike = [cells_of(other) for other in (table, *rearranged(table)) if looks_so(other)]

    assert ("desktop", "Linux") in hidden_of(found, sum(table))
    assert {cells["desktop", "Linux"] for cells in alike} == {2}
