"""Remembers for a day with which body an Idempotency-Key came first.

Minting the same thing twice makes it once, so the answer need not be kept: a retry is answered afresh.
"""

from hashlib import blake2b
from typing import Any, Final

from redis.asyncio import Redis

from redirector.errors import IdempotencyKeyReused
from redirector.store.connection import as_bytes, store_errors
from redirector.store.keys import Keys

KEPT_SECONDS: Final = 24 * 3600


async def expect_same_body(redis: Redis, keys: Keys, *, holder: str, key: str, body: bytes) -> None:
    """Raises IdempotencyKeyReused when this holder's `key` came before with another body."""
    name = keys.idempotency(blake2b(f"{holder}\n{key}".encode(), digest_size=16).hexdigest())
    digest = blake2b(body, digest_size=16).hexdigest().encode()
    with store_errors():
        before: Any = await redis.set(name, digest, nx=True, get=True, ex=KEPT_SECONDS)
    if before is not None and as_bytes(before) != digest:
        raise IdempotencyKeyReused(
            "this Idempotency-Key came before, with another body",
            field="Idempotency-Key",
            part=key[:80],
            remedy="use a new key for a new request, and the old one only to send the same request again",
        )
