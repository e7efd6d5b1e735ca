"""What the access log may tell: addresses, and nothing by which a line could be joined to a click.

Only requests that fail have a line, so no line and no click come from one request. What is left is to guess
which reader of clicks a line may belong to, by the hour, by the status, by how often and when else an address is seen,
and by the country and the provider that clicks carry too. So each line is one of several that differ in nothing but the
address, and an address is told once a day; of an IPv6 network of 64 bits, which is one household's, only one is.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from redirector.facts import Network
from redirector.limits import origin

# Origins (`limits.origin`: a household's IPv6 addresses are one) that one process remembers of an hour, at the most:
# 1.6 MB (tracemalloc). Requests of others are only counted. So whoever has an IPv6 network of 64 bits has one place.
MOST_ORIGINS: Final = 10_000


# Status -> the origins that were answered so, each with the first of its addresses.
Origins = Mapping[int, Mapping[str, str]]


@dataclass(slots=True)
class Waiting:
    """The requests of an hour that failed, and what is left of the hours before."""

    origins: dict[int, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    remembered: int = 0
    requests: int = 0

    def add(self, status: int, address: str) -> None:
        """One more request."""
        self.requests += 1
        if address:
            self._remember(status, origin(address), address)

    def take_in(self, left: Origins) -> None:
        """What an hour before has left."""
        for status, addresses in left.items():
            for who, address in addresses.items():
                self._remember(status, who, address)

    def _remember(self, status: int, who: str, address: str) -> None:
        known = self.origins[status]
        if self.remembered < MOST_ORIGINS and who not in known:
            known[who] = address
            self.remembered += 1


def to_tell(
    waiting: Origins, *, network: Callable[[str], Network], told: AbstractSet[str], least: int
) -> list[tuple[int, str]]:
    """The statuses and addresses that may be told now, in order.

    Told are those of `least` origins or more that had the same status and are of the same network, without the origins
    that were `told` today. One with two statuses is told with one of them.
    """
    alike: dict[tuple[int, Network], set[str]] = defaultdict(set)
    for status, addresses in waiting.items():
        for who in sorted(addresses.keys() - told):  # so that the same is told whenever the same is asked
            alike[status, network(addresses[who])].add(who)
    lines: dict[str, tuple[int, str]] = {}
    for (status, _), origins in alike.items():
        fresh = origins - lines.keys()
        if len(fresh) >= least:
            lines.update({who: (status, waiting[status][who]) for who in fresh})
    return sorted(lines.values())
