"""The click stream: appended to by recorders, read by a consumer group."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from hiredis import pack_command
from redis.asyncio import Redis
from redis.exceptions import InvalidResponse, NoScriptError, RedisError, ResponseError

from redirector.errors import StoreError, StoreUnavailable
from redirector.store.connection import (
    ANSWER_WITHIN_SECONDS,
    BLOCK_MS,
    UNREACHABLE,
    script,
    script_source,
    single_connection,
    store_errors,
    text,
)
from redirector.store.keys import Keys

# A batch is never sent again after this long, so its number need not be remembered longer.
REMEMBER_BATCHES_SECONDS: Final = 14 * 24 * 3600

_SHA: Final = re.compile(rb"[0-9a-f]{40}")

# A stream's entries, as the store answers with them: key, and id and fields (names and values in turn) of each.
_Reply = list[tuple[bytes, list[tuple[bytes, list[bytes]]]]]

# What the client stumbles over when a store that it greets answers with something of another kind.
_ODD_HANDSHAKE: Final = (AttributeError, TypeError, ValueError)


async def stream_length(redis: Redis, keys: Keys, *, shard: int = 0) -> int:
    """How many entries the stream has. Raises StoreError."""
    with store_errors():
        return int(await redis.xlen(keys.clicks(shard)))


class ClickAppender:
    """Appends batches over one connection of its own, one call at a time, none of which may be cancelled."""

    def __init__(self, url: str, keys: Keys, *, deadline_seconds: float, shard: int = 0) -> None:
        self.deadline_seconds = deadline_seconds
        self._connection = single_connection(url)
        self._open_within_seconds = max(deadline_seconds, ANSWER_WITHIN_SECONDS)
        self._keys = (keys.clicks(shard), shard)
        self._recorder_key = keys.recorder
        self._source = script_source("append")
        self._sha = b""

    async def open(self) -> None:
        """Connects, and teaches the store the script. Raises StoreUnavailable."""
        try:
            async with asyncio.timeout(self._open_within_seconds):
                await self._connection.disconnect()
                await self._connection.connect()  # type: ignore[no-untyped-call] # redis-py leaves it untyped
                await self._connection.send_command("SCRIPT", "LOAD", self._source)
                self._sha = _sha(await self._connection.read_response())
        except (RedisError, *UNREACHABLE, *_ODD_HANDSHAKE) as error:
            await self.close()
            raise StoreUnavailable(f"the store cannot be reached: {_why(error)}") from error

    async def append(self, recorder: str, number: int, clicks: Sequence[bytes]) -> None:
        """Appends a batch of packed clicks, once, however often it is called with the same recorder and number.

        Returns when the store has acknowledged it. Raises StoreUnavailable on any doubt: the connection is then
        closed, and the batch may or may not be in the stream.
        """
        clicks_key, shard = self._keys
        arguments = (2, clicks_key, self._recorder_key(recorder, shard), number, REMEMBER_BATCHES_SECONDS, *clicks)
        try:
            async with asyncio.timeout(self.deadline_seconds):
                try:
                    await self._call("EVALSHA", self._sha, arguments)
                except NoScriptError:
                    await self._call("EVAL", self._source, arguments)
        except (RedisError, *UNREACHABLE) as error:
            await self.close()
            raise StoreUnavailable(f"the batch was not acknowledged: {_why(error)}") from error

    async def _call(self, command: str, what: bytes, arguments: Sequence[Any]) -> None:
        # hiredis packs a batch of 64 clicks in 9 us; the client's own packing takes 38 us, and comes in many pieces.
        await self._connection.send_packed_command(pack_command((command, what, *arguments)))
        reply = await self._connection.read_response()
        if type(reply) is not int or reply not in {0, 1}:
            raise InvalidResponse(f"{reply!r:.100} is no acknowledgement")

    async def close(self) -> None:
        """Closes the connection; `open` makes a new one."""
        await self._connection.disconnect(nowait=True)


def _why(error: Exception) -> str:
    return str(error) or "no answer in time"  # a TimeoutError has no words of its own


def _sha(reply: object) -> bytes:
    """The name under which the store keeps a script. Raises InvalidResponse."""
    if not isinstance(reply, bytes) or not _SHA.fullmatch(reply):
        raise InvalidResponse(f"{reply!r:.100} is no script's name")
    return reply


class Entry(NamedTuple):
    """An entry of the stream, as it lies there: `flat` are the names and values of its fields in turn."""

    id: str
    flat: Sequence[bytes]

    @classmethod
    def of(cls, entry_id: str, fields: Mapping[bytes, bytes]) -> "Entry":
        """An entry with these fields."""
        return cls(entry_id, [part for field in fields.items() for part in field])

    @property
    def fields(self) -> dict[bytes, bytes]:
        """Each name with its value."""
        return dict(zip(self.flat[::2], self.flat[1::2], strict=True))


# An entry as a plain pair, for who reads many: to make an `Entry` and take it apart takes 1,400 instructions more.
IdAndFields = tuple[str, Sequence[bytes]]


class Taken(NamedTuple):
    """Ids of entries, in ascending order, and the last one that the group was given by now."""

    last_given: str
    ids: list[str]


class ClickStream:
    """The stream as one consumer of a group sees it. An entry is pending until it is acknowledged."""

    def __init__(self, redis: Redis, keys: Keys, *, group: str, consumer: str, shard: int = 0) -> None:
        self._redis = redis
        self._reading = Redis(connection_pool=redis.connection_pool)
        self._reading.set_response_callback("XREAD", _entries)
        self._key = keys.clicks(shard)
        self._counted_to_key = keys.counted_to(group, shard)
        self._forget = script(redis, "forget")
        self._take = script(redis, "take")
        self.group = group
        self.consumer = consumer

    async def join(self) -> None:
        """Creates the group, unless it is there: at the stream's beginning, or behind what it has counted already.

        A group that was destroyed so counts nothing twice; what it was given and had not counted is passed over.
        """
        with store_errors():
            if await self._redis.exists(self._key) and await self._its_group():
                return
            try:
                await self._redis.xgroup_create(self._key, self.group, id=await self._beginning(), mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def _beginning(self) -> str:
        counted_to = text(await self._redis.get(self._counted_to_key))
        if not counted_to or not await self._redis.exists(self._key):
            return "0"
        # Not of the newest entry that is still there: it may have been erased.
        newest = (await self._redis.xinfo_stream(self._key))["last-generated-id"]
        try:
            # A stream that is younger than what was counted is another stream.
            is_another = place_of(text(newest)) < place_of(counted_to)
        except ValueError:
            raise StoreError(
                f"{self._counted_to_key} does not say how far the clicks were counted",
                part=counted_to,
                remedy="set it to the id of the newest entry that was, or delete it to count the whole stream again",
            ) from None
        return "0" if is_another else counted_to

    async def _its_group(self) -> dict[str, Any] | None:
        groups = await self._redis.xinfo_groups(self._key)
        return next((group for group in groups if text(group["name"]) == self.group), None)

    async def forget_consumers(self, *, idle_ms: int) -> None:
        """Removes consumers from the group that have nothing pending, and were not heard of for so long.

        One that lives nevertheless is in the group again with the next entry that it is given.
        """
        with store_errors():
            await self._forget(keys=[self._key], args=[self.group, idle_ms])

    async def mine(self, limit: int, *, after: str = "0") -> list[str]:
        """The ids of the oldest entries behind `after` that this consumer was given and has not acknowledged."""
        with store_errors():
            reply = await self._redis.xreadgroup(self.group, self.consumer, {self._key: after}, count=limit)
            return [text(entry_id) for _, entries in cast("_Reply", reply) for entry_id, _ in entries]

    async def behind(self, place: tuple[int, int], limit: int, *, wait_seconds: float = 0.0) -> list[IdAndFields]:
        """The next entries behind a place, for everybody to read; may wait a little for them, half a second at most."""
        block_ms = min(int(wait_seconds * 1000), BLOCK_MS) or None
        with store_errors():
            entries: Any = await self._reading.xread({self._key: f"{place[0]}-{place[1]}"}, count=limit, block=block_ms)
            return list(entries)

    async def take(self, limit: int, *, after: str, up_to: str = "") -> Taken:
        """The ids of the next entries that nobody in the group was given yet, now this consumer's.

        None behind `up_to`, if it is given. None at all are taken if the last that was given out is not `after`: then
        the answer says only which it is. Raises StoreError.
        """
        with store_errors():
            reply = await self._take(keys=[self._key], args=[self.group, self.consumer, after, limit, up_to])
            return Taken(text(reply[0]), [entry_id.decode() for entry_id in reply[1]])

    async def claim(self, limit: int, *, idle_ms: int) -> list[str]:
        """The ids of entries that a consumer was given `idle_ms` ago or longer and did not acknowledge: now this one's.

        Those among them that were deleted from the stream are nobody's any more.
        """
        with store_errors():
            _, claimed, deleted = await self._redis.xautoclaim(
                self._key, self.group, self.consumer, idle_ms, "0-0", count=limit
            )
            ids = [text(entry_id) for entry_id, _ in claimed] + [text(entry_id) for entry_id in deleted]
            return sorted(ids, key=place_of)

    async def times_given(self, entry_id: str) -> int:
        """How many times a pending entry was given to a consumer; 0 when it is not this one's."""
        with store_errors():
            pending = await self._redis.xpending_range(
                self._key, self.group, min=entry_id, max=entry_id, count=1, consumername=self.consumer
            )
            return int(pending[0]["times_delivered"]) if pending else 0

    async def lag(self) -> int | None:
        """How many clicks the group has yet to count, pending ones included; None when the store cannot say."""
        with store_errors():
            group = await self._its_group()
            if group is None or group.get("lag") is None:
                return None
            return int(group["lag"]) + int(group["pending"])


def place_of(entry_id: bytes | str) -> tuple[int, int]:
    """Where an entry of this id stands in the stream: a moment in Unix ms, and a number within it. Or ValueError."""
    milliseconds, _, number = (entry_id if isinstance(entry_id, str) else text(entry_id)).partition("-")
    return _whole(milliseconds), _whole(number)


# Where clicks are many, many come in one millisecond, and are numbered from 0 in it: to look a number up takes a third
# of reading 13 digits.
_whole: Final = lru_cache(maxsize=1_024)(int)


def _entries(response: Any, **_: Any) -> list[IdAndFields]:
    """The entries of one stream, {key: [[id, [name, value, ...]], ...]}, or of RESP 2's [[key, [...]]], or of nothing.

    Without the dictionary that the client makes of each, reading a click takes 1.1 us less.
    """
    of_keys = response.values() if isinstance(response, dict) else (entries for _, entries in response or ())
    entries = [(entry_id.decode(), flat) for of_key in of_keys for entry_id, flat in of_key]
    if not {type(flat) for _, flat in entries} <= {list}:
        raise InvalidResponse("an entry without fields")
    return entries
