"""Discloses: everything that is recorded of a clicker, field by field, for whoever may ask for it.

Clicks that wait on a machine's disk are not in it: nobody finds them before they come to the stream.
"""

from collections.abc import AsyncIterator, Callable

from redis.asyncio import Redis

from redirector.erase import SKEW_MS, clicker_of_entry
from redirector.store.connection import text
from redirector.store.entries import walk
from redirector.store.erasures import Erasures
from redirector.store.keys import Keys
from redirector.store.people import People


async def requests_of(redis: Redis, keys: Keys, clicker: int) -> list[dict[str, str]]:
    """What the clicker has asked for and is remembered for, each with its `kind` and, in Unix ms, the moment `at`.

    An `opt_out`; an `erasure` of all clicks up to the moment, whose `state` is `waiting` or `done`. Raises StoreError.
    """
    opted_out = await People(redis, keys).moment_of(clicker)
    erasure = await Erasures(redis, keys).of(clicker)
    found = []
    if opted_out is not None:
        found.append({"kind": "opt_out", "at": str(opted_out)})
    if erasure is not None:
        state = "waiting" if erasure.is_waiting else "done"
        found.append({"kind": "erasure", "at": str(erasure.moment), "state": state})
    return found


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
