"""API keys: kept as keyed hashes, so that neither the store nor a copy of it can act as anybody.

A key has 160 random bits: nobody finds one by trying, however fast. Each request asks the store, so that a key that
was revoked is not taken anywhere from that moment on.
"""

import hmac
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import WatchError

from redirector.errors import InvalidInput, KeyMissing, KeyNameTaken, StoreError, UnknownKey
from redirector.store.connection import as_bytes, store_errors, text
from redirector.store.key_records import KeyRecord, key_from, key_record
from redirector.store.keys import Keys

# None of them includes another: who may do everything has all of them.
SCOPES: Final = ("mint", "read", "personal", "admin")

DAY_MS: Final = 24 * 3600 * 1000

_KEY: Final = re.compile(r"rdr_([0-9a-f]{12})_([0-9a-f]{40})")
_KEY_ID: Final = re.compile(r"[0-9a-f]{12}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who holds a key, and what they may do; `destinations` are the domains that its links may lead to, none: any."""

    id: str
    name: str
    scopes: frozenset[str]
    destinations: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as its operator sees it. Moments are in Unix ms; `last_used` is the day's first one."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: int
    expires_at: int | None
    last_used: int | None
    destinations: tuple[str, ...]


class ApiKeys:
    """The keys of the catalog. `pepper` makes the hashes useless without the installation's secret."""

    def __init__(self, redis: Redis, keys: Keys, *, pepper: bytes) -> None:
        self._redis = redis
        self._keys = keys
        self._pepper = blake2b(pepper, digest_size=32, person=b"api keys").digest()
        self._used: dict[str, int] = {}  # the day on which the store was last told of a key's use

    async def create(
        self,
        name: str,
        scopes: Collection[str],
        *,
        now: int,
        entropy: bytes,
        expires_at: int | None = None,
        destinations: Iterable[str] = (),
        replace: bool = False,
    ) -> str:
        """Makes a key and returns it; it cannot be shown again. `entropy` is 26 random bytes.

        Raises InvalidInput on a bad name or an unknown scope, and KeyNameTaken.
        """
        _check(name, scopes)
        key_id, secret = entropy[:6].hex(), entropy[6:26].hex()
        record = KeyRecord(name, frozenset(scopes), self._hash(secret), now, expires_at, frozenset(destinations))
        while not await self._put(key_id, record, replace=replace):
            pass  # somebody else made a key in between: see whether its name was this one
        return f"rdr_{key_id}_{secret}"

    async def _put(self, key_id: str, record: KeyRecord, *, replace: bool) -> bool:
        """Whether the key could be stored before any other key changed. Raises KeyNameTaken."""
        key = self._keys.api_keys
        with store_errors():
            async with self._redis.pipeline(transaction=True) as transaction:
                await transaction.watch(key)
                known: Any = await transaction.hgetall(key)  # at once, because the key is watched
                taken = [other for other, stored in _records(known).items() if stored.name == record.name]
                if taken and not replace:
                    raise KeyNameTaken(
                        "there is a key of this name",
                        field="NAME",
                        part=record.name,
                        remedy="choose another name, or `redirector keys revoke` it first",
                    )
                transaction.multi()  # type: ignore[no-untyped-call] # redis-py leaves it untyped
                for other in taken:
                    transaction.hdel(key, other)
                    transaction.hdel(self._keys.api_keys_used, other)
                transaction.hset(key, key_id, key_record(record))
                try:
                    await transaction.execute()
                except WatchError:
                    return False
        return True

    async def listed(self) -> list[ListedKey]:
        """Every key, by its name."""
        with store_errors():
            used: Any = await self._redis.hgetall(self._keys.api_keys_used)
        days = {text(key_id): int(day) for key_id, day in used.items() if day.isdigit() and len(day) < 7}
        listed = [
            ListedKey(
                id=key_id,
                name=record.name,
                scopes=tuple(scope for scope in SCOPES if scope in record.scopes),
                created_at=record.created_at,
                expires_at=record.expires_at,
                last_used=days[key_id] * DAY_MS if key_id in days else None,
                destinations=tuple(sorted(record.destinations)),
            )
            for key_id, record in _records(await self.all_records()).items()
        ]
        return sorted(listed, key=lambda key: key.name)

    async def find(self, name_or_id: str) -> ListedKey:
        """The key of this id or name. Raises UnknownKey."""
        for key in await self.listed():
            if name_or_id in {key.id, key.name}:
                return key
        raise UnknownKey(
            "there is no key of this name or id", field="NAME", part=name_or_id, remedy="see `redirector keys list`"
        )

    async def revoke(self, key_id: str) -> bool:
        """Ends a key for good, also for a backup that has it; answers whether it was there.

        Raises StoreError, also when a full store deleted the key and could not note that for backups.
        """
        with store_errors():
            # The key goes first, and alone: a store that is full still deletes, and takes nothing else.
            removed = await self._redis.hdel(self._keys.api_keys, key_id)
            await self._redis.hdel(self._keys.api_keys_used, key_id)
            await self._redis.sadd(self._keys.api_keys_revoked, key_id)
        return bool(removed)

    async def all_records(self) -> dict[str, bytes]:
        """Every key's record by its id, as the store keeps it: with the hash of the key, not the key."""
        with store_errors():
            known: Any = await self._redis.hgetall(self._keys.api_keys)
        return {text(key_id): as_bytes(record) for key_id, record in known.items()}

    async def restore(self, key_id: str, record: bytes) -> bool:
        """Puts a key's record back, unless it was revoked here or another has its id or name; answers whether."""
        name = key_from(key_id, record).name
        known = _records(await self.all_records())
        if key_id in known or name in {other.name for other in known.values()}:
            return False
        with store_errors():
            if await self._redis.sismember(self._keys.api_keys_revoked, key_id):
                return False
            return bool(await self._redis.hsetnx(self._keys.api_keys, key_id, record))

    async def holder(self, key: str, *, now: int) -> ApiKey:
        """Whose key it is at `now` (Unix ms).

        Raises KeyMissing, the same way for every key that is wrong, was revoked or has expired.
        """
        match = _KEY.fullmatch(key)
        if match:
            with store_errors():
                stored = await self._redis.hget(self._keys.api_keys, match[1])
            record = _NOBODY if stored is None else key_from(match[1], stored)
            is_right = hmac.compare_digest(record.hash.encode(), self._hash(match[2]).encode())
            if is_right and (record.expires_at is None or now < record.expires_at):
                await self._note_use(match[1], now // DAY_MS)
                return ApiKey(match[1], record.name, record.scopes, record.destinations)
        raise KeyMissing("the API key is not known", remedy="make one with `redirector keys create`")

    async def _note_use(self, key_id: str, day: int) -> None:
        """Once a day, from each process; a store that takes no writes now is told with a later request."""
        if self._used.get(key_id) == day:
            return
        with suppress(StoreError), store_errors():
            await self._redis.hset(self._keys.api_keys_used, key_id, day)
            self._used[key_id] = day

    def _hash(self, secret: str) -> str:
        return blake2b(secret.encode(), key=self._pepper, digest_size=32).hexdigest()


_NOBODY: Final = KeyRecord("", frozenset(), "")


def _records(stored: Mapping[Any, bytes | str]) -> dict[str, KeyRecord]:
    return {text(key_id): key_from(text(key_id), record) for key_id, record in stored.items()}


def _check(name: str, scopes: Collection[str]) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "a key's name is 1 to 64 letters, digits, spaces, dots, dashes, underscores or @",
            field="NAME",
            part=name[:80],
            remedy="name it after the program that uses it",
        )
    if _KEY_ID.fullmatch(name):
        raise InvalidInput(
            "a key's name must not look like a key's id", field="NAME", part=name, remedy="choose another name"
        )
    for scope in scopes:
        if scope not in SCOPES:
            raise InvalidInput("there is no such scope", field="--scope", part=scope, remedy=f"use {', '.join(SCOPES)}")
    if not scopes:
        raise InvalidInput("a key needs a scope", field="--scope", remedy=f"use {', '.join(SCOPES)}")
