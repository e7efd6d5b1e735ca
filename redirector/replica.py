"""The local copy of links and campaigns that lets a redirect answer without the store.

A link is asked for once and then answered from memory; a change stream says which of them to ask for again.
While the store is out of reach, what is known goes on being answered.
"""

import asyncio
import logging
from collections import OrderedDict
from typing import Final

from redirector.errors import StoreError, StoreUnavailable
from redirector.links import Campaign, Link
from redirector.store.campaigns import Campaigns
from redirector.store.changes import Change, Changes
from redirector.store.links import Links

RETRY_SECONDS: Final = 0.5

MAX_DIGITS: Final = 16  # of a link's number

log = logging.getLogger(__name__)


class Replica:
    """At most `links_in_memory` links, the least recently used making room, and the campaigns that they belong to."""

    def __init__(self, links: Links, campaigns: Campaigns, changes: Changes, *, links_in_memory: int) -> None:
        self._stored_links = links
        self._stored_campaigns = campaigns
        self._changes = changes
        self._limit = links_in_memory
        self._links: OrderedDict[int, Link] = OrderedDict()
        self._campaigns: dict[str, Campaign] = {}
        self._asking: dict[int, asyncio.Task[tuple[Link, Campaign] | None]] = {}
        self._last_change = ""
        self._store_answers = False
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to follow the store's changes; tries once before it returns."""
        self._stopping = False
        try:
            await self._catch_up(wait=False)
        except StoreError as error:
            log.warning("links that are not known yet cannot be answered: %s", error)
        self._task = asyncio.create_task(self._follow_changes(), name="replica")

    async def stop(self) -> None:
        """Stops following the store's changes."""
        self._stopping = True
        if self._task:
            self._task.cancel()  # for speed only: redis-py now and then swallows a cancellation
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def ready(self) -> bool:
        """Whether this copy has been in touch with the store; afterwards it stays ready without it."""
        return bool(self._last_change)

    def known(self, number: int) -> tuple[Link, Campaign] | None:
        """A link and its campaign if they are in memory."""
        link = self._links.get(number)
        if link is None:
            return None
        campaign = self._campaigns.get(link.campaign)
        if campaign is None:
            return None
        self._links.move_to_end(number)
        return link, campaign

    async def ask(self, number: int) -> tuple[Link, Campaign] | None:
        """A link and its campaign from the store; None if there is no such link. From then on they are known.

        Raises StoreError when the store cannot be asked; at once, when it is known to be out of reach.
        """
        if not self._store_answers:
            raise StoreUnavailable("the store is out of reach, and the link was never asked for before")
        task = self._asking.get(number)
        if task is None:
            task = self._asking[number] = asyncio.create_task(self._learn(number))
        return await asyncio.shield(task)

    async def _learn(self, number: int) -> tuple[Link, Campaign] | None:
        try:
            link = await self._stored_links.get(number)
            if link is None:
                return None
            campaign = self._campaigns.get(link.campaign) or await self._stored_campaigns.get(link.campaign)
            if campaign is None:
                raise StoreError(f"link {number} belongs to a campaign that is not in the store")
            # A change that came while the store was asked is already in memory, and newer than the answer.
            link = self._links.setdefault(number, link)
            while len(self._links) > self._limit:
                self._links.popitem(last=False)
            return link, self._campaigns.setdefault(link.campaign, campaign)
        finally:
            del self._asking[number]

    async def _follow_changes(self) -> None:
        while not self._stopping:
            try:
                await self._catch_up()
            except StoreError as error:
                if self._store_answers:
                    log.warning("links are answered from memory until the store answers again: %s", error)
                self._store_answers = False
                await asyncio.sleep(RETRY_SECONDS)

    async def _catch_up(self, *, wait: bool = True) -> None:
        """Applies what changed since the last time; may wait a little for it."""
        if not self._last_change:
            self._last_change = await self._changes.last_id()
        changes = await self._changes.since(self._last_change, wait=wait)
        if changes is None:
            log.warning("the store's list of changes has a gap: every link is asked for again")
            self._last_change = await self._changes.last_id()
            # Who asked before this moment may be answered with what lay there before the gap.
            await asyncio.gather(*self._asking.values(), return_exceptions=True)
            self._links.clear()
            self._campaigns.clear()
        for change in changes or ():
            try:
                await self._apply(change)
            except StoreUnavailable:
                raise
            except StoreError as error:
                log.error("what is in memory of a %s that changed stays as it was: %s", change.kind, error)  # noqa: TRY400
            self._last_change = change.id
        self._store_answers = True

    async def _apply(self, change: Change) -> None:
        # What is being asked for right now counts as known, and so does every campaign meanwhile.
        if change.kind == "campaign" and (change.name in self._campaigns or self._asking):
            campaign = await self._stored_campaigns.get(change.name)
            if campaign is not None:
                self._campaigns[change.name] = campaign
        if change.kind == "link" and change.name.isdecimal():
            number = int(change.name[:MAX_DIGITS])
            if number in self._links or number in self._asking:
                link = await self._stored_links.get(number)
                if link is not None:
                    self._links[number] = link
