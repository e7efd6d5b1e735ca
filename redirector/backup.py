"""Backs an installation's links up, and puts them back: mails already sent must never lead nowhere."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Final

from redirector.backups import Row, none_of_each
from redirector.clickers import clicker_from, is_visitor
from redirector.errors import InvalidBackup, OtherCatalog, StoreError
from redirector.links import Link
from redirector.store.api_keys import ApiKeys
from redirector.store.campaigns import Campaigns
from redirector.store.key_records import key_from
from redirector.store.links import Links
from redirector.store.people import People
from redirector.store.records import campaign_from, link_from

# Links of one script: it keeps the store from readers' clicks for about a millisecond.
TOGETHER: Final = 50

PAGE: Final = 1_000

_END_OF_TIME_MS: Final = 2**53  # what a sorted set's scores keep exactly


@dataclass(frozen=True, slots=True)
class Catalog:
    """What of a store is backed up."""

    links: Links
    campaigns: Campaigns
    api_keys: ApiKeys
    people: People


@dataclass(slots=True)
class Restored:
    """How many came back, and how many the store had already: it keeps those as they are."""

    put: dict[str, int] = field(default_factory=none_of_each)
    there: dict[str, int] = field(default_factory=none_of_each)

    def count(self, kind: str, put: int, of: int = 1) -> None:
        """Of so many of a kind, so many came back."""
        self.put[kind] += put
        self.there[kind] += of - put


async def rows(catalog: Catalog, progress: Callable[[int, int], None] = lambda _done, _of: None) -> AsyncIterator[Row]:
    """Everything, while the store goes on working. `progress` is told how many links of how many are done."""
    # A link is made after its campaign: read the other way round, no link is without one.
    last = await catalog.links.last_number()
    for name, record in (await catalog.campaigns.all_records()).items():
        yield Row("campaign", name, record)
    for key_id, record in (await catalog.api_keys.all_records()).items():
        yield Row("api_key", key_id, record)
    async for token, at in catalog.people.recipients():
        yield Row("opt_out", str(token), b'{"at":%d}' % at)
    for first in range(1, last + 1, PAGE):
        end = min(first + PAGE, last + 1)
        for number, record in (await catalog.links.records(range(first, end))).items():
            yield Row("link", str(number), record)
        progress(end - 1, last)


async def check(catalog: Catalog, backup: Iterable[Row], name: str) -> dict[str, int]:
    """How many there are of each kind in a backup that may be restored here; nothing is changed.

    Raises InvalidBackup, and OtherCatalog when a number of its links is another link's in the store: mails with the
    one would lead readers to the other.
    """
    counts = none_of_each()
    for page in _pages(backup, PAGE):
        links = [_link(row, name) for row in page if row.kind == "link"]
        for row in page:
            counts[row.kind] += 1
            if row.kind == "campaign":
                with _of_the_backup(name):
                    campaign_from(row.name, row.record)
            elif row.kind == "opt_out":
                _opt_out(row, name)
            elif row.kind == "api_key":
                with _of_the_backup(name):
                    key_from(row.name, row.record)
        known = await catalog.links.those([link.number for link in links])
        for link in links:
            other = known.get(link.number)
            if other is not None and (other.campaign, other.created_at) != (link.campaign, link.created_at):
                raise OtherCatalog(
                    f"link {link.number} is another one in the store",
                    field=name,
                    part=other.destination.stored,
                    remedy="restore into an empty store; nothing was restored",
                )
    return counts


async def restore(
    catalog: Catalog, backup: Iterable[Row], name: str, progress: Callable[[int], None] = lambda _rows: None
) -> Restored:
    """Puts back what the store does not have of a checked backup; may be done again, and while readers click."""
    restored = Restored()
    for page in _pages(backup, TOGETHER):
        for row in page:
            if row.kind == "campaign":
                restored.count(row.kind, await catalog.campaigns.create(campaign_from(row.name, row.record)) is None)
            elif row.kind == "api_key":
                restored.count(row.kind, await catalog.api_keys.restore(row.name, row.record))
            elif row.kind == "opt_out":
                restored.count(row.kind, await catalog.people.restore(*_opt_out(row, name)))
        links = sorted((_link(row, name) for row in page if row.kind == "link"), key=_campaign_of)
        for _, group in groupby(links, key=_campaign_of):
            together = list(group)
            restored.count("link", await catalog.links.restore(together), len(together))
        progress(len(page))
    return restored


_campaign_of = attrgetter("campaign")


def _pages(backup: Iterable[Row], size: int) -> Iterator[list[Row]]:
    page: list[Row] = []
    for row in backup:
        page.append(row)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


def _link(row: Row, name: str) -> Link:
    if not (row.name.isascii() and row.name.isdecimal() and len(row.name) <= 16 and int(row.name) > 0):
        raise InvalidBackup("a link has no number", field=name, part=row.name, remedy="use an earlier backup")
    with _of_the_backup(name):
        return link_from(int(row.name), row.record)


def _opt_out(row: Row, name: str) -> tuple[int, int]:
    """The token of a recipient who opted out, and when (Unix ms)."""
    token, at = clicker_from(row.name), json.loads(row.record).get("at")
    if token is None or is_visitor(token) or type(at) is not int or not 0 <= at < _END_OF_TIME_MS:
        raise InvalidBackup("an opt-out is nobody's", field=name, part=row.name, remedy="use an earlier backup")
    return token, at


@contextmanager
def _of_the_backup(name: str) -> Iterator[None]:
    """A record that cannot be read is the backup's fault here, and not the store's."""
    try:
        yield
    except StoreError as error:
        raise InvalidBackup(
            error.detail.replace("the store's", "its"), field=name, remedy="use an earlier one; nothing was restored"
        ) from None
