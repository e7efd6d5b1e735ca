"""Who opted out, in memory: a set, whole and in parts."""

import sys
from array import array
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redirector.clickers import END, FIRST_VISITOR, visitor
from redirector.opted_out import PARTS, OptedOut

TOKENS = st.integers(1, FIRST_VISITOR - 1)
VISITORS = st.builds(visitor, st.integers(20_000, 21_000), st.integers(0, 2**31 - 1))
DAY = 20_780


@settings(deadline=None)  # two thousand parts take their time on a busy machine
@given(st.lists(TOKENS | VISITORS, max_size=50), st.lists(TOKENS | VISITORS, max_size=20))
def test_it_is_a_set(added: list[int], taken_out: list[int]) -> None:
    """Whoever was added, however often, is in until they are taken out; nobody else is."""
    opted_out, expected = OptedOut(added), set(added)
    for clicker in [*taken_out, *added[:5]]:
        opted_out.discard(clicker)
        expected.discard(clicker)

    assert [clicker in opted_out for clicker in added + taken_out] == [each in expected for each in added + taken_out]
    assert (len(opted_out), bool(opted_out)) == (len(expected), bool(expected))


@settings(deadline=None)  # two thousand parts take their time on a busy machine
@given(st.sets(TOKENS | VISITORS, max_size=50))
def test_its_parts_make_it_again(clickers: set[int]) -> None:
    """What was written part by part is the same set when it was read; a part that is put again changes nothing."""
    before, after = OptedOut(clickers), OptedOut()
    for number, part in [*before.parts(), *before.parts_of(clickers).items()]:
        after.put(number, part)

    assert all(clicker in after for clicker in clickers)
    assert len(after) == len(clickers)


@settings(deadline=None)  # two thousand parts take their time on a busy machine
@given(st.sets(TOKENS | VISITORS, max_size=30), st.sets(TOKENS | VISITORS, max_size=30), st.integers(0, 30))
def test_those_who_are_not_among_others(mine: set[int], theirs: set[int], common: int) -> None:
    """A difference of two sets, with nobody twice."""
    theirs |= set(sorted(mine)[:common])

    assert sorted(OptedOut(mine).without(OptedOut(theirs))) == sorted(mine - theirs)


def test_visitors_are_those_of_a_day() -> None:
    """A visitor of yesterday, or a recipient, says nothing of today."""
    opted_out = OptedOut([visitor(DAY - 1, 2**31 - 1), visitor(DAY + 1, 0), FIRST_VISITOR - 1])

    before = [opted_out.has_visitors_of(day) for day in (DAY - 1, DAY, DAY + 1)]
    opted_out.discard(visitor(DAY - 1, 2**31 - 1))
    again = OptedOut()
    for number, part in [*opted_out.parts(), *opted_out.parts()]:
        again.put(number, part)

    assert before == [True, False, True]
    assert [again.has_visitors_of(day) for day in (DAY - 1, DAY, DAY + 1)] == [False, False, True]


@pytest.mark.parametrize(
    ("number", "part"),
    [
        pytest.param(0, b"1234567", id="half a number"),
        pytest.param(1, array("Q", [5]).tobytes(), id="of another part"),
        pytest.param(PARTS - 1, array("Q", [END]).tobytes(), id="beyond the end"),
        pytest.param(PARTS, b"", id="no part"),
        pytest.param(-1, b"", id="before the first"),
    ],
)
def test_what_is_no_part_is_refused(number: int, part: bytes) -> None:
    """A file that holds something else changes nothing of what is known."""
    opted_out = OptedOut([5])
    with pytest.raises(ValueError, match=r"part|bytes"):
        opted_out.put(number, part)

    assert (5 in opted_out, len(opted_out)) == (True, 1)


def test_a_million_take_eight_megabytes() -> None:
    """Each takes eight bytes, and a little for the room to grow."""
    random = Random(7)
    opted_out = OptedOut(random.getrandbits(60) | 1 for _ in range(1_000_000))

    assert sum(sys.getsizeof(part) for part in opted_out._parts) < 10_000_000
