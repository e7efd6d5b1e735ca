"""API keys: kept as keyed hashes, so that neither the store nor a copy of it can act as anybody."""

import hmac
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import WatchError

from redirector.errors import InvalidInput, KeyMissing, KeyNameTaken, StoreError
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


class _Record(NamedTuple):
    name: str
    scopes: frozenset[str]
    hash: str


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
        while not await self._put(key_id, record, replace=replace):
            pass  # somebody else made a key in between: see whether its name was this one
        return f"rdr_{key_id}_{secret}"

    async def _put(self, key_id: str, record: dict[str, object], *, replace: bool) -> bool:
        """Whether the key could be stored before any other key changed. Raises KeyNameTaken."""
        name, key = str(record["name"]), self._keys.api_keys
        with store_errors():
            async with self._redis.pipeline(transaction=True) as transaction:
                await transaction.watch(key)
                known: Any = await transaction.hgetall(key)  # at once, because the key is watched
                taken = [text(other) for other, stored in known.items() if _record(other, stored).name == name]
                if taken and not replace:
                    raise KeyNameTaken(
                        "there is a key of this name", field="NAME", part=name, remedy="choose another name"
                    )
                transaction.multi()  # type: ignore[no-untyped-call] # redis-py leaves it untyped
                for other in taken:
                    transaction.hdel(key, other)
                transaction.hset(key, key_id, json.dumps(record))
                try:
                    await transaction.execute()
                except WatchError:
                    return False
        return True

    async def all_records(self) -> dict[str, bytes]:
        """Every key's record by its id, as the store keeps it: with the hash of the key, not the key."""
        with store_errors():
            known: Any = await self._redis.hgetall(self._keys.api_keys)
        return {text(key_id): as_bytes(record) for key_id, record in known.items()}

    async def restore(self, key_id: str, record: bytes) -> bool:
        """Puts a key's record back, unless there is a key of this id or name; answers whether it did."""
        name = _record(key_id, record).name
        known = await self.all_records()
        if key_id in known or name in {_record(other, stored).name for other, stored in known.items()}:
            return False
        with store_errors():
            return bool(await self._redis.hsetnx(self._keys.api_keys, key_id, record))

    async def holder(self, key: str) -> ApiKey:
        """Whose key it is. Raises KeyMissing, the same way for every kind of wrong key."""
        match = _KEY.fullmatch(key)
        if match:
            with store_errors():
                stored = await self._redis.hget(self._keys.api_keys, match[1])
            record = _Record("", frozenset(), "") if stored is None else _record(match[1], stored)
            if hmac.compare_digest(record.hash.encode(), self._hash(match[2]).encode()):
                return ApiKey(match[1], record.name, record.scopes)
        raise KeyMissing("the API key is not known", remedy="make one with `redirector keys create`")

    def _hash(self, secret: str) -> str:
        return blake2b(secret.encode(), key=self._pepper, digest_size=32).hexdigest()


def _record(key_id: bytes | str, stored: bytes | str) -> _Record:
    try:
        known = json.loads(stored)
        return _Record(str(known["name"]), frozenset(map(str, known["scopes"])), str(known["hash"]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StoreError(f"the store's record of the API key {text(key_id)} cannot be read: {error!r}") from None


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
