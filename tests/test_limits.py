"""Token buckets: what each may do, whatever the clock, and however many ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector.limits import Limiter, origin, seconds_to_wait


def test_burst_is_free_and_the_rest_waits() -> None:
    """So many at once, and then one after each pause."""
    limiter = Limiter(per_second=2, burst=3)

    waits = [limiter.take("a", at) for at in (10, 10, 10, 10, 10.25, 10.5, 10.5)]

    assert waits == pytest.approx([0, 0, 0, 0.5, 0.25, 0, 0.5])


def test_whoever_waits_as_told_may() -> None:
    """The wait is enough, and asking meanwhile does not prolong it."""
    limiter = Limiter(per_second=1 / 6, burst=10)
    for _ in range(10):
        limiter.take("a", 0.0)
    waits = [limiter.take("a", 0.0) for _ in range(5)]

    assert waits == [waits[0]] * 5
    assert limiter.take("a", waits[0]) == 0


def test_each_has_a_bucket_of_their_own() -> None:
    """One who asks too much keeps nobody else from asking."""
    limiter = Limiter(per_second=1, burst=1)
    limiter.take("a", 0.0)

    assert limiter.take("a", 0.0) == 1
    assert limiter.take("b", 0.0) == 0


def test_looking_takes_nothing() -> None:
    """`wait` says what `take` would, and changes nothing."""
    limiter = Limiter(per_second=1, burst=1)
    assert [limiter.wait("a", 0.0) for _ in range(3)] == [0, 0, 0]
    limiter.take("a", 0.0)

    assert [limiter.wait("a", 0.5) for _ in range(2)] == [0.5, 0.5]


MOMENTS = st.lists(st.floats(0, 5).map(lambda gap: round(gap, 3)), max_size=60)


@given(gaps=MOMENTS, burst=st.integers(1, 8), per_second=st.sampled_from([0.25, 0.5, 1, 2, 8]))
def test_it_is_a_token_bucket(gaps: list[float], burst: int, per_second: float) -> None:
    """For any course of events it allows what a bucket that is counted in tokens does."""
    limiter, tokens, now = Limiter(per_second=per_second, burst=burst), float(burst), 0.0
    for gap in gaps:
        now += gap
        tokens = min(burst, tokens + gap * per_second)
        wait = limiter.take("a", now)

        assert wait == pytest.approx(max(0, (1 - tokens) / per_second), abs=1e-6)
        tokens -= not wait


def test_flood_of_addresses_is_forgotten() -> None:
    """However many ask, no more are remembered than the most; the last ones still have to wait."""
    limiter = Limiter(per_second=1, burst=1, most=100)
    for number in range(10_000):
        limiter.take(str(number), 0.0)

    assert limiter.remembered() == 100
    assert limiter.take("9999", 0.0) == 1


def test_those_who_ask_on_are_remembered() -> None:
    """A flood of others makes nobody forgotten who was served in the midst of it."""
    limiter = Limiter(per_second=1, burst=1_000, most=10)
    for number in range(1_000):
        limiter.take("a", 0.0)
        limiter.take(str(number), 0.0)

    assert limiter.take("a", 0.0) == 1


@pytest.mark.parametrize("back", [1, 3600, 1e9])
def test_clock_that_was_set_back_locks_nobody_out(back: float) -> None:
    """The longest wait is the time in which an empty bucket has one more, and then it is over."""
    limiter = Limiter(per_second=1, burst=5)
    limiter.take("a", 2e9)

    assert limiter.take("a", 2e9 - back) <= 1
    assert limiter.take("a", 2e9 - back + 1) == 0


ORIGINS = {
    "203.0.113.9": "203.0.113.9",
    "::ffff:203.0.113.9": "203.0.113.9",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
    "2001:db8:1:2::": "2001:db8:1:2::",
    "2001:db8:1:3::1": "2001:db8:1:3::",
    "::1": "::",
    "": "",
    "no address": "no address",
}


@pytest.mark.parametrize(("address", "stands_for"), ORIGINS.items(), ids=ORIGINS.keys())
def test_address_stands_for_a_network(address: str, stands_for: str) -> None:
    """IPv4 for itself, IPv6 for its 64 bits, in one spelling each."""
    assert origin(address) == stands_for


@given(st.text())
def test_any_text_stands_for_something(address: str) -> None:
    """Nothing is raised."""
    assert isinstance(origin(address), str)


@pytest.mark.parametrize(("wait", "seconds"), [(0.001, 1), (1, 1), (1.001, 2), (59.2, 60)])
def test_whole_seconds_are_enough(wait: float, seconds: int) -> None:
    """Rounded up, and never nothing."""
    assert seconds_to_wait(wait) == seconds
