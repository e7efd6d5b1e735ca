"""Who clicked what, around a click: the trail of one clicker in one campaign."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from redirector.behaviour import FARTHEST_MS, Seen

# So many clicks before a click and behind it are looked at, and none farther away: no reader makes as many, and a
# crowd behind one address must not cost more.
MOST_NEIGHBOURS: Final = 25

# A campaign, and a recipient or visitor of it.
Whose = tuple[str, str]


class Trail:
    """One clicker's clicks in one campaign, in the stream's order; among them some that are too long ago to matter."""

    __slots__ = ("_seen", "living")

    def __init__(self, first: Seen) -> None:
        self._seen = [first]
        self.living = 1

    def add(self, click: Seen) -> None:
        """The next one on the stream; clicks need not come there in the order of time."""
        self._seen.append(click)
        self.living += 1

    def forget_one(self, before_ms: int) -> None:
        """One of those that stand in the stream before this moment matters no more."""
        self.living -= 1
        # Not one by one: to take the first out of the 100,000 of a crowd behind one address moves all the others.
        if len(self._seen) > 2 * self.living + MOST_NEIGHBOURS:
            self._seen = [each for each in self._seen if each.ms >= before_ms]

    def around(self, click: Seen, hold_ms: int) -> Sequence[Seen]:
        """The nearest clicks, itself among them: at most `FARTHEST_MS` away, and in the stream at most the hold."""
        # The nearest on the stream, not in time: so those that the hold leaves out take nobody's place, and what was
        # read ahead or not yet forgotten changes nothing.
        nearest = self._seen
        if len(nearest) > MOST_NEIGHBOURS:
            here = bisect_left(nearest, _place(click), key=_place)
            nearest = nearest[max(0, here - MOST_NEIGHBOURS) : here + MOST_NEIGHBOURS + 1]
        at, ms = click.at, click.ms
        return [each for each in nearest if abs(each.at - at) <= FARTHEST_MS and abs(each.ms - ms) <= hold_ms]


class Trails:
    """All trails of a part of the stream. Most clickers click once: their only click stands for its trail."""

    def __init__(self) -> None:
        self._of: dict[Whose, Seen | Trail] = {}

    def __len__(self) -> int:
        return len(self._of)

    def add(self, whose: Whose, click: Seen) -> None:
        """The next click on the stream."""
        first = self._of.setdefault(whose, click)
        if first is click:
            return
        if isinstance(first, Seen):
            first = self._of[whose] = Trail(first)
        first.add(click)

    def around(self, whose: Whose, click: Seen, hold_ms: int) -> Sequence[Seen]:
        """The clicks of its trail that say something of a click, itself among them."""
        trail = self._of[whose]
        return (click,) if isinstance(trail, Seen) else trail.around(click, hold_ms)

    def forget_one(self, whose: Whose, before_ms: int) -> None:
        """One of a trail's clicks that stand in the stream before this moment matters no more."""
        trail = self._of[whose]
        if not isinstance(trail, Seen):
            trail.forget_one(before_ms)
            if trail.living:
                return
        del self._of[whose]


def _place(click: Seen) -> tuple[int, int]:
    return click.ms, click.number
