"""Somebody who has the click stream and an access log, and wants to know whose address is whose.

He takes whatever is there: the time and the order of lines, how many there are of an address, their status beside the
class of clicks, and the country and provider of each address, which he looks up where the operator did.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from random import Random

from redirector.facts import Network

HOUR_MS = 3_600_000

# A request may be a little earlier or later than the click that it goes with.
NEAR_MS = 2_000


@dataclass(frozen=True)
class Line:
    """A line of a log, made at some moment from `first` to `last` (Unix ms)."""

    first: int
    last: int
    status: int
    address: str

    def fits(self, at: int) -> bool:
        """Whether a click at this moment may belong to the line."""
        return self.first - NEAR_MS <= at <= self.last + NEAR_MS


@dataclass(frozen=True)
class Clicker:
    """What the stream says of one recipient or visitor."""

    name: str
    network: Network
    moments: tuple[int, ...]
    classes: frozenset[str]


def clickers(stream: Iterable[Mapping[str, str]]) -> list[Clicker]:
    """Everybody that the stream tells apart."""
    clicks: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for click in stream:
        clicks[click.get("recipient") or click["visitor"]].append(click)
    return [
        Clicker(
            name,
            Network(its[0].get("country", ""), its[0].get("isp", "")),
            tuple(int(click["at"]) for click in its),
            frozenset(click["class"] for click in its),
        )
        for name, its in clicks.items()
    ]


def guesses(
    known: Sequence[Clicker], lines: Sequence[Line], network: Callable[[str], Network], random: Random
) -> dict[str, str]:
    """For each clicker the address that speaks most for being theirs; "" where none is possible."""
    of_address: dict[str, list[tuple[float, Line]]] = defaultdict(list)
    for place, line in enumerate(lines):
        of_address[line.address].append((place / len(lines), line))
    on_network: dict[Network, list[str]] = defaultdict(list)
    for address in of_address:
        on_network[network(address)].append(address)
    rivals = Counter(line for line in set(lines) for clicker in known if any(map(line.fits, clicker.moments)))
    first, last = min(line.first for line in lines), max(line.last for line in lines)

    def likelihood(clicker: Clicker, address: str) -> float:
        score = -0.1 * abs(len(clicker.moments) - len(of_address[address]))
        for place, line in of_address[address]:
            fitting = [at for at in clicker.moments if line.fits(at)]
            # The fewer others might have made the line, the more it says.
            score += 5 + log(len(known) / rivals[line]) if fitting else -5
            if fitting:
                score -= 0.5 * min(abs(place - (at - first) / (last - first)) for at in fitting)
                score -= (min(clicker.moments) // HOUR_MS != fitting[0] // HOUR_MS) * 0.5
            score += 0.3 * (line.status == 405 and "probe" in clicker.classes)
        return score

    found = {}
    for clicker in known:
        candidates = on_network[clicker.network][:]
        random.shuffle(candidates)  # so that of those that are equally likely any is taken
        found[clicker.name] = max(candidates, key=lambda address: likelihood(clicker, address), default="")
    return found


def chance_of_at_least(successes: int, chances: Iterable[float]) -> float:
    """How likely so many or more of independent trials with these chances succeed (the Poisson binomial's tail)."""
    exactly = [1.0]
    for chance in chances:
        exactly = [
            here * (1 - chance) + before * chance for here, before in zip([*exactly, 0.0], [0.0, *exactly], strict=True)
        ]
    return sum(exactly[successes:])
