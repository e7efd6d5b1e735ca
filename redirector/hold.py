"""Clicks that wait for their class to be final: it can change while more of the same clicker may come.

What is known of a click is what lies at most the hold away from it in the stream, on both sides, and nothing else. So
a recount comes to the same classes, whoever counted first, and in whatever portions the stream was read.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, NamedTuple

from redirector.behaviour import Mail, Seen
from redirector.clicks import Click, from_fields
from redirector.errors import InvalidInput
from redirector.gateways import Gateways
from redirector.rules import Judge
from redirector.store.clicks import IdAndFields, place_of
from redirector.trails import Trails

# So many clicks wait at the most, and so many lie behind them: 600 bytes each, and up to 240 MB for the process then.
# Where more come within the hold, the oldest are judged with what is known by then: only there can a recount, which
# reads one campaign, know more.
MOST_WAITING: Final = 50_000

NO_MAIL: Final = Mail()


@dataclass(slots=True)
class Batch:
    """What entries hold, by their ids: a click, or something else and the reason why it is none.

    Those that were deleted from the stream under their reader hold nothing.
    """

    clicks: dict[str, Click] = field(default_factory=dict)
    poison: dict[str, str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    def add(self, other: "Batch") -> None:
        """What other entries hold, as well."""
        self.clicks |= other.clicks
        self.poison |= other.poison
        self.deleted |= other.deleted

    def only(self, entry_ids: Iterable[str]) -> "Batch":
        """What these of its entries hold."""
        wanted = set(entry_ids)
        return Batch(
            {entry_id: click for entry_id, click in self.clicks.items() if entry_id in wanted},
            {entry_id: reason for entry_id, reason in self.poison.items() if entry_id in wanted},
            self.deleted & wanted,
        )


class _Unreadable(NamedTuple):
    """An entry that is no click, and why."""

    id: str
    ms: int
    number: int
    reason: str


_Held = Seen | _Unreadable


class Hold:
    """A part of the stream, in its order: clicks that wait, and behind them those that still say something of them."""

    def __init__(self, judge: Judge, gateways: Gateways, *, hold_ms: int) -> None:
        self._judge = judge
        self._gateways = gateways
        self._hold_ms = hold_ms
        self._waiting: list[_Held] = []
        self._behind: list[Seen] = []
        self._reads: list[_Read] = []  # the pages with entries that wait
        self._trails = Trails()
        self.newest = (0, 0)  # the place of the last entry that was read

    @property
    def waiting(self) -> int:
        """How many entries wait."""
        return len(self._waiting)

    def read(self, entries: Sequence[IdAndFields], now: float) -> None:
        """Takes in entries that follow those it has, read at `now` (seconds of a clock that only goes forward)."""
        for entry_id, flat in entries:
            ms, number = place_of(entry_id)
            try:
                seen = Seen(entry_id, ms, number, from_fields(flat))
            except InvalidInput as error:
                self._waiting.append(_Unreadable(entry_id, ms, number, str(error)))
                continue
            self._waiting.append(seen)
            self._trails.add(seen)
        if entries:
            self.newest = place_of(entries[-1][0])
            self._reads.append(_Read(now, self.newest))

    def due(self, now: float, most: int) -> int:
        """How many of those that wait longest, and at most `most`, have their final class: the hold is over for them.

        It is over when the stream has gone on for so long, or the entry was read so long ago.
        """
        by_stream = bisect_left(self._waiting, (self.newest[0] - self._hold_ms, 0), key=_place)
        read = bisect_right(self._reads, now - self._hold_ms / 1000, key=_read_at)
        by_clock = self._up_to(self._reads[read - 1].newest) if read else 0
        return min(most, max(by_stream, by_clock, len(self._waiting) - MOST_WAITING))

    def last_of(self, due: int) -> str:
        """The id of the last of so many (one or more) that wait longest."""
        return self._waiting[due - 1].id

    def due_in(self, now: float) -> float:
        """After how many seconds the next one is due, if the stream does not go on; infinite when none waits."""
        if not self._waiting:
            return math.inf
        gone_on = self._waiting[0].ms < self.newest[0] - self._hold_ms
        return 0.0 if gone_on else max(0.0, self._reads[0].at + self._hold_ms / 1000 - now)

    def first(self, most: int, *, up_to: tuple[int, int]) -> list[str]:
        """The ids of those that wait longest, and stand at this place or before."""
        return [held.id for held in self._waiting[: min(most, self._up_to(up_to))]]

    def pass_over(self, place: tuple[int, int]) -> None:
        """Those up to this place are somebody else's to count; they only say something of the others."""
        self._done_with(self._up_to(place))

    def campaigns(self, entry_ids: Sequence[str]) -> set[str]:
        """The campaigns of the clicks up to the last of these entries (ascending)."""
        up_to_last = self._waiting[: self._up_to(place_of(entry_ids[-1]))]
        return {held.click.campaign for held in up_to_last if isinstance(held, Seen)}

    def judged(self, entry_ids: Sequence[str], mails: Mapping[str, Mail]) -> Batch:
        """Entries (ascending), each click with its final class. What stands before the last of them waits no longer.

        An entry that it does not have was deleted from the stream.
        """
        up_to_last = self._up_to(place_of(entry_ids[-1]))
        own, batch = self._waiting[:up_to_last], Batch()
        if [held.id for held in own] != entry_ids:  # some are another consumer's, or some were deleted
            wanted = set(entry_ids)
            own = [held for held in own if held.id in wanted]
            batch.deleted = wanted.difference([held.id for held in own])
        for held in own:
            if isinstance(held, Seen):
                batch.clicks[held.id] = self._with_class(held, mails)
            else:
                batch.poison[held.id] = held.reason
        self._done_with(up_to_last)
        return batch

    def _up_to(self, place: tuple[int, int]) -> int:
        """How many wait up to this place."""
        return bisect_right(self._waiting, place, key=_place)

    def _with_class(self, seen: Seen, mails: Mapping[str, Mail]) -> Click:
        click = seen.click
        # Without a hold nothing is looked at, not even the click itself.
        around = self._trails.around(seen, self._hold_ms) if self._hold_ms else ()
        rule = self._judge(seen, around, mails.get(click.campaign, NO_MAIL), self._gateways)
        # The click as it came goes on speaking for or against others.
        return click.judged(rule.class_, rule.name) if rule else click

    def _done_with(self, first: int) -> None:
        """So many wait no longer; what is farther behind the others than the hold says nothing any more."""
        self._behind += [held for held in self._waiting[:first] if isinstance(held, Seen)]
        del self._waiting[:first]
        next_place = _place(self._waiting[0]) if self._waiting else self.newest
        oldest = next_place[0] - self._hold_ms
        forgotten = max(len(self._behind) - MOST_WAITING, bisect_left(self._behind, (oldest, 0), key=_place))
        self._trails.forget(self._behind[:forgotten], oldest)
        del self._behind[:forgotten]
        del self._reads[: bisect_left(self._reads, next_place, key=_newest) if self._waiting else len(self._reads)]


class _Read(NamedTuple):
    """When a page of the stream was read, and the place of its last entry."""

    at: float
    newest: tuple[int, int]


_read_at: Final = attrgetter("at")
_newest: Final = attrgetter("newest")
_place: Final = attrgetter("ms", "number")
