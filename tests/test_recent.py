"""A bounded number of things, of which those not used for longest make room."""

from hypothesis import given
from hypothesis import strategies as st

from redirector.recent import Recent

KEYS = st.integers(0, 12)


@given(st.lists(st.tuples(st.booleans(), KEYS), max_size=200), st.integers(1, 6))
def test_those_used_last_are_there(uses: list[tuple[bool, int]], limit: int) -> None:
    """Looking at a thing is using it, and so is putting it in; as many as the limit are kept, or twice as many."""
    recent: Recent[int, int] = Recent(limit)
    newest: dict[int, int] = {}
    used: list[int] = []
    for value, (is_put, key) in enumerate(uses):
        if is_put:
            recent.put(key, value)
            newest[key] = value
        elif recent.get(key) is None:
            assert key not in used[-limit:]
            continue
        used = [*(other for other in used if other != key), key]

        assert [recent.get(other) for other in used[-limit:]] == [newest[other] for other in used[-limit:]]
        assert len(recent) == len(set(recent)) <= 2 * limit
        assert all(other in recent for other in recent)


def test_asking_whether_it_is_there_is_not_using_it() -> None:
    """Only what is wanted for an answer counts as used."""
    recent: Recent[int, str] = Recent(1)
    recent.put(1, "1")
    recent.put(2, "2")
    assert 1 in recent
    recent.put(3, "3")

    assert 1 not in recent


def test_cleared() -> None:
    """Afterwards nothing is there."""
    recent: Recent[int, str] = Recent(1)
    recent.put(1, "1")
    recent.put(2, "2")
    recent.clear()

    assert (len(recent), recent.get(1), recent.get(2)) == (0, None, None)
