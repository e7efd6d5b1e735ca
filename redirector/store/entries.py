"""The entries of a stream, page by page: no page keeps the store from readers' clicks for more than a millisecond."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from redirector.store.clicks import Entry, place_of
from redirector.store.connection import store_errors, text

PAGE: Final = 500

BEGINNING: Final = "0-0"


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a group is done with a stream: up to and with the entry `up_to`. `is_all`: there is no other entry."""

    up_to: tuple[int, int]
    is_all: bool


async def walk(redis: Redis, key: str, *, after: str = BEGINNING, up_to: str = "+") -> AsyncIterator[list[Entry]]:
    """The entries behind `after`, up to and with `up_to`, oldest first. Raises StoreError."""
    while True:
        with store_errors():
            page: Any = await redis.xrange(key, min=f"({after}", max=up_to, count=PAGE)
            entries = [Entry.of(text(entry_id), fields or {}) for entry_id, fields in page]
        if not entries:
            return
        yield entries
        after = entries[-1].id


async def delete(redis: Redis, key: str, entry_ids: Sequence[str]) -> int:
    """Takes entries out, and answers how many were still there. Raises StoreError."""
    if not entry_ids:
        return 0
    with store_errors():
        return int(await redis.xdel(key, *entry_ids))


async def reach(redis: Redis, key: str, group: str) -> Reach:
    """Up to where a group needs no entry any more; nothing is, while the group is not there. Raises StoreError."""
    with store_errors():
        if not await redis.exists(key):
            return Reach((0, 0), is_all=True)
        newest = place_of((await redis.xinfo_stream(key))["last-generated-id"])
        groups = {text(info["name"]): info for info in await redis.xinfo_groups(key)}
        if group not in groups:
            return Reach((0, 0), is_all=False)
        given = place_of(groups[group]["last-delivered-id"])
        pending = await redis.xpending(key, group)
        if pending["pending"] and pending["min"]:
            given = min(given, _before(place_of(pending["min"])))
    return Reach(given, is_all=given >= newest)


def _before(entry: tuple[int, int]) -> tuple[int, int]:
    milliseconds, number = entry
    return (milliseconds, number - 1) if number else (max(0, milliseconds - 1), 2**64 - 1)
