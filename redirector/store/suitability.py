"""Whether a store will do: it must be new enough, keep what it is given, throw nothing away, and take more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from redirector.findings import Finding, Severity
from redirector.store.connection import store_errors

OLDEST: Final = (7, 0)
NEARLY_FULL: Final = 0.9  # as for the alert RedirectorStoreMemory
APPEND_ONLY: Final = (
    "CONFIG SET appendonly yes, and the same in its configuration file; a hosted store has a switch for it"
)


@dataclass(frozen=True, slots=True)
class Room:
    """What the store does with what it is given, and how much memory that takes; 0 is no limit."""

    keeps_writes: bool
    keeps_keys: bool
    memory_used: int
    memory_limit: int


async def room(redis: Redis) -> Room:
    """What the store says of itself at this moment. Raises StoreError."""
    with store_errors():
        info = await redis.info()
    limit = int(info.get("maxmemory", 0))
    return Room(
        keeps_writes=bool(info.get("aof_enabled")),
        keeps_keys=not limit or info.get("maxmemory_policy", "noeviction") == "noeviction",
        memory_used=int(info.get("used_memory", 0)),
        memory_limit=limit,
    )


async def findings(redis: Redis) -> list[Finding]:
    """What speaks against this store; nothing, when it will do. Raises StoreUnavailable."""
    with store_errors():
        info = await redis.info()
        try:
            configured: Any = await redis.config_get("save")
            save = str(configured.get("save") or "")
        except ResponseError:  # hosted stores often refuse CONFIG
            save = None
    return judge(info, save)


def judge(info: Mapping[str, Any], save: str | None) -> list[Finding]:
    """The findings that follow from the store's INFO and its `save` setting; None when it does not tell that."""
    found = []
    version = str(info.get("redis_version", "0"))
    if _numbers(version) < OLDEST:
        found.append(
            Finding(
                f"the store is version {version}, older than 7.0",
                "run Redis 7.0 or later, or any Valkey",
                Severity.ERROR,
            )
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if info.get("maxmemory", 0) and policy != "noeviction":
        found.append(
            Finding(
                f"the store throws keys away when its memory is full (maxmemory-policy {policy}): {_thrown(policy)}",
                "CONFIG SET maxmemory-policy noeviction, and the same in its configuration file",
            )
        )
    if not info.get("aof_enabled"):
        found.append(Finding(_without_append_only_file(save), APPEND_ONLY))
    return found + _refusals(info)


def _refusals(info: Mapping[str, Any]) -> list[Finding]:
    """Why the store takes no clicks and no links now, or soon will not."""
    found = []
    if info.get("role", "master") != "master":
        what = "the store is a replica, and takes neither links nor clicks"
        found.append(Finding(what, "name its master in store_url, or make it one: REPLICAOF NO ONE", Severity.ERROR))
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if limit and used > NEARLY_FULL * limit:
        what = f"the store has used {used / 1e6:,.0f} MB of the {limit / 1e6:,.0f} MB that it may use"
        remedy = "CONFIG SET maxmemory, and the same in its configuration file; or lower stream_retention_days"
        found.append(Finding(what, remedy, Severity.ERROR if used >= limit else Severity.WARNING))
    for name, file in (("aof_last_write_status", "append-only file"), ("rdb_last_bgsave_status", "snapshot")):
        if info.get(name, "ok") != "ok":
            what = f"the store could not write its {file}, and may refuse links and clicks until it can"
            found.append(Finding(what, "see to its disk, and to its log", Severity.ERROR))
    return found


def _thrown(policy: str) -> str:
    """What it costs that the store throws away: of all keys, or of those that end by themselves."""
    if policy.startswith("volatile-"):
        return "the numbers of recorders' batches would go, and clicks could be recorded twice; and the day's salt"
    return "links would die"


def _without_append_only_file(save: str | None) -> str:
    if save is None:
        return "the store has no append-only file, and does not tell whether it has snapshots: clicks can be lost"
    if save:
        return "the store has snapshots, but no append-only file: the clicks since the last snapshot can be lost"
    return "the store keeps nothing on disk: links and clicks are gone when it stops"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
