"""When the store was last backed up, so that an operator who forgot it can be reminded."""

import json
from dataclasses import asdict, dataclass

from redis.asyncio import Redis

from redirector.store.connection import store_errors
from redirector.store.keys import Keys


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made: when, in Unix ms, and up to which link's number."""

    made_at: int
    links: int


async def last_backup(redis: Redis, keys: Keys) -> Backup | None:
    """The last backup, if the store knows of one."""
    with store_errors():
        stored = await redis.get(keys.last_backup)
    try:
        known = json.loads(stored or b"null")
        return Backup(int(known["made_at"]), int(known["links"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


async def remember_backup(redis: Redis, keys: Keys, backup: Backup) -> None:
    """Notes that a backup was made."""
    with store_errors():
        await redis.set(keys.last_backup, json.dumps(asdict(backup)))
