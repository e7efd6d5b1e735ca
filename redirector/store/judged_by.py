"""What the worker judges by, noted for whoever recounts."""

from redis.asyncio import Redis

from redirector.errors import StoreError, StoreUnavailable
from redirector.judged_by import JudgedBy
from redirector.store.connection import store_errors, text
from redirector.store.keys import Keys


async def note(redis: Redis, keys: Keys, by: JudgedBy, *, group: str) -> None:
    """Says what the workers of this group judge by from now on. Raises StoreError."""
    key = keys.judged_by(group)
    with store_errors():
        async with redis.pipeline(transaction=True) as transaction:
            transaction.delete(key)  # whatever it was: counting must not wait for somebody to remove it
            transaction.hset(key, mapping={"hold_ms": by.hold_ms, "rules": by.rules, "gateways": by.gateways})
            await transaction.execute()


async def noted(redis: Redis, keys: Keys, *, group: str) -> JudgedBy | None:
    """What they judge by; None when none has said so yet, or nobody can read it. Raises StoreUnavailable."""
    try:
        with store_errors():
            hold_ms, rules, gateways = await redis.hmget(keys.judged_by(group), ["hold_ms", "rules", "gateways"])
            return JudgedBy(int(hold_ms), int(rules), text(gateways)) if hold_ms and rules and gateways else None
    except StoreUnavailable:
        raise
    except StoreError:
        return None
