"""Connections fail soon, and in the program's own words."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from redirector.errors import StoreError, StoreUnavailable
from redirector.store.campaigns import Campaigns
from redirector.store.changes import Changes
from redirector.store.clicks import ClickStream
from redirector.store.connection import as_bytes, connected, store_errors, text
from redirector.store.counters import Counters
from redirector.store.keys import Keys
from redirector.store.links import Links
from redirector.store.salts import DailySalt
from tests.builders import NOON
from tests.store.stores import asked, on_both_stores, own_store, relayed, until_closed


async def until_noticed(client: Redis) -> None:
    """Waits until the loop has seen the end of the client's idle connection."""
    (connection,) = client.connection_pool._available_connections
    await until_closed(connection)


async def test_replies_are_bytes(redis: Redis) -> None:
    """A client's replies are bytes, for the program to decode."""
    assert isinstance(await redis.echo("héllo"), bytes)


async def test_nobody_there_is_said_soon(directory: Path) -> None:
    """Where no store listens, the error says so at once, and what to do."""
    async with connected(f"unix://{directory}/none.sock") as client:
        with pytest.raises(StoreUnavailable, match=r"does not answer.*see that it runs"), store_errors():
            await client.ping()


async def test_a_silent_store_is_given_up(directory: Path) -> None:
    """A store that takes connections and never answers is given up after the time-out, once, without retries."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    mute = str(directory / "mute.sock")
    async with (
        await asyncio.start_unix_server(say_nothing, mute),
        connected(f"unix://{mute}", answer_within_seconds=0.1) as client,
    ):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable), store_errors():
            await client.ping()

    assert 0.1 <= time.monotonic() - began < 1


async def test_a_connection_that_was_reset_is_a_store_out_of_reach(store_url: str) -> None:
    """A reset of the connection is StoreUnavailable like any other loss of it, and the next command works again."""
    async with relayed(store_url) as (url, reset), connected(url) as client:
        await client.ping()
        reset()
        await until_noticed(client)

        with pytest.raises(StoreUnavailable), store_errors():
            await client.ping()
        assert await client.ping()


@on_both_stores
async def test_a_missing_password_is_said(kind: str, directory: Path) -> None:
    """A store that wants a password says so to who has none, and serves who has it."""
    with own_store(kind, directory) as url:
        with asked(url) as admin:
            admin.config_set("requirepass", "geheim")
        async with connected(url) as stranger, connected(url + "?password=geheim") as friend:
            with pytest.raises(StoreUnavailable, match="has its password"), store_errors():
                await stranger.get("x")
            assert await friend.get("x") is None


async def test_a_refused_command_is_no_outage(redis: Redis) -> None:
    """An error that the store answers with is a StoreError, but not StoreUnavailable: asking again will not help."""
    with pytest.raises(StoreError, match="refused a command") as raised, store_errors():
        await redis.execute_command("NO-SUCH-COMMAND")  # type: ignore[no-untyped-call]

    assert not isinstance(raised.value, StoreUnavailable)


async def test_more_tasks_than_connections_wait_for_one(store_url: str) -> None:
    """A hundred tasks share the pool's connections instead of failing for want of one."""
    async with connected(store_url) as client:
        answers = await asyncio.gather(*(client.echo(str(number)) for number in range(100)))

    assert answers == [str(number).encode() for number in range(100)]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(b"solar", "solar", id="bytes"),
        pytest.param("solar", "solar", id="text"),
        pytest.param(None, "", id="nothing"),
        pytest.param(b"\xff", "\ufffd", id="no UTF-8"),
    ],
)
def test_a_reply_as_text(reply: bytes | str | None, expected: str) -> None:
    """Whatever a reply holds, it has a text."""
    assert text(reply) == expected


@pytest.mark.parametrize("reply", [pytest.param("é", id="text"), pytest.param("é".encode(), id="bytes")])
def test_a_reply_as_bytes(reply: bytes | str) -> None:
    """A reply's bytes are the same whether the client decoded it or not."""
    assert as_bytes(reply) == "é".encode()


ASKED: dict[str, Callable[[Redis, Keys], Awaitable[object]]] = {
    "a link": lambda redis, keys: Links(redis, keys).record(1),
    "links": lambda redis, keys: Links(redis, keys).records([1, 2]),
    "the last number": lambda redis, keys: Links(redis, keys).last_number(),
    "a campaign": lambda redis, keys: Campaigns(redis, keys).get("news"),
    "campaigns": lambda redis, keys: Campaigns(redis, keys).records(["news"]),
    "the last change": lambda redis, keys: Changes(redis, keys).last_id(),
    "changes": lambda redis, keys: Changes(redis, keys).since("0-0", wait=False),
    "what was trimmed": lambda redis, keys: Changes(redis, keys).only_trimmed("1-0"),
    "clicks": lambda redis, keys: ClickStream(redis, keys, group="g", consumer="c").behind((0, 0), 1),
    "clicks to count": lambda redis, keys: ClickStream(redis, keys, group="g", consumer="c").take(1, after="0-0"),
    "clicks of others": lambda redis, keys: ClickStream(redis, keys, group="g", consumer="c").claim(1, idle_ms=1),
    "totals": lambda redis, keys: Counters(redis, keys).totals(),
    "the salt": lambda redis, keys: DailySalt(redis, keys).refresh(NOON, lambda: b"salt"),
}


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[Redis]:
    """A client of something that has one answer to everything."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := await reader.read(65_536):
            writer.write(answer * (1 + asked.count(b"\r\n*")))
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as listener:
        host, port = listener.sockets[0].getsockname()
        async with connected(f"redis://{host}:{port}") as redis:
            yield redis


@pytest.mark.parametrize("answer", [b":42\r\n", b"*1\r\n:42\r\n"], ids=["a number", "a list of a number"])
@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED.keys())
async def test_reply_of_another_kind_is_an_error_of_the_store(
    ask: Callable[[Redis, Keys], Awaitable[object]], answer: bytes
) -> None:
    """Whatever answers in the store's place, its callers meet one kind of error."""
    async with answering(answer) as redis:
        with pytest.raises(StoreError):
            await ask(redis, Keys())


async def test_an_entry_without_fields_is_an_error_of_the_store() -> None:
    """No store has one; whoever reads clicks need not look whether each has fields."""
    async with answering(b"*1\r\n*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$3\r\n1-0\r\n:42\r\n") as redis:
        with pytest.raises(StoreError):
            await ASKED["clicks"](redis, Keys())


async def test_an_id_that_is_no_text_is_an_error_of_the_store() -> None:
    """Of the clicks to count, too, whose ids alone come back."""
    async with answering(b"*2\r\n$3\r\n1-0\r\n*1\r\n$1\r\n\xff\r\n") as redis:
        with pytest.raises(StoreError):
            await ASKED["clicks to count"](redis, Keys())
