"""The short way past ASGI: what is taken is answered as HTTP wants it; what is not goes on as if nothing had been."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from redirector.web import server
from redirector.web.short_way import SendHead
from tests.store.stores import until
from tests.web.apps import on_a_port
from tests.web.sockets import Reply, connections, exchange, parsed, replies, request


class TwoWays:
    """Takes what is asked for below /short, and answers it when it is told to, or else at once; the rest by ASGI."""

    def __init__(self, *, waits: bool = False) -> None:
        self.taken: list[Scope] = []
        self.by_asgi: list[str] = []
        self.waiting: list[Callable[[], None]] = []
        self._waits = waits

    def take(self, scope: Scope, send_head: SendHead) -> bool:
        """Whether it is below /short."""
        if scope["raw_path"] == b"/short/bad":
            raise RuntimeError("nobody foresaw it")
        if not scope["raw_path"].startswith(b"/short"):
            return False
        self.taken.append(scope)

        def answer() -> None:
            send_head(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\npath: " + scope["raw_path"] + b"\r\n")

        if self._waits:
            self.waiting.append(answer)
        else:
            asyncio.get_running_loop().call_soon(answer)
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with the query and the length of the body."""
        self.by_asgi.append(scope["path"])
        body = await Request(scope, receive).body()
        query = scope["query_string"].decode()
        await PlainTextResponse(f"{query} {len(body)}", headers={"path": scope["path"]})(scope, receive, send)

    async def until_waiting(self) -> None:
        """Returns when a request was taken and waits for its answer."""
        await until(lambda: bool(self.waiting))


async def answers_to(app: TwoWays, sent: bytes, method: str = "GET") -> list[Reply]:
    """What comes back over one connection."""
    async with on_a_port(app) as address:
        return replies(await exchange(address, sent), method=method)


def paths(answers: list[Reply]) -> list[bytes | None]:
    """What the answers answer."""
    return [answer.header("path") for answer in answers]


async def test_what_is_taken_never_comes_to_asgi() -> None:
    """The app has what it looks at: method, path without its query, headers by lower-case names, and client."""
    app = TwoWays()

    (answer,) = await answers_to(app, request("GET", "/short/a?b=c", [("User-Agent", "Browser")]))

    assert (answer.status, answer.header("path"), answer.body) == (200, b"/short/a", b"")
    assert app.by_asgi == []
    (scope,) = app.taken
    assert (scope["method"], scope["raw_path"], scope["client"][0]) == ("GET", b"/short/a", "127.0.0.1")
    assert (b"user-agent", b"Browser") in scope["headers"]


async def test_answer_has_the_servers_own_headers() -> None:
    """The date stands there, and the end of the connection, as in every other answer."""
    (answer,) = await answers_to(TwoWays(), request("GET", "/short"))

    assert [name for name, _ in answer.headers] == [b"content-length", b"path", b"date", b"connection"]


async def test_what_is_not_taken_comes_to_asgi_whole() -> None:
    """With its query and its body, and what it expects of the server before it sends that."""
    app = TwoWays()
    sent = (
        b"POST /long?a=b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    )

    async with on_a_port(app) as address:
        received = await exchange(address, sent + b"12345")

    go_on, _, rest = received.partition(b"\r\n\r\n")
    assert go_on == b"HTTP/1.1 100 Continue"
    assert parsed(rest).body == b"a=b 5"
    assert app.taken == []


async def test_what_fails_on_the_short_way_goes_the_long_one() -> None:
    """An error that nobody foresaw costs nobody the answer."""
    app = TwoWays()

    (answer,) = await answers_to(app, request("GET", "/short/bad"))

    assert answer.status == 200
    assert app.by_asgi == ["/short/bad"]


ENDS = {
    "asked to": b"GET /short HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "HTTP/1.0": b"GET /short HTTP/1.0\r\n\r\n",
    "HTTP/1.0 that would rather not": b"GET /short HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
}


@pytest.mark.parametrize("sent", ENDS.values(), ids=ENDS.keys())
async def test_connection_ends_when_it_should(sent: bytes) -> None:
    """Where the client does not keep connections, the answer says that it is the last, and is."""
    (answer,) = await answers_to(TwoWays(), sent)

    assert answer.header("connection") == b"close"


MIXED = ["/short/1", "/short/2", "/long/3", "/short/4", "/long/5", "/long/6", "/short/7"]


@pytest.mark.parametrize("waits", [False, True], ids=["answered soon", "answered late"])
async def test_answers_come_in_the_order_of_their_requests(waits: bool) -> None:
    """Of requests that came in one piece, none overtakes another, whichever way each goes."""
    app = TwoWays(waits=waits)
    sent = b"".join(request("GET", path, close=path is MIXED[-1]) for path in MIXED)
    async with on_a_port(app) as address:
        receiving = asyncio.create_task(exchange(address, sent))
        if waits:
            await app.until_waiting()
            await asyncio.sleep(0.05)  # in which nothing may come that should be behind it
            app.waiting[0]()

        received = await receiving

    assert paths(replies(received)) == [path.encode() for path in MIXED]


async def test_many_requests_in_one_piece_are_answered() -> None:
    """As many as a read brings: none is answered out of the answer to another, which would end in a recursion."""
    many = [f"/short/{number}" for number in range(3_000)]

    answers = await answers_to(TwoWays(), b"".join(request("GET", path, close=path is many[-1]) for path in many))

    assert paths(answers) == [path.encode() for path in many]


BODIES = {
    "a length": b"GET /short/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70_000,
    "chunks": b"GET /short/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("waits", [False, True], ids=["answered soon", "answered late"])
@pytest.mark.parametrize("sent", BODIES.values(), ids=BODIES.keys())
async def test_body_of_what_is_taken_is_passed_over(sent: bytes, waits: bool) -> None:
    """Nobody reads it, and the next request is where it ends."""
    app = TwoWays(waits=waits)
    async with on_a_port(app) as address:
        receiving = asyncio.create_task(exchange(address, sent + request("GET", "/long/2")))
        if waits:
            await app.until_waiting()
            app.waiting[0]()

        received = await receiving

    assert paths(replies(received)) == [b"/short/1", b"/long/2"]


async def test_client_that_went_away_is_not_answered() -> None:
    """The answer comes too late, and disturbs nobody."""
    app = TwoWays(waits=True)
    async with on_a_port(app) as address:
        _, writer = await asyncio.open_connection(*address)
        writer.write(request("GET", "/short/1"))
        await app.until_waiting()
        writer.transport.abort()
        await asyncio.sleep(0.1)

        app.waiting[0]()

        assert parsed(await exchange(address, request("GET", "/long"))).status == 200


async def test_stopping_finishes_what_was_taken() -> None:
    """A request that waits for its answer when the server stops has it, and is told that it is the last."""
    app = TwoWays(waits=True)
    async with on_a_port(app) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(request("GET", "/short/1", close=False))
        await app.until_waiting()
        asyncio.get_running_loop().call_later(0.3, app.waiting[0])

    answer = parsed(await reader.read())
    assert (answer.status, answer.header("connection")) == (200, b"close")
    writer.close()


async def test_client_that_reads_nothing_is_waited_for() -> None:
    """Who asks for one answer after the other and reads none gets no more of them than its connection holds."""
    app = TwoWays()
    path = "/short/" + "a" * 30_000
    async with on_a_port(app) as address:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, address)
            asked = 0
            with suppress(TimeoutError):
                while asked < 2_000:
                    await loop.sock_sendall(client, request("GET", path, close=False))
                    asked += 1
                    async with asyncio.timeout(1):
                        while len(app.taken) < asked:  # noqa: ASYNC110 - what is waited for sets no event
                            await asyncio.sleep(0)

            assert 0 < len(app.taken) < asked < 2_000


async def test_connection_that_ended_leaves_nothing_behind() -> None:
    """No timer keeps it, which would be five seconds of everything that was ever connected."""
    async with on_a_port(TwoWays()) as address:
        before = len(connections())
        await exchange(address, request("GET", "/short"))
        _, writer = await asyncio.open_connection(*address)
        writer.write(request("GET", "/short", close=False))
        await asyncio.sleep(0.1)
        writer.close()
        await asyncio.sleep(0.1)

        assert len(connections()) == before


@pytest.fixture
def short_idling(monkeypatch: pytest.MonkeyPatch) -> float:
    """How long a connection may be idle, so short that a test can wait for it."""
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.4)
    return 0.4


@pytest.mark.parametrize("path", ["/short", "/long"])
async def test_idle_connection_is_closed(short_idling: float, path: str) -> None:
    """It is kept for so long after the last answer, and not after the first."""
    async with on_a_port(TwoWays()) as address:
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(4):
            writer.write(request("GET", path, close=False))
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(short_idling / 2)
        began = time.monotonic() - short_idling / 2

        await reader.read()

        assert short_idling * 0.9 < time.monotonic() - began < short_idling * 3
        writer.close()


async def test_connection_whose_request_waits_is_not_idle(short_idling: float) -> None:
    """However long an answer takes, its connection stays."""
    app = TwoWays(waits=True)
    async with on_a_port(app) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(request("GET", "/long", close=False))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(request("GET", "/short/1"))
        await app.until_waiting()
        await asyncio.sleep(short_idling * 3)

        app.waiting[0]()

        assert b"path: /short/1" in await reader.read()
        writer.close()
