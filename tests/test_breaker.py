"""The breaker: one doubt is forgiven at once, repeated ones keep readers from the store for longer and longer."""

from dataclasses import dataclass

import pytest

from redirector.breaker import CALM_SECONDS, PAUSES_SECONDS, Breaker

DEADLINE_SECONDS = 0.05


@dataclass
class Clock:
    """A clock that stands still until a test moves it, in seconds."""

    now: float = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock of the test's own."""
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    """A breaker whose way was just opened."""
    return Breaker(DEADLINE_SECONDS, clock)


def pause_after_a_doubt(breaker: Breaker, clock: Clock) -> float:
    """How many seconds pass from a doubt until the way may be opened again; it is then."""
    breaker.doubted()
    began = clock.now
    while not breaker.may_open(0.0):
        clock.now += 0.5
    breaker.opened()
    return clock.now - began


@pytest.mark.parametrize(
    ("took_seconds", "expected"),
    [(0.0, True), (DEADLINE_SECONDS / 2, True), (DEADLINE_SECONDS / 2 + 0.001, False)],
    ids=["at once", "half the deadline", "later"],
)
def test_answer_must_come_in_good_time(breaker: Breaker, took_seconds: float, expected: bool) -> None:
    """Readers wait again only for a store whose last answer leaves hope for the next one."""
    breaker.doubted()

    assert breaker.may_open(took_seconds) is expected


def test_further_doubts_pause_for_longer(breaker: Breaker, clock: Clock) -> None:
    """Doubts that follow each other within a minute keep readers away longer each time, up to half a minute."""
    pauses = [pause_after_a_doubt(breaker, clock) for _ in range(9)]

    assert pauses == [0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0]


def test_rare_doubts_are_forgiven(breaker: Breaker, clock: Clock) -> None:
    """A store that is late once in a good while is waited for again at its next quick answer, each time."""
    pauses = []
    for _ in range(5):
        clock.now += CALM_SECONDS
        pauses.append(pause_after_a_doubt(breaker, clock))

    assert pauses == [0.0] * 5


def test_pauses_shrink_while_the_store_is_good(breaker: Breaker, clock: Clock) -> None:
    """Each minute without a doubt takes one step back."""
    for _ in range(9):
        pause_after_a_doubt(breaker, clock)
    clock.now += 3 * CALM_SECONDS

    assert pause_after_a_doubt(breaker, clock) == 4.0


def test_time_while_nobody_waited_proves_nothing(breaker: Breaker, clock: Clock) -> None:
    """A store that was in trouble for an hour did not become better by that: only the time of the open way counts."""
    for _ in range(3):
        pause_after_a_doubt(breaker, clock)
    breaker.doubted()
    clock.now += 3600
    breaker.opened()

    assert pause_after_a_doubt(breaker, clock) == PAUSES_SECONDS[4]
