"""The walk over all links and campaigns: complete, some at a time, and not ended by a store that fails."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from redirector.catalog import Records
from redirector.errors import StoreUnavailable
from redirector.fill import PAGE, Fill
from redirector.store.campaigns import Campaigns
from redirector.store.connection import connected
from redirector.store.keys import Keys
from redirector.store.links import Links
from tests.builders import NOON, a_campaign, a_link
from tests.store.stores import kill, on_both_stores, own_store


async def mint(redis: Redis, keys: Keys, count: int) -> None:
    """So many links of campaign `news`."""
    drafts = [a_link(label=str(number)) for number in range(count)]
    await Links(redis, keys).mint(a_campaign(), drafts, topics_max=10, now=NOON)


def a_fill(redis: Redis, keys: Keys) -> Fill:
    """A walk that begins."""
    return Fill(Links(redis, keys), Campaigns(redis, keys))


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE])
async def test_everything_comes_once(redis: Redis, keys: Keys, count: int) -> None:
    """Campaigns first, then every link in the order of the numbers, so many a page at the most."""
    await mint(redis, keys, count)
    fill = a_fill(redis, keys)
    pages: list[Records] = []
    while (page := await fill.page()) is not None:
        pages.append(page)

    first, *others = pages
    assert (set(first.campaigns), first.links) == ({"news"}, {})
    assert [number for page in others for number in page.links] == list(range(1, count + 1))
    assert all(len(page.links) <= PAGE for page in others)
    assert await fill.page() is None


async def test_numbers_without_a_link_are_passed_over(redis: Redis, keys: Keys) -> None:
    """A link that was lost, or a whole page of them, does not end the walk."""
    await mint(redis, keys, 2 * PAGE + 1)
    await redis.hdel(keys.links, *(str(number) for number in range(2, 2 * PAGE + 1)))
    fill = a_fill(redis, keys)
    pages = [await fill.page() for _ in range(4)]

    assert [list(page.links) for page in pages if page is not None] == [[], [1], [], [2 * PAGE + 1]]
    assert await fill.page() is None


@on_both_stores
async def test_it_goes_on_with_another_store_over_the_same_data(kind: str, directory: Path, keys: Keys) -> None:
    """A page that could not be had is the next one that is asked for."""
    with own_store(kind, directory, "--appendfsync", "always") as url:
        async with connected(url) as redis:
            await mint(redis, keys, PAGE + 1)
            fill = a_fill(redis, keys)
            await fill.page()
            first = await fill.page()
            kill(url)
            for _ in range(2):
                with pytest.raises(StoreUnavailable):
                    await fill.page()
            with own_store(kind, directory):
                second = await fill.page()

    assert first is not None
    assert second is not None
    assert [*first.links, *second.links] == list(range(1, PAGE + 2))
