"""Who clicked what, around a click: the trail of one clicker in one campaign."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from redirector.behaviour import FARTHEST_MS, Seen

# So many clicks before a click and behind it are looked at, and none farther away: no reader makes as many, and a
# crowd behind one address must not cost more.
MOST_NEIGHBOURS: Final = 25


class Trail:
    """One clicker's clicks in one campaign, in the stream's order; among them some that are too long ago to matter."""

    __slots__ = ("_earliest", "_latest", "_seen", "living")

    def __init__(self, first: Seen) -> None:
        self._seen = [first]
        self._earliest = self._latest = first.at  # never nearer again when clicks are forgotten
        self.living = 1

    def add(self, click: Seen) -> None:
        """The next one on the stream; clicks need not come there in the order of time."""
        self._seen.append(click)
        self.living += 1
        if click.at > self._latest:
            self._latest = click.at
        elif click.at < self._earliest:
            self._earliest = click.at

    def forget_one(self, before: tuple[int, int]) -> None:
        """One of those that stand in the stream before this place matters no more."""
        self.living -= 1
        # Not one by one: to take the first out of the 100,000 of a crowd behind one address moves all the others.
        if len(self._seen) > 2 * self.living + MOST_NEIGHBOURS:
            del self._seen[: bisect_left(self._seen, before, key=_place)]

    def around(self, click: Seen, hold_ms: int) -> Sequence[Seen]:
        """The nearest clicks, itself among them: at most `FARTHEST_MS` away, and in the stream at most the hold.

        To be read at once: it may be the trail's own list.
        """
        # The nearest on the stream, not in time: so those that the hold leaves out take nobody's place, and what was
        # read ahead or not yet forgotten changes nothing.
        nearest = self._seen
        if len(nearest) > MOST_NEIGHBOURS:
            here = bisect_left(nearest, _place(click), key=_place)
            nearest = nearest[max(0, here - MOST_NEIGHBOURS) : here + MOST_NEIGHBOURS + 1]
        earliest, latest = click.at - FARTHEST_MS, click.at + FARTHEST_MS
        first, last = click.ms - hold_ms, click.ms + hold_ms
        if not first <= nearest[0].ms <= nearest[-1].ms <= last:
            nearest = [each for each in nearest if first <= each.ms <= last]
        if earliest <= self._earliest and self._latest <= latest:
            return nearest
        return [each for each in nearest if earliest <= each.at <= latest]


class Trails:
    """All trails of a part of the stream. Most clickers click once: their only click stands for its trail."""

    def __init__(self) -> None:
        self._of: defaultdict[str, dict[str, Seen | Trail]] = defaultdict(dict)  # campaign -> clicker -> clicks

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    def add(self, seen: Seen) -> None:
        """The next click on the stream; one of which nobody knows whose it is has no trail."""
        if seen.clicker:
            its_trails = self._of[seen.click.campaign]
            first = its_trails.setdefault(seen.clicker, seen)
            if first is seen:
                return
            if isinstance(first, Seen):
                first = its_trails[seen.clicker] = Trail(first)
            first.add(seen)

    def around(self, seen: Seen, hold_ms: int) -> Sequence[Seen]:
        """The clicks of its trail that say something of a click, itself among them."""
        trail = self._of[seen.click.campaign][seen.clicker] if seen.clicker else seen
        return trail.around(seen, hold_ms) if isinstance(trail, Trail) else (seen,)

    def forget(self, gone: Iterable[Seen], before_ms: int) -> None:
        """Clicks matter no more, and so do those of their trails that stand in the stream before this moment."""
        for seen in gone:
            if not seen.clicker:
                continue
            its_trails = self._of[seen.click.campaign]
            trail = its_trails[seen.clicker]
            if isinstance(trail, Trail):
                # By its place: a store whose clock stands still gives many entries one moment.
                trail.forget_one(max((before_ms, 0), (seen.ms, seen.number + 1)))
                if trail.living:
                    continue
            del its_trails[seen.clicker]
            if not its_trails:
                del self._of[seen.click.campaign]


def _place(click: Seen) -> tuple[int, int]:
    return click.ms, click.number
