"""A network between the program and its store, which can be made to fail while it is in use."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal, Self

Kind = Literal["pass", "delay", "stall", "swallow", "reset", "truncate", "cut", "answer"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the network does to what passes.

    `delay`: everything comes late, each time by what `delay_seconds` says. `stall`: nothing passes until the trouble is
    over. `swallow`: requests arrive, and their replies do not. `reset`: connections are reset as soon as they are used.
    `truncate`: half a request arrives, and then the connection is reset. `cut`: half a reply arrives, and then the
    connection ends. `answer`: every request is answered with these words, and does not arrive.
    """

    kind: Kind = "pass"
    delay_seconds: Callable[[], float] = float
    words: str = ""


class Proxy:
    """Leads a TCP port of this machine to a store's unix socket, from a thread of its own."""

    def __init__(self, store_socket: str) -> None:
        self._store_socket = store_socket
        self._trouble = Trouble()
        self._over = asyncio.Event()
        self._spoiled: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._relay, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def trouble(self, trouble: Trouble) -> Iterator[None]:
        """The network fails in this way while the block lasts; connections that it spoiled are then reset."""
        self._run(self._set(trouble))
        try:
            yield
        finally:
            self._run(self._set(Trouble()))

    def _run(self, act: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(act, self._loop).result(30)

    async def _set(self, trouble: Trouble) -> None:
        self._trouble = trouble
        if trouble.kind == "pass":
            self._over.set()
            while self._spoiled:
                _reset(self._spoiled.pop())
        else:
            self._over = asyncio.Event()

    async def _end(self) -> None:
        self._server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            store_reader, store_writer = await asyncio.open_unix_connection(self._store_socket)
        except OSError:
            _reset(writer)
            return
        with suppress(asyncio.CancelledError):
            await asyncio.gather(self._requests(reader, writer, store_writer), self._replies(store_reader, writer))

    async def _requests(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, store: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 20):
                await self._wait()
                match self._trouble.kind:
                    case "reset":
                        _reset(client)
                        break
                    case "truncate":
                        store.write(data[: len(data) // 2])
                        _reset(client)
                        break
                    case "answer":
                        self._spoiled.append(client)
                        client.write(f"{self._trouble.words}\r\n".encode())
                    case _:
                        store.write(data)
        store.close()

    async def _replies(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 20):
                await self._wait()
                match self._trouble.kind:
                    case "swallow":
                        self._spoiled.append(client)
                    case "cut":
                        client.write(data[: len(data) // 2])
                        break
                    case _:
                        client.write(data)
        client.close()

    async def _wait(self) -> None:
        if self._trouble.kind == "delay":
            await asyncio.sleep(self._trouble.delay_seconds())
        if self._trouble.kind == "stall":
            await self._over.wait()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection as a reboot of the other side does."""
    end = writer.get_extra_info("socket")
    if end is not None and not writer.transport.is_closing():
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
