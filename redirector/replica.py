"""The local copy of links, campaigns and opt-outs that lets a redirect answer without the store, kept up with it.

A stream of changes says what to fetch; after a gap in it, everything is fetched. While the store is out of reach, what
is known goes on being answered, also by a process that starts then.
"""

import asyncio
import logging
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from redirector.catalog import Records
from redirector.clickers import clicker_from
from redirector.errors import StoreError, StoreUnavailable
from redirector.fill import Fill
from redirector.forgotten import Forgotten
from redirector.links import Campaign, Link
from redirector.local_copy import LocalCopy
from redirector.opted_out import OptedOut
from redirector.store.campaigns import Campaigns
from redirector.store.changes import BATCH, Change, Changes
from redirector.store.connection import ANSWER_WITHIN_SECONDS
from redirector.store.links import MAX_DIGITS, Links
from redirector.store.people import KIND, People
from redirector.store.records import campaign_from, link_from

RETRY_SECONDS: Final = 0.5

# How long a file is left alone that could not be written to, or filled: longer each time that it was in vain.
FIRST_REST_SECONDS: Final = 0.5
LAST_REST_SECONDS: Final = 60.0

log = logging.getLogger(__name__)


class Replica:
    """Answers from the copy. Only what is not surely as it is in the store is asked of the store, while it answers.

    After a gap in the changes that is all that memory does not hold, until the file was filled again. A reader whose
    link is in the file waits `deadline_seconds` for the store, and none waits while it has not answered since; a reader
    whose link only the store can know waits `answer_within_seconds`.
    """

    def __init__(
        self,
        links: Links,
        campaigns: Campaigns,
        people: People,
        changes: Changes,
        path: Path,
        *,
        links_in_memory: int,
        deadline_seconds: float = 0.05,
        answer_within_seconds: float = ANSWER_WITHIN_SECONDS,
    ) -> None:
        self._stored_links = links
        self._stored_campaigns = campaigns
        self._people = people
        self._changes = changes
        self._copy = LocalCopy(path, links_in_memory=links_in_memory)
        self._forgotten = Forgotten(links, people)
        self._deadline_seconds = deadline_seconds
        self._answer_within_seconds = answer_within_seconds
        self._asking: dict[int, asyncio.Task[tuple[Link, Campaign] | None]] = {}
        self._answers = Records()  # what was asked for, on its way into the file
        self._last_change = ""
        self._store_answers = False
        self._store_is_prompt = False  # it answers, and no reader waited in vain since it did
        self._fill: Fill | None = None
        self._rest_seconds = FIRST_REST_SECONDS
        self._rest_until = 0.0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Opens the file and begins to follow the store's changes; tries once to catch up before it returns."""
        self._stopping = False
        self._last_change = self._copy.open()
        try:
            while await self._catch_up(wait=False):
                pass
        except StoreError as error:
            log.warning("links that are not known yet cannot be answered: %s", error)
        self._task = asyncio.create_task(self._follow_changes(), name="replica")

    async def ended(self) -> None:
        """Returns when it follows the store no more: after `stop`, or because of an error that `stop` then raises."""
        if self._task:
            await asyncio.wait({self._task})

    async def stop(self) -> None:
        """Stops following the store's changes, and closes the file."""
        self._stopping = True
        if self._task:
            self._task.cancel()  # for speed only: redis-py now and then swallows a cancellation
        await self.ended()
        self._copy.close()
        if self._task and not self._task.cancelled():
            self._task.result()

    @property
    def ready(self) -> bool:
        """Whether this copy was complete once, or has been in touch with the store; it stays ready without it."""
        return bool(self._last_change)

    @property
    def opted_out(self) -> OptedOut:
        """Who opted out, as far as this machine was told; all of them, whatever became of the store since."""
        return self._copy.opted_out

    def known(self, number: int) -> tuple[Link, Campaign] | None:
        """A link and its campaign, if they are known without asking the store."""
        found = self._copy.in_memory(number)
        if found is not None or (self._store_is_prompt and not self._copy.is_current):
            return found
        return self._copy.anywhere(number)

    async def ask(self, number: int) -> tuple[Link, Campaign] | None:
        """A link and its campaign from the store; None if there is no such link. From then on they are known.

        What the store does not answer by the deadline is answered from the file, though it may have changed since.
        Raises StoreError when the store cannot be asked; at once, when it is known to be out of reach.
        """
        if not self._store_answers:
            raise StoreUnavailable("the store is out of reach, and did not have the link when it was last seen")
        task = self._asking.get(number)
        if task is None:
            task = self._asking[number] = asyncio.create_task(self._learn(number))
            task.add_done_callback(_take_notice)
        if not await _ends(task, self._deadline_seconds):
            self._store_is_prompt = False
            found = self._copy.anywhere(number)
            if found is not None:
                return found
            if not await _ends(task, self._answer_within_seconds - self._deadline_seconds):
                self._store_answers = self._store_is_prompt = False
                raise StoreUnavailable("the store does not answer in time, and nobody else knows the link")
        return task.result()

    async def _learn(self, number: int) -> tuple[Link, Campaign] | None:
        try:
            # A link that vanished from the store is answered as before: the program never deletes one.
            return await self._ask_store(number) or self._copy.anywhere(number)
        except StoreError:
            found = self._copy.anywhere(number)
            if found is None:
                raise
            return found
        finally:
            del self._asking[number]

    async def _ask_store(self, number: int) -> tuple[Link, Campaign] | None:
        record = await self._stored_links.record(number)
        if record is None:
            return None
        link = self._copy.first_of_its_number(link_from(number, record))
        campaign = await self._campaign_of(link)
        # A change that came while the store was asked is already in memory, and newer than the answer.
        newer = self._copy.links.get(number)
        if newer is not None:
            return newer, campaign
        self._copy.links.put(number, link)
        self._answers.links[number] = record
        return link, campaign

    async def _campaign_of(self, link: Link) -> Campaign:
        copy, name = self._copy, link.campaign
        known = copy.campaign(name) if copy.is_current else copy.campaigns.get(name)
        if known is not None:
            return known
        record = await self._stored_campaigns.record(name)
        if record is None:
            raise StoreError(f"link {link.number} belongs to a campaign that is not in the store")
        newer = copy.campaigns.get(name)
        if newer is not None:
            return newer
        campaign = campaign_from(name, record)
        copy.campaigns.put(name, campaign)
        self._answers.campaigns[name] = record
        return campaign

    async def _follow_changes(self) -> None:
        while not self._stopping:
            try:
                await self._catch_up(wait=self._copy.is_current or self._file_rests)
                await self._fill_file()
            except StoreError as error:
                if self._store_answers:
                    log.warning("links are answered from this machine until the store answers again: %s", error)
                self._store_answers = self._store_is_prompt = False
                self._forgotten.is_due = True
                await asyncio.sleep(RETRY_SECONDS)

    async def _catch_up(self, *, wait: bool = True) -> bool:
        """Applies what changed since the last time; may wait a little for it. Answers whether there may be more."""
        if self._forgotten.is_due:
            await self._forgotten.give_back(self._copy.last_number)
        changes = await self._changes.since(self._last_change, wait=wait) if self._last_change else None
        if changes is None:
            await self._begin_anew()
        else:
            await self._apply(changes)
        self._store_answers = self._store_is_prompt = True
        return changes is not None and len(changes) >= BATCH

    async def _begin_anew(self) -> None:
        """From now on every change is followed; what was known before may be old."""
        if self._last_change:
            log.warning("the store's list of changes has a gap: every link is fetched again")
        # First of all: what is minted before this may get a number that a mail already sent has.
        await self._forgotten.give_back(self._copy.last_number)
        self._forget()
        last_change = await self._changes.last_id()
        # Who asked before this moment may be answered with what lay there before the gap.
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        self._forget()
        await self._read_opt_outs()
        await self._forgotten.give_back(self._copy.last_number)
        self._last_change = last_change

    async def _read_opt_outs(self) -> None:
        """Before the first click is recorded: a reader who opted out must not be recorded meanwhile."""
        stored = array("Q")
        async for clicker in self._people.all():
            stored.append(clicker)
        # Asked after the list was read: a store that is emptied in between has forgotten.
        has_forgotten = not (self._last_change and await self._changes.only_trimmed(self._last_change))
        # In a thread: of ten million, sorting takes seconds.
        if has_forgotten:
            self._copy.opted_out = await asyncio.to_thread(self._forgotten.opted_out, self._copy.opted_out, stored)
        else:
            self._copy.opted_out = await asyncio.to_thread(OptedOut, stored)

    def _forget(self) -> None:
        self._copy.forget()
        self._answers = Records()
        self._fill = None

    async def _apply(self, changes: Sequence[Change]) -> None:
        if not changes and not self._answers:
            return
        opted_out = await self._follow_opt_outs(changes)
        changed = await self._fetched(changes)
        changed.opted_out = opted_out
        self._copy.refresh(changed, self._asking)
        self._last_change = changes[-1].id if changes else self._last_change
        records, self._answers = self._answers | changed, Records()
        written = (self._copy.is_current or self._fill) and await self._write(
            records, self._last_change if self._copy.is_current else None
        )
        if not written:  # what the file does not take, memory has, should the store be silent next
            self._copy.remember(changed)

    async def _fetched(self, changes: Sequence[Change]) -> Records:
        numbers = {int(change.name) for change in changes if change.kind == "link" and _is_number(change.name)}
        names = {change.name for change in changes if change.kind == "campaign"}
        return Records(
            await self._stored_links.records(sorted(numbers)), await self._stored_campaigns.records(sorted(names))
        )

    async def _follow_opt_outs(self, changes: Sequence[Change]) -> dict[int, bytes]:
        """Takes into memory who opted out or in; the parts of it that are other ones now."""
        named = {clicker for change in changes if change.kind == KIND and (clicker := clicker_from(change.name))}
        opted_out = await self._people.among(named)
        for clicker in opted_out:
            self.opted_out.add(clicker)
        for clicker in named - opted_out:
            self.opted_out.discard(clicker)
        return self.opted_out.parts_of(named)

    async def _fill_file(self) -> None:
        """Copies some more of the store to a file that is not current; with the last of it, it is."""
        if self._copy.is_spoiled:
            self._copy.is_current = False
        if self._copy.is_current or self._file_rests:
            return
        if self._fill is None:
            await self._copy.make_writable()
            self._fill = Fill(self._stored_links, self._stored_campaigns)
        try:
            records = await self._fill.page()
        except StoreUnavailable:
            raise
        except StoreError as error:
            log.warning("links are kept in memory only: %s", error)
            self._leave_file()
            return
        if records is not None:
            await self._write(records, None)
        elif await self._write(Records(opted_out=dict(self.opted_out.parts())), self._last_change):
            self._copy.is_current = True
            self._fill = None
            self._rest_seconds = FIRST_REST_SECONDS

    async def _write(self, records: Records, cursor: str | None) -> bool:
        written = await self._copy.write(records, cursor)
        if not written:
            self._leave_file()
        return written

    def _leave_file(self) -> None:
        self._fill = None
        self._rest_until = asyncio.get_running_loop().time() + self._rest_seconds
        self._rest_seconds = min(2 * self._rest_seconds, LAST_REST_SECONDS)

    @property
    def _file_rests(self) -> bool:
        return asyncio.get_running_loop().time() < self._rest_until


async def _ends(task: asyncio.Task[Any], within_seconds: float) -> bool:
    """Whether the task ends in time; it goes on if it does not, for a command is never cancelled half way."""
    done, _ = await asyncio.wait({task}, timeout=within_seconds)
    return bool(done)


def _take_notice(task: asyncio.Task[Any]) -> None:
    """An error that nobody waits for any more is none."""
    if not task.cancelled():
        task.exception()


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) <= MAX_DIGITS
