"""How often somebody may do something: a token bucket for each, in memory, bounded, and with time as an argument.

A bucket is one number, the moment at which it is full again (the generic cell rate algorithm of ATM Forum's Traffic
Management 4.0). Nothing of it is logged or kept on a disk.
"""

from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Final

# Some 110 bytes each (tracemalloc). Of more that ask, those that asked longest ago are forgotten: they may do more
# again, never less.
MOST_REMEMBERED: Final = 20_000


class Limiter:
    """Lets each do something `burst` times at once, and `per_second` times in the long run."""

    def __init__(self, *, per_second: float, burst: int, most: int = MOST_REMEMBERED) -> None:
        self._seconds_each = 1 / per_second
        self._seconds_at_once = burst / per_second
        self._most = most
        self._full_at: dict[str, float] = {}

    def remembered(self) -> int:
        """How many are remembered."""
        return len(self._full_at)

    def wait(self, who: str, now: float) -> float:
        """The seconds for which `who` has to wait at `now` (seconds, of any clock): 0 if not at all."""
        return max(0.0, self._after(who, now) - now - self._seconds_at_once)

    def take(self, who: str, now: float) -> float:
        """As `wait`; and if that is 0, it is done once."""
        after = self._after(who, now)
        wait = max(0.0, after - now - self._seconds_at_once)
        if not wait:
            self._full_at.pop(who, None)  # what was used last stands last
            if len(self._full_at) >= self._most:
                del self._full_at[next(iter(self._full_at))]
            self._full_at[who] = after
        return wait

    def _after(self, who: str, now: float) -> float:
        """When the bucket would be full again with one more out of it."""
        full_at = self._full_at.get(who, now)
        if full_at > now + self._seconds_at_once:  # a clock that was set back must not lock anybody out
            full_at = self._full_at[who] = now + self._seconds_at_once
        return max(full_at, now) + self._seconds_each


def seconds_to_wait(wait: float) -> int:
    """Whole seconds, for a Retry-After header: enough of them, and one at least."""
    return max(1, ceil(wait))


def origin(address: str) -> str:
    """Whom an address stands for: an IPv4 address, or the 64 bits of an IPv6 one that its owner's network has.

    Whoever has one IPv6 address has 2**64 of them. What is no address stands for itself.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> 64 << 64))
