"""The age of what a process finds at its start: old clicks are not sent twice, and a wrong clock loses none."""

import pytest

from redirector.age import GRACE_SECONDS, age_at_start
from redirector.settings import Settings
from redirector.store.clicks import REMEMBER_BATCHES_SECONDS

DAY = 24 * 3600
YEAR = 365 * DAY


@pytest.mark.parametrize(
    ("by_the_wall_clock", "age"),
    [
        pytest.param(2 * DAY, 2 * DAY, id="what is likely is believed"),
        pytest.param(8 * DAY, 6 * DAY, id="a clock that may have jumped leaves a day"),
        pytest.param(13.5 * DAY, 13.5 * DAY, id="what the store forgets soon is over"),
        pytest.param(56 * YEAR, 6 * DAY, id="written in 1970 leaves a day"),
        pytest.param(-56 * YEAR, 0, id="started in 1970 is new"),
    ],
)
def test_age_at_a_start(by_the_wall_clock: float, age: float) -> None:
    """What the wall clock says, as far as it is to be believed, of clicks that may wait for a week."""
    assert age_at_start(by_the_wall_clock, 7 * DAY) == age


@pytest.mark.parametrize("max_age_days", [1, 7, 13])
@pytest.mark.parametrize("days", range(20))
def test_nothing_is_sent_after_the_store_forgot_it(max_age_days: int, days: int) -> None:
    """With a clock that is right, what waits is given up within 14 days, whenever the process was started."""
    Settings(spool_max_age_days=max_age_days)  # as many as are allowed
    left = max(0, max_age_days * DAY - age_at_start(days * DAY, max_age_days * DAY))

    assert left == 0 or days * DAY + left <= REMEMBER_BATCHES_SECONDS
    assert left >= GRACE_SECONDS or days > 13
