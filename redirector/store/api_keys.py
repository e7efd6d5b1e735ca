"""API keys: kept as keyed hashes, so that neither the store nor a copy of it can act as anybody."""

import hmac
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from redis.asyncio import Redis

from redirector.errors import InvalidInput, KeyMissing, KeyNameTaken
from redirector.store.connection import as_bytes, store_errors, text
from redirector.store.keys import Keys

SCOPES: Final = ("mint", "read", "personal", "admin")
_KEY: Final = re.compile(r"rdr_([0-9a-f]{12})_([0-9a-f]{40})")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who holds a key, and what they may do."""

    id: str
    name: str
    scopes: frozenset[str]


class ApiKeys:
    """The keys of the catalog. `pepper` makes the hashes useless without the installation's secret."""

    def __init__(self, redis: Redis, keys: Keys, *, pepper: bytes) -> None:
        self._redis = redis
        self._keys = keys
        self._pepper = blake2b(pepper, digest_size=32, person=b"api keys").digest()

    async def create(
        self, name: str, scopes: Collection[str], *, now: int, entropy: bytes, replace: bool = False
    ) -> str:
        """Makes a key and returns it; it cannot be shown again. `entropy` is 26 random bytes.

        Raises InvalidInput on a bad name or an unknown scope, and KeyNameTaken.
        """
        _check(name, scopes)
        key_id, secret = entropy[:6].hex(), entropy[6:26].hex()
        record = {"name": name, "scopes": sorted(scopes), "hash": self._hash(secret), "created_at": now}
        for taken_id, taken in (await self._all()).items():
            if taken["name"] != name:
                continue
            if not replace:
                raise KeyNameTaken("there is a key of this name", field="NAME", part=name, remedy="choose another name")
            with store_errors():
                await self._redis.hdel(self._keys.api_keys, taken_id)
        with store_errors():
            await self._redis.hset(self._keys.api_keys, key_id, json.dumps(record))
        return f"rdr_{key_id}_{secret}"

    async def holder(self, key: str) -> ApiKey:
        """Whose key it is. Raises KeyMissing, the same way for every kind of wrong key."""
        match = _KEY.fullmatch(key)
        if match:
            with store_errors():
                stored = await self._redis.hget(self._keys.api_keys, match[1])
            record = json.loads(as_bytes(stored)) if stored is not None else {"hash": "", "name": "", "scopes": []}
            if hmac.compare_digest(str(record["hash"]), self._hash(match[2])):
                return ApiKey(match[1], str(record["name"]), frozenset(record["scopes"]))
        raise KeyMissing("the API key is not known", remedy="make one with `redirector keys create`")

    async def _all(self) -> dict[str, dict[str, object]]:
        with store_errors():
            stored = await self._redis.hgetall(self._keys.api_keys)
        return {text(key_id): json.loads(as_bytes(record)) for key_id, record in stored.items()}

    def _hash(self, secret: str) -> str:
        return blake2b(secret.encode(), key=self._pepper, digest_size=32).hexdigest()


def _check(name: str, scopes: Collection[str]) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "a key's name is 1 to 64 letters, digits, spaces, dots, dashes, underscores or @",
            field="NAME",
            part=name[:80],
            remedy="name it after the program that uses it",
        )
    for scope in scopes:
        if scope not in SCOPES:
            raise InvalidInput("there is no such scope", field="--scope", part=scope, remedy=f"use {', '.join(SCOPES)}")
    if not scopes:
        raise InvalidInput("a key needs a scope", field="--scope", remedy=f"use {', '.join(SCOPES)}")
