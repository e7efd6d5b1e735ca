"""Remembers for a day with which body an Idempotency-Key came first, and which links that made.

A retry gets those links, as they are by then. Minting the same thing twice makes it once, so what was not remembered,
because the store was lost right after it minted, is found by minting again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from redis.asyncio import Redis

from redirector.errors import IdempotencyKeyReused
from redirector.store.connection import store_errors, text
from redirector.store.keys import Keys

KEPT_SECONDS: Final = 24 * 3600

# In the place of a link's number: the row was refused, and is tried again with the next request.
NO_LINK: Final = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request under an Idempotency-Key; `numbers` are the links that it made before, row by row, if any."""

    name: str
    digest: str
    numbers: tuple[int, ...]


async def begin(redis: Redis, keys: Keys, *, holder: str, key: str, body: bytes) -> Attempt:
    """What is known of this holder's `key`. Raises IdempotencyKeyReused when it came before with another body."""
    name = keys.idempotency(blake2b(f"{holder}\n{key}".encode(), digest_size=16).hexdigest())
    digest = blake2b(body, digest_size=16).hexdigest()
    with store_errors():
        known: Any = await redis.set(name, digest, nx=True, get=True, ex=KEPT_SECONDS)
    before, _, numbers = text(known).partition(" ")
    if before not in {"", digest}:
        raise IdempotencyKeyReused(
            "this Idempotency-Key came before, with another body",
            field="Idempotency-Key",
            part=key[:80],
            remedy="use a new key for a new request, and the old one only to send the same request again",
        )
    return Attempt(name, digest, tuple(map(int, numbers.split())))


async def remember(redis: Redis, attempt: Attempt, numbers: Sequence[int]) -> None:
    """The links that the attempt made, row by row, are what a retry within the day will get."""
    with store_errors():
        await redis.set(attempt.name, " ".join([attempt.digest, *map(str, numbers)]), xx=True, keepttl=True)
