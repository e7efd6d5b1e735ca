"""How long clicks have waited that a process finds on the disk when it starts.

The store forgets a batch's number after 14 days; a batch that it may have taken is not sent again after that, or
it would be counted twice. While a process runs, it counts on with a clock that does not jump. What was before, only
the wall clock can tell, which may be wrong. Wrongly taken for old, all that waits would be lost; wrongly taken for
young, one batch for each time that the store was in doubt may be counted twice. So the wall clock alone does not
end the wait, unless it says what is both likely and too long.
"""

from typing import Final

DAY_SECONDS: Final = 24 * 3600.0

# Time to be sent, for whatever is found at a start: together with the 13 days, what the store remembers.
GRACE_SECONDS: Final = DAY_SECONDS
TOO_OLD_SECONDS: Final = 13 * DAY_SECONDS

# No store is away for so long: it is the clock that was set, from 1970 or to it.
UNLIKELY_SECONDS: Final = 365 * DAY_SECONDS


def age_at_start(by_the_wall_clock: float, max_age_seconds: float) -> float:
    """The age in seconds from which to count on; it is over the highest age only where the wall clock is believed."""
    if TOO_OLD_SECONDS < by_the_wall_clock < UNLIKELY_SECONDS:
        return by_the_wall_clock
    return max(0.0, min(by_the_wall_clock, max_age_seconds - GRACE_SECONDS))
