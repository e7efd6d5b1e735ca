"""What the access log may tell: addresses, and nothing by which a line could be joined to a click.

Only requests that fail have a line, so no line and no click come from one request. What is left is to guess
which reader of clicks a line may belong to, by the hour, by the status, by how often and when else an address is seen,
and by the country and the provider that clicks carry too. So each line is one of several that differ in nothing but the
address, and an address is told once a day.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from redirector.facts import Network
from redirector.limits import origin

# Addresses that one process remembers of an hour, at the most; requests beyond are only counted.
MOST_ADDRESSES: Final = 10_000


# Status -> the addresses that were answered so.
Addresses = Mapping[int, AbstractSet[str]]


@dataclass(slots=True)
class Waiting:
    """The requests of an hour that failed, and what is left of the hours before."""

    addresses: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    remembered: int = 0
    requests: int = 0

    def add(self, status: int, address: str) -> None:
        """One more request."""
        self.requests += 1
        self._remember(status, [address] if address else [])

    def take_in(self, left: Addresses) -> None:
        """What an hour before has left."""
        for status, addresses in left.items():
            self._remember(status, addresses)

    def _remember(self, status: int, addresses: Iterable[str]) -> None:
        known = self.addresses[status]
        for address in addresses:
            if self.remembered < MOST_ADDRESSES and address not in known:
                known.add(address)
                self.remembered += 1


def to_tell(
    waiting: Addresses, *, network: Callable[[str], Network], told: AbstractSet[str], least: int
) -> list[tuple[int, str]]:
    """The statuses and addresses that may be told now, in order.

    Told are those of `least` origins or more (`limits.origin`: a household's IPv6 addresses are one) that had the same
    status and are of the same network, without those that were `told` today. An address with two statuses is told with
    one of them.
    """
    alike: dict[tuple[int, Network], set[str]] = defaultdict(set)
    for status, addresses in waiting.items():
        for address in sorted(addresses - told):  # so that the same is told whenever the same is asked
            alike[status, network(address)].add(address)
    lines: dict[str, int] = {}
    for (status, _), addresses in alike.items():
        fresh = addresses - lines.keys()
        if len(set(map(origin, fresh))) >= least:
            lines.update(dict.fromkeys(fresh, status))
    return sorted((status, address) for address, status in lines.items())
