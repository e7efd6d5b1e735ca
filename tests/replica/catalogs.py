"""The store's side of a replica, and what a process does with it: for the tests of this folder."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from redirector.errors import StoreUnavailable
from redirector.links import Campaign, Link
from redirector.replica import Replica
from redirector.store.campaigns import Campaigns
from redirector.store.changes import Changes
from redirector.store.connection import connected
from redirector.store.keys import Keys
from redirector.store.links import Links, Minted
from redirector.store.people import People
from redirector.store.records import link_record
from tests.builders import NOON, a_campaign, a_link
from tests.store.stores import until

PATIENCE_SECONDS = 20.0


class Catalog:
    """The store's side: links and campaigns, and copies of them."""

    def __init__(self, redis: Redis, keys: Keys, directory: Path) -> None:
        self.redis = redis
        self.keys = keys
        self.path = directory / "redirect-0" / "links.sqlite"
        self.links = Links(redis, keys)
        self.campaigns = Campaigns(redis, keys)
        self.people = People(redis, keys)

    async def mint(self, *drafts: Link) -> list[Link]:
        minted = await self.links.mint(a_campaign(), drafts or (a_link(),), topics_max=100, now=NOON)
        return [answer.link for answer in minted if isinstance(answer, Minted)]

    def replica(self, links_in_memory: int = 100, *, deadline_seconds: float = PATIENCE_SECONDS) -> Replica:
        return Replica(
            self.links,
            self.campaigns,
            self.people,
            Changes(self.redis, self.keys),
            self.path,
            links_in_memory=links_in_memory,
            deadline_seconds=deadline_seconds,
        )

    @asynccontextmanager
    async def followed(self, links_in_memory: int = 100) -> AsyncIterator[Replica]:
        replica = self.replica(links_in_memory)
        await replica.start()
        try:
            yield replica
        finally:
            await replica.stop()

    def followed_too(self) -> AbstractAsyncContextManager[Replica]:
        """The same by another process of the machine."""
        return Catalog(self.redis, self.keys, self.path.parent.parent / "other").followed()


async def answered(ask: Callable[[], Awaitable[tuple[Link, Campaign] | None]]) -> tuple[Link, Campaign] | None:
    """The answer, asked for until the store is in reach."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await ask()
            except StoreUnavailable:
                await asyncio.sleep(0.005)


async def mint_many(catalog: Catalog, count: int) -> None:
    """So many links, put into the store without announcing them one by one."""
    await catalog.mint()
    record = link_record(a_link())
    for first in range(2, count + 1, 10_000):
        numbers = range(first, min(first + 10_000, count + 1))
        await catalog.redis.hset(catalog.keys.links, mapping={str(number): record for number in numbers})
    await catalog.redis.set(catalog.keys.next_link, count)


async def be_current(replica: Replica) -> None:
    """Waits until everything was copied."""
    await until(lambda: replica._copy.is_current)


async def filled(catalog: Catalog) -> None:
    """An earlier run of a process: it copied everything, and ended."""
    async with catalog.followed() as replica:
        await be_current(replica)


@asynccontextmanager
async def without_store(catalog: Catalog) -> AsyncIterator[Replica]:
    """A process that starts over the same file while the store is dead."""
    async with connected(f"unix://{catalog.path.parent}/none.sock") as client:
        dead = Catalog(client, catalog.keys, catalog.path.parent.parent)
        async with dead.followed() as replica:
            yield replica


def disabled_in(replica: Replica, link: Link) -> bool:
    """Whether the copy knows that the link was disabled."""
    return (replica.known(link.number) or (link,))[0].disabled
