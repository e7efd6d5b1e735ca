"""A walk over every link and campaign of the store, some at a time."""

from typing import Final

from redirector.catalog import Records
from redirector.store.campaigns import Campaigns
from redirector.store.links import Links

PAGE: Final = 1_000


class Fill:
    """Goes from page to page. One that could not be had is asked for again, also of a store that was started anew.

    Links come by their numbers, which are given out one after another: rows that arrive in the order of their keys
    cost SQLite a tenth of those that a scan of the hash brings in the hash's order.
    """

    def __init__(self, links: Links, campaigns: Campaigns) -> None:
        self._links = links
        self._campaigns = campaigns
        self._last = -1  # not known yet
        self._next = 1

    async def page(self) -> Records | None:
        """The next records, first the campaigns, then the links; None behind the last. Raises StoreError."""
        if self._last < 0:
            campaigns = await self._campaigns.all_records()
            self._last = await self._links.last_number()
            return Records(campaigns=campaigns)
        if self._next > self._last:
            return None
        end = min(self._next + PAGE, self._last + 1)
        links = await self._links.records(range(self._next, end))
        self._next = end
        return Records(links=links)
