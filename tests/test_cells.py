"""Small cells: what is merged, and that nobody computes a merged cell back."""

from collections import defaultdict
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector.cells import Cells, merged

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
