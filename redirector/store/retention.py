"""How long clicks stay in the stream: for the retention, and until every group that reads it has acknowledged them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from redirector.store.connection import store_errors, text
from redirector.store.keys import Keys

# Entries that one call removes at the most, so that the store is never kept from others for long.
AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Trimmed:
    """How many entries were removed, and which groups still need some that are older than the retention."""

    entries: int
    held_back_by: Sequence[str]


async def trim(redis: Redis, keys: Keys, *, before: int, shard: int = 0) -> Trimmed:
    """Removes clicks from before this moment (Unix ms) that no group needs any more, the oldest `AT_ONCE` of them.

    A stream that no group reads is left alone: nobody has counted it. Raises StoreError.
    """
    key = keys.clicks(shard)
    with store_errors():
        if not await redis.exists(key):
            return Trimmed(0, ())
        needed = {
            text(group["name"]): await _first_needed(redis, key, group) for group in await redis.xinfo_groups(key)
        }
        if not needed:
            return Trimmed(0, ())
        first = min(*needed.values(), (before, 0))
        removed = await redis.xtrim(key, minid=f"{first[0]}-{first[1]}", approximate=True, limit=AT_ONCE)
    return Trimmed(int(removed), sorted(name for name, entry in needed.items() if entry < (before, 0)))


async def _first_needed(redis: Redis, key: str, group: dict[str, Any]) -> tuple[int, int]:
    """The oldest entry that this group has not acknowledged, or else the newest that it was given."""
    if not group["pending"]:
        return _parsed(group["last-delivered-id"])
    pending = await redis.xpending(key, text(group["name"]))
    return _parsed(pending["min"] or group["last-delivered-id"])


def _parsed(entry_id: bytes | str) -> tuple[int, int]:
    milliseconds, _, number = text(entry_id).partition("-")
    return int(milliseconds), int(number)
