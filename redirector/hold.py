"""Clicks that wait for their class to be final: it can change while more of the same clicker may come.

What is known of a click is what lies at most the hold away from it in the stream, on both sides, and nothing else. So
a recount comes to the same classes, whoever counted first, and in whatever portions the stream was read.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Final

from redirector.behaviour import Mail, Seen
from redirector.clicks import Click, from_fields
from redirector.errors import InvalidInput
from redirector.gateways import Gateways
from redirector.rules import Judge
from redirector.store.clicks import Entry, place_of
from redirector.trails import Trails, Whose

# So many clicks wait at the most, and so many lie behind them: 860 bytes each, and 255 MB for the process then.
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


@dataclass(slots=True)  # not frozen: one is made for each click
class _Held:
    id: str
    place: tuple[int, int]
    read_at: float
    seen: Seen | None = None
    whose: Whose | None = None
    reason: str = ""  # why it is no click


class Hold:
    """A part of the stream, in its order: clicks that wait, and behind them those that still say something of them."""

    def __init__(self, judge: Judge, gateways: Gateways, *, hold_ms: int) -> None:
        self._judge = judge
        self._gateways = gateways
        self._hold_ms = hold_ms
        self._waiting: deque[_Held] = deque()
        self._behind: deque[_Held] = deque()
        self._trails = Trails()
        self.newest = (0, 0)  # the place of the last entry that was read

    @property
    def waiting(self) -> int:
        """How many entries wait."""
        return len(self._waiting)

    def read(self, entries: Iterable[Entry], now: float) -> None:
        """Takes in entries that follow those it has, read at `now` (seconds of a clock that only goes forward)."""
        for entry in entries:
            place = self.newest = place_of(entry.id)
            held = _Held(entry.id, place, now)
            self._waiting.append(held)
            try:
                click = from_fields(entry.names, entry.values)
            except InvalidInput as error:
                held.reason = str(error)
                continue
            held.seen = Seen(click.at, *place, click)
            if clicker := click.recipient or click.visitor:
                held.whose = (click.campaign, clicker)
                self._trails.add(held.whose, held.seen)

    def due(self, now: float, most: int) -> int:
        """How many of those that wait longest, and at most `most`, have their final class: the hold is over for them.

        It is over when the stream has gone on for so long, or the entry was read so long ago.
        """
        over_at, read_by = self.newest[0] - self._hold_ms, now - self._hold_ms / 1000
        too_many = len(self._waiting) - MOST_WAITING
        due = 0
        for held in self._waiting:
            if due >= most or not (held.place[0] < over_at or held.read_at <= read_by or due < too_many):
                break
            due += 1
        return due

    def last_of(self, due: int) -> str:
        """The id of the last of so many (one or more) that wait longest."""
        return self._waiting[due - 1].id

    def due_in(self, now: float) -> float:
        """After how many seconds the next one is due, if the stream does not go on; infinite when none waits."""
        if not self._waiting:
            return math.inf
        first = self._waiting[0]
        gone_on = first.place[0] < self.newest[0] - self._hold_ms
        return 0.0 if gone_on else max(0.0, first.read_at + self._hold_ms / 1000 - now)

    def first(self, most: int, *, up_to: tuple[int, int]) -> list[str]:
        """The ids of those that wait longest, and stand at this place or before."""
        waiting = takewhile(lambda held: held.place <= up_to, self._waiting)
        return [held.id for held in islice(waiting, most)]

    def pass_over(self, place: tuple[int, int]) -> None:
        """Those up to this place are somebody else's to count; they only say something of the others."""
        self._behind.extend(self._up_to(place))
        self._forget()

    def campaigns(self, entry_ids: Sequence[str]) -> set[str]:
        """The campaigns of the clicks up to the last of these entries (ascending)."""
        last = place_of(entry_ids[-1])
        upto = takewhile(lambda held: held.place <= last, self._waiting)
        return {held.seen.click.campaign for held in upto if held.seen}

    def judged(self, entry_ids: Sequence[str], mails: Mapping[str, Mail]) -> Batch:
        """Entries (ascending), each click with its final class. What stands before the last of them waits no longer.

        An entry that it does not have was deleted from the stream.
        """
        wanted = set(entry_ids)
        before = list(self._up_to(place_of(entry_ids[-1])))
        self._behind.extend(before)
        own = [held for held in before if held.id in wanted]
        batch = Batch(
            clicks={held.id: self._with_class(held.seen, held.whose, mails) for held in own if held.seen},
            poison={held.id: held.reason for held in own if not held.seen},
            deleted=wanted.difference(held.id for held in own),
        )
        self._forget()
        return batch

    def _up_to(self, place: tuple[int, int]) -> Iterator[_Held]:
        while self._waiting and self._waiting[0].place <= place:
            yield self._waiting.popleft()

    def _with_class(self, seen: Seen, whose: Whose | None, mails: Mapping[str, Mail]) -> Click:
        around = self._around(seen, whose)
        rule = self._judge(seen, around, mails.get(seen.click.campaign, NO_MAIL), self._gateways)
        # The click as it came goes on speaking for or against others.
        return seen.click._replace(class_=rule.class_, rule=rule.name) if rule else seen.click

    def _around(self, seen: Seen, whose: Whose | None) -> Sequence[Seen]:
        """What is looked at to judge a click, itself among it; without a hold nothing."""
        if not self._hold_ms:
            return ()
        return self._trails.around(whose, seen, self._hold_ms) if whose else (seen,)

    def _forget(self) -> None:
        """What is farther behind than the hold says nothing any more."""
        oldest = (self._waiting[0].place[0] if self._waiting else self.newest[0]) - self._hold_ms
        while self._behind and (self._behind[0].place[0] < oldest or len(self._behind) > MOST_WAITING):
            held = self._behind.popleft()
            if held.whose:
                self._trails.forget_one(held.whose, max(oldest, held.place[0] + 1))
