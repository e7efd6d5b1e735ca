"""Discloses: everything that is recorded of a clicker, field by field, for whoever may ask for it."""

from collections.abc import AsyncIterator, Callable

from redis.asyncio import Redis

from redirector.erase import SKEW_MS, clicker_of_entry
from redirector.store.connection import text
from redirector.store.entries import walk
from redirector.store.keys import Keys


async def clicks_of(redis: Redis, keys: Keys, clicker: int, *, now: int) -> AsyncIterator[list[dict[str, str]]]:
    """The clicker's clicks up to now (Unix ms), those in the stream and then copies that were set aside.

    Page by page, as the stream is walked through: most pages have none. Raises StoreError.
    """
    for key in (keys.clicks(), keys.poison()):
        async for page in walk(redis, key, up_to=str(now + SKEW_MS)):
            yield [
                {text(name): text(value) for name, value in entry.fields.items()}
                for entry in page
                if clicker_of_entry(entry) == clicker
            ]


async def count_of(
    redis: Redis, keys: Keys, clicker: int, *, now: int, clock: Callable[[], float], within_seconds: float
) -> int | None:
    """How many entries there are of the clicker; None when there are too many of all to count them in time.

    `clock` gives seconds. Raises StoreError.
    """
    found, deadline = 0, clock() + within_seconds
    async for clicks in clicks_of(redis, keys, clicker, now=now):
        found += len(clicks)
        if clock() > deadline:
            return None
    return found
