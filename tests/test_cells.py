"""Small cells: what is merged, and that nobody computes a merged cell back."""

from collections import defaultdict
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector.cells import BELOW, Cells, Path, merged, merged_tree

TABLES = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(0, 60), max_size=12)
LEAST = st.integers(1, 30)


@pytest.mark.parametrize(
    ("cells", "seen"),
    [
        pytest.param({"de": 30, "fr": 12}, Cells({"de": 30, "fr": 12}, 0), id="all large enough"),
        pytest.param({"de": 30, "fr": 12, "it": 9}, Cells({"de": 30}, 21), id="one too small takes the next with it"),
        pytest.param({"de": 30, "fr": 12, "en": 12, "it": 9}, Cells({"de": 30}, 33), id="and the next one's equals"),
        pytest.param({"de": 30, "fr": 12, "it": 9, "en": 8}, Cells({"de": 30}, 29), id="also where two are too small"),
        pytest.param({"de": 30, "it": 9}, None, id="nothing is left to show"),
        pytest.param({"de": 9, "it": 9, "fr": 9}, None, id="all too small"),
        pytest.param({"de": 19}, None, id="the whole is too small"),
        pytest.param({"de": 20, "fr": 0}, Cells({"de": 20}, 0), id="an empty cell is none"),
        pytest.param({}, None, id="nothing was counted"),
    ],
)
def test_cells_that_may_be_seen(cells: dict[str, int], seen: Cells | None) -> None:
    """With 10 as the least size."""
    assert merged(cells, 10) == seen


def test_one_as_the_least_size_shows_all() -> None:
    """Also of a whole that is a single click, in a table and in a tree."""
    assert merged({"de": 1}, 1) == Cells({"de": 1}, 0)
    assert merged_tree({("phone", "iOS"): 1}, 1, depth=2) == [Cells({"phone": 1}, 0), Cells({"phone / iOS": 1}, 0)]


WINDOWS, MAC, LINUX = ("desktop", "Windows"), ("desktop", "Mac"), ("desktop", "Linux")
IOS, ANDROID = ("phone", "iOS"), ("phone", "Android")


@pytest.mark.parametrize(
    ("leaves", "levels"),
    [
        pytest.param(
            {WINDOWS: 30, IOS: 20},
            [Cells({"desktop": 30, "phone": 20}, 0), Cells({"desktop / Windows": 30, "phone / iOS": 20}, 0)],
            id="all large enough",
        ),
        pytest.param(
            {WINDOWS: 30, MAC: 14, LINUX: 2, IOS: 11},
            [Cells({"desktop": 46, "phone": 11}, 0), Cells({"desktop / Windows": 30}, 27)],
            id="one too small takes another below the same device with it",
        ),
        pytest.param(
            {WINDOWS: 30, LINUX: 9, IOS: 25, ANDROID: 30},
            [
                Cells({"phone": 55, "desktop": 39}, 0),
                Cells({"phone / Android": 30, "phone / iOS": 25}, 39),
            ],
            id="of a device with nothing else to hide one behind, none is shown",
        ),
        pytest.param(
            {WINDOWS: 60, MAC: 40, IOS: 20, ("tablet", "iOS"): 9},
            [Cells({"desktop": 100}, 29), Cells({"desktop / Windows": 60, "desktop / Mac": 40}, 29)],
            id="below a merged device none is shown, though it is large enough",
        ),
        pytest.param({WINDOWS: 15, IOS: 15}, [Cells({"desktop": 15, "phone": 15}, 0), None], id="a level without any"),
        pytest.param({WINDOWS: 10, IOS: 9}, [None, None], id="the whole is too small"),
        pytest.param({}, [None, None], id="nothing was counted"),
    ],
)
def test_levels_of_a_tree(leaves: dict[Path, int], levels: list[Cells | None]) -> None:
    """With 10 as the least size."""
    assert merged_tree(leaves, 10, depth=2) == levels


@given(TABLES, LEAST)
def test_sums_add_up(cells: dict[str, int], least: int) -> None:
    """What is shown and the others together are the whole, and each shown cell is true."""
    seen = merged(cells, least)

    if seen:
        assert sum(seen.shown.values()) + seen.other == sum(cells.values())
        assert all(cells[name] == count >= least for name, count in seen.shown.items())
        assert list(seen.shown.values()) == sorted(seen.shown.values(), reverse=True)


@given(TABLES, LEAST)
def test_others_are_several_and_enough(cells: dict[str, int], least: int) -> None:
    """Others are two cells at the least, with the least size together, and one of them has it alone."""
    seen = merged(cells, least)

    if seen and seen.other:
        hidden = [count for name, count in cells.items() if count and name not in seen.shown]
        assert len(hidden) >= 2
        assert min(hidden) < least <= max(hidden)
        assert max(hidden) < min(seen.shown.values())


@given(TABLES, LEAST, st.randoms(use_true_random=False))
def test_stable(cells: dict[str, int], least: int, random: "st.randoms") -> None:  # type: ignore[valid-type]
    """The order of the cells changes nothing, not even the order of what is shown."""
    shuffled = list(cells.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = merged(cells, least), merged(dict(shuffled), least)

    assert one == other
    assert one is None or other is None or list(one.shown) == list(other.shown)


@pytest.mark.parametrize(("names", "most"), [(2, 40), (3, 26), (4, 18), (5, 14)])
@pytest.mark.parametrize("least", [2, 3, 4, 5, 6])
def test_no_cell_can_be_computed_back(least: int, names: int, most: int) -> None:
    """Of all tables with these names and this total that are shown alike, each hidden cell has two values or more.

    So not even who knows the rule, every name in the table and the total can tell what a hidden cell held.
    """
    for total in range(1, most):
        alike: dict[object, list[dict[str, int]]] = defaultdict(list)
        for counts in product(range(total + 1), repeat=names):
            if sum(counts) == total:
                table = dict(zip("abcde", counts, strict=False))
                seen = merged(table, least)
                alike[seen and (tuple(seen.shown.items()), seen.other)].append(table)
        for shown, tables in alike.items():
            visible = {name for name, _ in shown[0]} if isinstance(shown, tuple) else set()
            for name in set(tables[0]) - visible:
                values = {table[name] for table in tables}
                assert len(values) > 1 or values == {0}, (shown, name, tables)


@pytest.mark.parametrize("least", [2, 3, 4])
def test_no_cell_of_a_tree_can_be_computed_back(least: int) -> None:
    """Nor from both levels of a tree together: not what lies below a cell, and not a cell from what lies below it."""
    leaves: list[Path] = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("b", "z")]
    alike: dict[tuple[int, tuple[Any, ...]], list[dict[Path, int]]] = defaultdict(list)
    for counts in product(range(13), repeat=len(leaves)):
        if sum(counts) <= 12:
            tree = dict(zip(leaves, counts, strict=True))
            levels = merged_tree(tree, least, depth=2)
            seen: tuple[Any, ...] = tuple(level and (*level.shown.items(), level.other) for level in levels)
            above: dict[Path, int] = {("a",): counts[0] + counts[1], ("b",): sum(counts[2:])}
            alike[sum(counts), seen].append({**above, **tree})
    for (_, seen), trees in alike.items():
        visible = {name for level in seen if level for name, _ in level[:-1]}
        for path in trees[0]:
            values = {tree[path] for tree in trees}
            assert BELOW.join(path) in visible or len(values) > 1 or values == {0}, (seen, path)
