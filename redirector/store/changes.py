"""What changed in the catalog, in order, for whoever keeps a copy of it."""

from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from redirector.store.connection import BLOCK_MS, store_errors, text
from redirector.store.keys import Keys

# A reader that is further behind than this reads everything again.
KEPT_CHANGES: Final = 100_000

BATCH: Final = 1_000  # changes that are read at once


@dataclass(frozen=True, slots=True)
class Change:
    """A `link` (named by its number) or a `campaign` (by its name) that was made or changed, or a clicker (by the
    number) who has `opted_out` now, or whose opting out has ended."""

    id: str
    kind: str
    name: str


class Changes:
    """The change stream of the catalog."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def last_id(self) -> str:
        """The id of the newest change; "0-0" when there is none yet."""
        with store_errors():
            newest = await self._redis.xrevrange(self._keys.changes, count=1)
            return text(newest[0][0]) if newest else "0-0"

    async def since(self, last_id: str, *, wait: bool = True) -> list[Change] | None:
        """What came after `last_id`, oldest first; None if some of it is no longer there. May wait a little for it."""
        with store_errors():
            if await self._is_gone(last_id):
                return None
            block_ms = BLOCK_MS if wait else None
            reply: Any = await self._redis.xread({self._keys.changes: last_id}, count=BATCH, block=block_ms)
            # A store that is emptied while it is waited for answers with the first change of its new list.
            if reply and await self._is_gone(last_id):
                return None
            return [
                Change(text(entry_id), text(kind), text(name))
                for _, batch in reply
                for entry_id, fields in batch
                for kind, name in fields.items()
            ]

    async def only_trimmed(self, last_id: str) -> bool:
        """Whether of the store that gave out `last_id` only the oldest changes are gone, and nothing was forgotten.

        False for one that was emptied, or is what it was earlier; but once an emptied one has trimmed its own
        changes, nobody can tell.
        """
        with store_errors():
            if not await self._redis.exists(self._keys.changes):
                return False
            stream: Any = await self._redis.xinfo_stream(self._keys.changes)
            if int(stream["entries-added"]) <= int(stream["length"]):  # a new list, from which nothing was taken yet
                return False
            first, known = stream["first-entry"], _order(last_id)
            return known <= _order(text(stream["last-generated-id"])) and not (
                first and _order(text(first[0])) <= known
            )

    async def _is_gone(self, last_id: str) -> bool:
        """Whether the stream was trimmed, or made anew, behind `last_id`."""
        if last_id == "0-0":
            return bool(await self._redis.xlen(self._keys.changes) >= KEPT_CHANGES)
        return not await self._redis.xrange(self._keys.changes, min=last_id, max=last_id, count=1)


def _order(change_id: str) -> tuple[int, ...]:
    """What an id is compared by: its Unix ms, and its number within that."""
    return tuple(int(part) for part in change_id.split("-"))
