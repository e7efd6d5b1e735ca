"""What a connection may keep of the server: how long it is waited for, and how much of what it sends is kept."""

import asyncio
import socket
import time
import tracemalloc

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from redirector.web import bounds, server
from redirector.web.bounds import MAX_HEAD_BYTES
from tests.store.stores import until
from tests.web.apps import Address, Echo, Slow, hello, on_a_port
from tests.web.sockets import WITHIN_SECONDS, connections, exchange, parsed, replies, request


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> float:
    """The time in which a head must come, so short that a test can wait for it."""
    monkeypatch.setattr(bounds, "HEAD_WITHIN_SECONDS", 0.2)
    return 0.2


async def closed_after(reader: asyncio.StreamReader) -> float:
    """The seconds until the server closes."""
    began = time.monotonic()
    async with asyncio.timeout(4):  # before uvicorn's own time-out between requests
        await reader.read()
    return time.monotonic() - began


HALF_HEADS = {
    "nothing": b"",
    "part of the request line": b"GET /a",
    "no end": b"GET /a HTTP/1.1\r\nHost: a\r\n",
    "empty lines": b"\r\n\r\n",
}


@pytest.mark.parametrize("half", HALF_HEADS.values(), ids=HALF_HEADS.keys())
async def test_stalled_head_is_not_waited_for(short_wait: float, address: Address, half: bytes) -> None:
    """A connection whose first head does not become complete is closed."""
    reader, writer = await asyncio.open_connection(*address)

    writer.write(half)

    assert short_wait * 0.5 < await closed_after(reader) < 2
    writer.close()


@pytest.mark.parametrize("half", [each for each in HALF_HEADS.values() if each], ids=[*HALF_HEADS][1:])
async def test_stalled_second_head_is_not_waited_for(short_wait: float, address: Address, half: bytes) -> None:
    """Nor is one on a connection that was used before."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request("GET", "/first", close=False))
    assert (await reader.readuntil(b"/first 0")).startswith(b"HTTP/1.1 200")

    writer.write(half)

    assert short_wait * 0.5 < await closed_after(reader) < 2
    writer.close()


async def test_dripping_head_is_not_waited_for(short_wait: float, address: Address) -> None:
    """A byte now and then does not prolong the time for a head."""
    reader, writer = await asyncio.open_connection(*address)
    began = time.monotonic()

    async def drip() -> None:
        for byte in b"GET /a HTTP/1.1\r\n" + b"a: b\r\n" * 1_000:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    await closed_after(reader)

    assert time.monotonic() - began < 2
    dripping.cancel()
    writer.close()


async def test_rest_of_a_body_that_was_answered_is_not_waited_for(short_wait: float) -> None:
    """Where the answer did not depend on the body, a sender who keeps it back is not waited for."""
    async with on_a_port(hello) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nfirst")
        await reader.readuntil(b"hello")

        writer.write(b"second")

        assert short_wait * 0.5 < await closed_after(reader) < 2
        writer.close()


async def test_request_behind_a_large_body_that_nobody_read_is_answered() -> None:
    """The server stops reading such a body, and goes on when the answer is sent."""
    body = b"x" * 1_000_000
    async with on_a_port(hello) as address:
        sent = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

        received = await exchange(address, sent + request("GET", "/"))

    assert [answer.body for answer in replies(received)] == [b"hello", b"hello"]


TRAILERS = {
    "many": (b"a: b\r\n" * 200, 1_000),
    "one without an end": (b"a" * 10_000, 150),
}


@pytest.mark.parametrize(("piece", "pieces"), TRAILERS.values(), ids=TRAILERS.keys())
@pytest.mark.parametrize("path", ["/a", "/unread"], ids=["body read", "body answered before it came"])
async def test_trailers_without_an_end_are_not_taken(path: str, piece: bytes, pieces: int) -> None:
    """What comes behind a chunked body is not kept, and the connection ends before it is much."""
    echo = Echo()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (hello if scope["path"] == "/unread" else echo)(scope, receive, send)

    async with on_a_port(app) as address, asyncio.timeout(WITHIN_SECONDS):
        reader, writer = await asyncio.open_connection(*address)
        tracemalloc.start()
        try:
            writer.write(f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n".encode())
            with pytest.raises(ConnectionError):
                for _ in range(pieces):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                await reader.read()
                raise AssertionError("everything was taken")
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            writer.close()

    assert most < 6_000_000


async def test_trailers_of_a_body_are_passed_over() -> None:
    """They are nobody's, and the next request is where they end."""
    echo = Echo()
    async with on_a_port(echo) as address:
        sent = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n"

        received = await exchange(address, sent + request("GET", "/b"))

    assert [answer.body for answer in replies(received)] == [b"/a 3", b"/b 0"]


async def test_client_that_has_nothing_more_to_say_is_answered() -> None:
    """Whoever ends its own side of the connection behind its request has its answer all the same, and then the end."""
    slow = Slow()
    async with on_a_port(slow) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(request("GET", "/", close=False))
        writer.write_eof()
        asyncio.get_running_loop().call_later(0.2, slow.go_on.set)

        async with asyncio.timeout(4):  # before the time-out between requests
            received = await reader.read()

    assert parsed(received).body == b"hello"
    writer.close()


async def test_client_that_ends_within_its_body_is_not_waited_for() -> None:
    """What it would have said is not to come: the application is told, and the connection ends."""
    async with on_a_port(Echo()) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
        writer.write_eof()

        async with asyncio.timeout(4):
            assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    ("kilobytes", "pieces"),
    [
        pytest.param(60, 1, id="within the buffer"),
        pytest.param(4_000, 1, id="more than may be buffered"),
        pytest.param(4_000, 200, id="by pieces, not all of which were said"),
    ],
)
async def test_client_that_does_not_read_its_answer_is_given_up(
    kilobytes: int, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for longer than for one that says nothing; so stopping does not wait for it either."""
    monkeypatch.setattr(bounds, "UNREAD_SECONDS", 0.3)
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.3)

    async def much(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for left in reversed(range(pieces)):
            body = b"x" * (kilobytes * 1_000 // pieces)
            await send({"type": "http.response.body", "body": body, "more_body": left > 0})

    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        client.setblocking(False)
        async with on_a_port(much) as address:
            await asyncio.get_running_loop().sock_connect(client, address)
            for _ in range(1 if kilobytes > 1_000 else 3):
                await asyncio.get_running_loop().sock_sendall(client, request("GET", "/", close=False))
            await until(connections)
            await until(lambda: not connections())
            began = time.monotonic()
    assert time.monotonic() - began < 5


async def test_client_that_leaves_a_little_unread_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little to stop the server from writing: then it is idle, and closing does not wait until it has read."""
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.3)

    async def some(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("x" * 40_000)(scope, receive, send)

    with socket.socket() as client:
        client.setblocking(False)
        async with on_a_port(some) as address:
            await asyncio.get_running_loop().sock_connect(client, address)
            await until(connections)
            (connection,) = connections()
            while not connection.transport.get_write_buffer_size():
                await asyncio.get_running_loop().sock_sendall(client, request("GET", "/", close=False))
                await asyncio.sleep(0.01)
            del connection
            await until(lambda: not connections())


async def test_requests_that_wait_for_the_one_before_them_are_few() -> None:
    """However many come in one stream, no more of them lie in memory than one read brings."""
    slow = Slow()
    sent = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 40_000
    async with on_a_port(slow) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(sent)
        slow.go_on.set()
        async with asyncio.timeout(60):
            await reader.read(1)
            connection = max(connections(), key=lambda each: len(each.pipeline))
            most = 0
            for _ in range(200):
                most = max(most, len(connection.pipeline))
                await reader.read(16_000)
        writer.transport.abort()

    assert 0 < most < 20_000


async def test_head_that_stalls_behind_an_answer_does_not_cut_it_off(short_wait: float) -> None:
    """While an answer is under way, half a head behind its request does not end the connection."""
    slow = Slow()
    async with on_a_port(slow) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(request("GET", "/", close=False) + b"GET /sec")
        asyncio.get_running_loop().call_later(short_wait * 2.5, slow.go_on.set)

        received = await reader.read()

        assert received.endswith(b"hello")
        writer.close()


async def test_body_may_take_longer_than_a_head(short_wait: float, address: Address) -> None:
    """The limit is the head's alone: a body that the application waits for may come slowly."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"POST /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nab")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(), short_wait * 2)

    writer.write(b"cd")

    assert (await reader.read()).endswith(b"/a 4")
    writer.close()


TOO_LARGE = {
    "one header": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 12345\r\n" * 5_000 + b"\r\n",
    "the address": b"GET /" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "behind another request": request("GET", "/", close=False)
    + b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("head", TOO_LARGE.values(), ids=TOO_LARGE.keys())
async def test_large_head_is_refused(echo: Echo, address: Address, head: bytes) -> None:
    """A head of more than 32 kB is answered 431, and the connection closed; the application never sees it."""
    received = await exchange(address, head)

    assert replies(received)[-1].status == 431
    assert replies(received)[-1].header("connection") == b"close"
    assert echo.asked in ([], ["/"] if head.startswith(b"GET / HTTP/1.1\r\nHost: news") else [])


async def test_endless_head_is_refused(echo: Echo, address: Address) -> None:
    """A head that never ends is refused as soon as it is too large."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.1\r\n")

    async def pour() -> None:
        while True:
            writer.write(b"X: 1234567890\r\n" * 100)
            await writer.drain()

    pouring = asyncio.create_task(pour())
    line = await reader.readline()

    assert line == b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    assert echo.asked == []
    pouring.cancel()
    await asyncio.gather(pouring, return_exceptions=True)
    writer.close()


async def test_head_of_nearly_the_most_is_taken(address: Address) -> None:
    """A head just under the limit is answered, also with a large body in one piece with it."""
    head = b"POST /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 50000\r\nX: "
    head += b"x" * (MAX_HEAD_BYTES - len(head) - 4) + b"\r\n\r\n"

    reply = parsed(await exchange(address, head + b"b" * 50_000))

    assert reply.body == b"/a 50000"


async def test_many_requests_in_one_piece_are_taken(address: Address) -> None:
    """The limit is a head's, not that of all heads that come together."""
    received = await exchange(address, request("GET", "/a", close=False) * 2_000 + request("GET", "/b"))

    assert [reply.body for reply in replies(received)] == [b"/a 0"] * 2_000 + [b"/b 0"]
