"""Whether a store will do: it must be new enough, keep what it is given, and throw nothing away."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from redirector.store.connection import store_errors

OLDEST: Final = (7, 0)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that an operator should know, and what to do about it."""

    what: str
    remedy: str


async def findings(redis: Redis) -> list[Finding]:
    """What speaks against this store; nothing, when it will do. Raises StoreUnavailable."""
    with store_errors():
        info = await redis.info()
        try:
            configured: Any = await redis.config_get("save")
            save = str(configured.get("save") or "")
        except ResponseError:  # hosted stores often refuse CONFIG
            save = ""
    return judge(info, save)


def judge(info: Mapping[str, Any], save: str) -> list[Finding]:
    """The findings that follow from the store's INFO and its `save` setting."""
    found = []
    version = str(info.get("redis_version", "0"))
    if _numbers(version) < OLDEST:
        found.append(
            Finding(f"the store is version {version}, older than 7.0", "run Redis 7.0 or later, or any Valkey")
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if info.get("maxmemory", 0) and policy != "noeviction":
        found.append(
            Finding(
                f"the store throws keys away when its memory is full (maxmemory-policy {policy}): links would die",
                "CONFIG SET maxmemory-policy noeviction",
            )
        )
    if not info.get("aof_enabled") and not save:
        found.append(
            Finding(
                "the store keeps nothing on disk: links and clicks are gone when it stops",
                "CONFIG SET appendonly yes, and the same in its configuration file",
            )
        )
    elif not info.get("aof_enabled"):
        found.append(
            Finding(
                "the store has snapshots, but no append-only file: the clicks since the last snapshot can be lost",
                "CONFIG SET appendonly yes, and the same in its configuration file",
            )
        )
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
