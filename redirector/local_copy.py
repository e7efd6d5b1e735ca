"""What this machine knows of links and campaigns: those clicked last parsed in memory, all of them in a file.

Who opted out is in memory as a whole, and in the same file.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable
from pathlib import Path

from redirector.catalog import CatalogFile, Records
from redirector.errors import StoreError
from redirector.links import Campaign, Link
from redirector.opted_out import OptedOut
from redirector.recent import Recent
from redirector.store.records import campaign_from, link_from

log = logging.getLogger(__name__)


class LocalCopy:
    """Every link in the file at `path`, which no other process may use; the `links_in_memory` clicked last parsed.

    Memory is kept up with every change. The file `is_current` when it holds whatever the store had at its cursor.
    """

    def __init__(self, path: Path, *, links_in_memory: int) -> None:
        self._path = path
        self._file = CatalogFile(path)
        self._is_changing = False
        self.links: Recent[int, Link] = Recent(links_in_memory)
        self.campaigns: Recent[str, Campaign] = Recent(links_in_memory)
        self.opted_out = OptedOut()
        self.is_current = False

    def open(self) -> str:
        """Opens the file and answers its cursor: the change that it followed the store up to, or nothing."""
        self.forget()
        self._file.open()
        cursor = self._file.cursor() if self._read_opted_out() else ""
        self.is_current = self._file.writable and bool(cursor)
        return cursor

    def _read_opted_out(self) -> bool:
        """Takes from the file who opted out; whether that is all that was written, and not a part of it."""
        try:
            for number, part in self._file.opted_out():
                self.opted_out.put(number, part)
        except ValueError as error:
            log.error("who opted out is not what was written: %s", error)
            return False
        return not self._file.spoiled

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        self.is_current = False

    @property
    def is_spoiled(self) -> bool:
        """Whether something in the file turned out not to be what was written."""
        return self._file.spoiled

    async def make_writable(self) -> None:
        """Opens the file again if it is spoiled, or could not be written when it was opened.

        Where somebody holds the file, that takes as long as a write waits for it: readers are answered meanwhile from
        what was open before.
        """
        before = self._file
        if before.spoiled:
            before.close()  # it will be put aside, and SQLite wants no file moved that it has open
        elif before.writable:
            return
        opened = CatalogFile(self._path)
        opened.spoiled = before.spoiled
        try:
            await asyncio.to_thread(opened.open)
        except asyncio.CancelledError:
            opened.close()
            raise
        self._file = opened
        before.close()

    def in_memory(self, number: int) -> tuple[Link, Campaign] | None:
        """A link and its campaign if both are in memory."""
        link = self.links.get(number)
        campaign = None if link is None else self.campaigns.get(link.campaign)
        return None if link is None or campaign is None else (link, campaign)

    def anywhere(self, number: int) -> tuple[Link, Campaign] | None:
        """A link and its campaign from memory or else from the file, be it current or not."""
        try:
            link = self.links.get(number) or self._link_on_disk(number)
            campaign = None if link is None else self.campaign(link.campaign)
        except StoreError:  # what the store had was copied as it was, and cannot be read
            return None
        return None if link is None or campaign is None else (link, campaign)

    @property
    def last_number(self) -> int:
        """The highest number of a link that is known; 0 before the first."""
        in_memory = max(self.links, default=0)
        return max(in_memory, self._file.last_number())

    def first_of_its_number(self, link: Link) -> Link:
        """The link, or the one that was made before it under the same number: that one is in mails already sent.

        A store gives a number out twice when it forgot that it had.
        """
        try:
            known = self.links.get(link.number) or self._read_link(link.number)
        except StoreError:
            return link
        return link if known is None or known.created_at >= link.created_at else known

    def campaign(self, name: str) -> Campaign | None:
        """A campaign from memory or else from the file, be it current or not; raises StoreError if it is unreadable."""
        return self.campaigns.get(name) or self._campaign_on_disk(name)

    def _link_on_disk(self, number: int) -> Link | None:
        link = self._read_link(number)
        if link is not None and self._may_be_remembered:
            self.links.put(number, link)
        return link

    def _read_link(self, number: int) -> Link | None:
        record = self._file.link(number)
        return None if record is None else link_from(number, record)

    def _campaign_on_disk(self, name: str) -> Campaign | None:
        record = self._file.campaign(name)
        if record is None:
            return None
        campaign = campaign_from(name, record)
        if self._may_be_remembered:
            self.campaigns.put(name, campaign)
        return campaign

    @property
    def _may_be_remembered(self) -> bool:
        """What goes from the file into memory must not be older than the last change that memory was told of."""
        return self.is_current and not self._is_changing

    def refresh(self, changed: Records, asked_for: Collection[int]) -> None:
        """Puts what changed in the place of what is in memory.

        What is being asked for right now counts as in memory, and so does every campaign meanwhile. A record that
        cannot be read is taken out of `changed`: what is known of it stays as it was.
        """
        numbers = [number for number in changed.links if number in self.links or number in asked_for]
        self._take(changed, numbers, [name for name in changed.campaigns if name in self.campaigns or asked_for])

    def remember(self, records: Records) -> None:
        """Takes all of them into memory, as if they had just been clicked."""
        self._take(records, list(records.links), list(records.campaigns))

    def _take(self, records: Records, numbers: Iterable[int], names: Iterable[str]) -> None:
        for number in numbers:
            try:
                self.links.put(number, self.first_of_its_number(link_from(number, records.links[number])))
            except StoreError as error:
                log.error("link %d stays as it was: %s", number, error)
                del records.links[number]
        for name in names:
            try:
                self.campaigns.put(name, campaign_from(name, records.campaigns[name]))
            except StoreError as error:
                log.error("campaign %r stays as it was: %s", name, error)
                del records.campaigns[name]

    def forget(self) -> None:
        """Empties memory, and trusts the file no more."""
        self.links.clear()
        self.campaigns.clear()
        self.is_current = False

    async def write(self, records: Records, cursor: str | None) -> bool:
        """Writes to the file, all or nothing; when that fails, the file is no longer current."""
        self._is_changing = True
        try:
            written = await asyncio.to_thread(self._file.write, records, cursor)
        finally:
            self._is_changing = False
        self.is_current = written and self.is_current
        return written
