"""The judge of all rounds: what it lets pass, and what it does not."""

from tests.chaos.ledger import Ledger


def test_click_that_came_once_is_settled() -> None:
    """Nothing is awaited any more, and nothing is doubled."""
    ledger = Ledger()
    ledger.made(answered=["1 7"], unanswered=[])

    ledger.arrived("1 7")

    assert (ledger.awaited.total(), ledger.doubled.total(), ledger.in_stream) == (0, 0, 1)


def test_answered_click_that_did_not_come_is_missing() -> None:
    """One that was not answered does not stand for it."""
    ledger = Ledger()
    ledger.made(answered=["1 7"], unanswered=["1 8"])

    ledger.arrived("1 8")

    assert ledger.give_up() == 1


def test_click_that_came_twice_is_doubled() -> None:
    """Also when it was settled long ago, and when it is one of many on a link for everybody."""
    ledger = Ledger()
    ledger.made(answered=["1 7", "4 0", "4 0"], unanswered=[])

    for click in ("1 7", "4 0", "4 0", "1 7", "4 0"):
        ledger.arrived(click)

    assert ledger.doubled == {"1 7": 1, "4 0": 1}


def test_lost_click_may_come_after_all() -> None:
    """It is missed once, and not doubled when it comes."""
    ledger = Ledger()
    ledger.made(answered=["1 7"], unanswered=[])

    lost = ledger.give_up()
    ledger.arrived("1 7")

    assert (lost, ledger.give_up(), ledger.doubled.total()) == (1, 0, 0)
