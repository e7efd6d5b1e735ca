"""A consumer's reading of the stream: it reads ahead for what clicks say of one another, and takes what is due."""

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from redirector.behaviour import Mail
from redirector.errors import StoreError, StoreUnavailable
from redirector.gateways import Gateways
from redirector.hold import Batch, Hold
from redirector.metrics import CLICKS_HELD
from redirector.rules import Judge
from redirector.store.campaigns import Campaigns
from redirector.store.clicks import ClickStream, place_of
from redirector.store.links import Links

# So many entries are read and taken at once: the first in a backlog, the second where it keeps up. Pages of 1,000 keep
# the store from readers for 4 to 12 ms at a time: at 10,000 clicks a second p99 is 18 ms with them, and 13 with 250,
# which cost this process a quarter more CPU for each click.
PAGE: Final = 1_000
SMALL_PAGE: Final = 250

# After so many small pages in a row with more behind each, it is a backlog. One of less than 5,000 clicks is soon gone,
# and at 20,000 a second some seven come in a row after each pause.
BACKLOG_AFTER_PAGES: Final = 20

# How long what is known of a campaign is believed. It changes when its mail is sent or gets more links.
MAIL_SECONDS: Final = 10.0


# What was given long ago and what was given just now are looked at apart: not all that stands between them is read.
NEAR_MS: Final = 10_000


class Judged(NamedTuple):
    """Entries that are this consumer's, by their ids in ascending order, and what they hold."""

    ids: Sequence[str]
    batch: Batch


NOTHING: Final = Judged((), Batch())


class Mails:
    """What the rules want to know of campaigns, asked for now and then."""

    def __init__(self, campaigns: Campaigns, links: Links, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._campaigns = campaigns
        self._links = links
        self._clock = clock
        self._known: dict[str, tuple[float, Mail]] = {}

    async def of(self, campaigns: Collection[str]) -> dict[str, Mail]:
        """Each campaign's mail. Raises StoreUnavailable; a campaign that is not there, or unreadable, tells nothing."""
        now = self._clock()
        self._known = {name: known for name, known in self._known.items() if known[0] > now - MAIL_SECONDS}
        for name in campaigns:
            if name not in self._known:
                self._known[name] = now, await self._ask(name)
        return {name: self._known[name][1] for name in campaigns}

    async def _ask(self, name: str) -> Mail:
        try:
            campaign = await self._campaigns.get(name)
        except StoreUnavailable:
            raise
        except StoreError:
            campaign = None
        return Mail(await self._links.count(name), campaign.sent_at if campaign else None)


class Judging:
    """What one consumer is given, each click with its final class."""

    def __init__(
        self,
        stream: ClickStream,
        mails: Mails,
        judge: Judge,
        gateways: Gateways,
        *,
        hold_ms: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._mails = mails
        self._new_hold = partial(Hold, judge, gateways, hold_ms=hold_ms)
        self._hold_ms = hold_ms
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """Forgets what was read: the stream, or its group, may be another one."""
        self._hold: Hold | None = None
        self._last_given = ""
        self.has_more = False  # that could be had at once, when `next` has answered
        self._pages_with_more = 0  # so many in a row
        CLICKS_HELD.set(0)

    @property
    def waiting(self) -> int:
        """How many clicks were read and are held."""
        return self._hold.waiting if self._hold else 0

    # What is held was given to nobody, so that no claim, however soon, takes it from its reader.
    async def next(self, most: int, *, wait_seconds: float) -> Judged:
        """The next entries that are due, taken and judged; none if none is due within the time. Raises StoreError.

        At most `most` of them, and no more than a page has.
        """
        hold = self._hold or await self._begin()
        limit = PAGE if self._pages_with_more >= BACKLOG_AFTER_PAGES else SMALL_PAGE
        most = min(most, limit)
        wait_seconds = min(wait_seconds, hold.due_in(self._clock()))
        read_at = self._clock()
        page = await self._stream.behind(hold.newest, limit, wait_seconds=wait_seconds)
        hold.read(page, read_at)
        CLICKS_HELD.set(hold.waiting)
        # Only who has read to the end knows what came until now.
        due = hold.due(read_at if len(page) < limit else -math.inf, most)
        self.has_more = len(page) == limit or due == most
        self._pages_with_more = self._pages_with_more + 1 if self.has_more else 0
        return await self._take(hold, due) if due else NOTHING

    async def _take(self, hold: Hold, due: int) -> Judged:
        before, up_to = self._last_given, hold.last_of(due)
        taken = await self._stream.take(due, after=before, up_to=up_to)
        self._last_given = taken.last_given
        if taken.ids:
            return Judged(taken.ids, await self._judged(hold, taken.ids))
        if place_of(taken.last_given) < place_of(before):  # the group was set back, or is another one
            self.restart()
        else:  # another consumer was given some, or all that is due was deleted from the stream
            hold.pass_over(place_of(up_to if taken.last_given == before else taken.last_given))
        return NOTHING

    async def _begin(self) -> Hold:
        """A hold with what was counted last, which speaks for or against what comes next."""
        self._last_given = (await self._stream.take(1, after="")).last_given
        self._hold = hold = self._new_hold()
        place = place_of(self._last_given)
        hold.newest = self._before(place)
        while hold.newest < place and (page := await self._stream.behind(hold.newest, PAGE)):
            hold.read(page, self._clock())
            hold.pass_over(place)
        return hold

    async def those(self, ids: Sequence[str]) -> Judged:
        """Entries (ascending ids) that this consumer was given before, or took from another one. Raises StoreError."""
        batch = Batch()
        for near in _portions(ids, 2 * self._hold_ms + NEAR_MS):
            hold = self._new_hold()
            hold.newest = self._before(place_of(near[0]))
            last = place_of(near[-1])[0] + self._hold_ms
            while hold.newest[0] <= last and (page := await self._stream.behind(hold.newest, PAGE)):
                hold.read(page, self._clock())
            batch.add(await self._judged(hold, near))
        return Judged(ids, batch)

    def _before(self, place: tuple[int, int]) -> tuple[int, int]:
        """A place behind which everything stands that says something of the entry at this one."""
        return max(0, place[0] - self._hold_ms - 1), 0

    async def _judged(self, hold: Hold, ids: Sequence[str]) -> Batch:
        return hold.judged(ids, await self._mails.of(hold.campaigns(ids)))


def _portions(ids: Sequence[str], apart_ms: int) -> Iterator[Sequence[str]]:
    """The ids (ascending), cut where one stands farther behind the one before it."""
    begin = 0
    for at in range(1, len(ids) + 1):
        if at == len(ids) or place_of(ids[at])[0] - place_of(ids[at - 1])[0] > apart_ms:
            yield ids[begin:at]
            begin = at
