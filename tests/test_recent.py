"""A bounded number of things, of which the least recently used makes room."""

from redirector.recent import Recent


def test_least_recently_used_makes_room() -> None:
    """Looking at a thing is using it, and so is putting it in again."""
    recent: Recent[int, str] = Recent(3)
    for number in (1, 2, 3):
        recent.put(number, str(number))
    recent.get(1)
    recent.put(2, "two")
    recent.put(4, "4")

    assert [recent.get(number) for number in (1, 2, 3, 4)] == ["1", "two", None, "4"]
    assert len(recent) == 3


def test_asking_whether_it_is_there_is_not_using_it() -> None:
    """Only what is wanted for an answer counts as used."""
    recent: Recent[int, str] = Recent(2)
    recent.put(1, "1")
    recent.put(2, "2")
    assert 1 in recent
    recent.put(3, "3")

    assert 1 not in recent


def test_cleared() -> None:
    """Afterwards nothing is there."""
    recent: Recent[int, str] = Recent(2)
    recent.put(1, "1")
    recent.clear()

    assert (len(recent), recent.get(1)) == (0, None)
