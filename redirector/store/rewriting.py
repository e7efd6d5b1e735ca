"""The append-only file, written anew from what the store has in memory: without what ended, and surely on the disk."""

import asyncio
from typing import Final

from redis.asyncio import Redis

from redirector.errors import StoreError
from redirector.store.connection import store_errors

LOOK_EVERY_SECONDS: Final = 0.1


async def rewrite_append_only_file(redis: Redis) -> None:
    """Returns once the file holds what the store had in memory at the call, or later, and nothing from before.

    Raises StoreError when the store cannot do that; ask again later.
    """
    await _rest(redis)  # a rewriting that is under way began before the call
    with store_errors():
        await redis.bgrewriteaof()
    if await _rest(redis) != "ok":
        raise StoreError("the store could not rewrite its append-only file", remedy="see its log, and the disk")


async def _rest(redis: Redis) -> str:
    """Waits until no rewriting is under way; how the last one ended."""
    while True:
        with store_errors():
            found = await redis.info("persistence")
        if not (found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"]):
            return str(found["aof_last_bgrewrite_status"])
        await asyncio.sleep(LOOK_EVERY_SECONDS)
