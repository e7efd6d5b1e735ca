"""The HTTP server itself: what it refuses, what it keeps to itself, and how it stops."""

import asyncio
import errno
import os
import time

import pytest
from starlette.types import Receive, Scope, Send

from redirector.errors import InvalidSetting
from redirector.web.server import listening, serving
from tests.web.apps import Address, Echo, Slow, hello, on_a_port
from tests.web.sockets import exchange, parsed, request

RUBBISH = {
    "no HTTP": b"rubbish\r\n\r\n",
    "binary": bytes(range(256)),
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "another version": b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "space in the address": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "no ASCII in the address": b"GET /c/\xc3\xbc HTTP/1.1\r\nHost: a\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\n: a\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nContent-Length : 5\r\n\r\n",
    "no address": b"GET  HTTP/1.1\r\nHost: a\r\n\r\n",
    "length below zero": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "length that is no number": b"POST / HTTP/1.1\r\nContent-Length: 5a\r\n\r\nhello",
    "length beyond all": b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\nhello",
}


@pytest.mark.parametrize("sent", RUBBISH.values(), ids=RUBBISH.keys())
async def test_rubbish_is_a_bad_request(echo: Echo, address: Address, sent: bytes) -> None:
    """What is not HTTP gets 400 and a closed connection; the application never sees it."""
    reply = parsed(await exchange(address, sent))

    assert reply.status == 400
    assert reply.header("connection") == b"close"
    assert echo.asked == []


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\n"
POST_CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = str(len(SMUGGLED)).encode()
SHAPES = {
    "length and chunks": POST + b"Host: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: " + LENGTH + b"\r\n\r\n",
    "list of lengths": POST + b"Content-Length: 0, " + LENGTH + b"\r\n\r\n",
    "length with a sign": POST + b"Content-Length: +0\r\n\r\n",
    "chunks not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunks misspelled": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "bad chunk size": POST_CHUNKED + b"0x0\r\n\r\n",
    "chunk size below zero": POST_CHUNKED + b"-1\r\n\r\n",
    "huge chunk size": POST_CHUNKED + b"fffffffffffffffff1\r\n\r\n",
    "chunk longer than it says": POST_CHUNKED + b"1\r\nabc\r\n0\r\n\r\n",
    "folded header": POST + b"X: y\r\n Content-Length: 0\r\nTransfer-Encoding:\r\n chunked\r\n\r\nrubbish\r\n",
    "bare line feeds": b"POST /a HTTP/1.1\nHost: a\nContent-Length: 0\n\n",
    "bare carriage return": POST + b"X: y\rContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
async def test_ambiguous_request_smuggles_nothing(echo: Echo, address: Address, shape: bytes) -> None:
    """A request whose end two servers might see in different places ends the connection: what follows is not run."""
    received = await exchange(address, shape + SMUGGLED)

    assert "/smuggled" not in echo.asked
    assert b"/smuggled" not in received
    assert received.startswith(b"HTTP/1.1 400") or not received


async def test_chunked_body_is_put_together(address: Address) -> None:
    """A body in chunks arrives whole."""
    chunks = b"3\r\nabc\r\n" * 100 + b"0\r\n\r\n"
    head = b"POST /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert parsed(await exchange(address, head + chunks)).body == b"/a 300"


async def test_connection_is_kept_for_the_next_request(address: Address) -> None:
    """One connection serves one request after the other."""
    reader, writer = await asyncio.open_connection(*address)

    for path in ("/1", "/2", "/3"):
        writer.write(request("GET", path, close=False))

        assert (await reader.readuntil(f"{path} 0".encode())).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_answers_do_not_name_the_server(address: Address) -> None:
    """Nobody learns which software answers."""
    assert parsed(await exchange(address, request("GET", "/"))).header("server") is None


async def test_forwarded_headers_are_not_believed() -> None:
    """Anybody can send X-Forwarded-For: the peer stays the peer."""
    peers: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        peers.append(scope["client"][0])
        await hello(scope, receive, send)

    async with on_a_port(app) as address:
        await exchange(address, request("GET", "/", [("X-Forwarded-For", "203.0.113.9")]))

    assert peers == ["127.0.0.1"]


async def test_stopping_finishes_what_is_in_flight() -> None:
    """A request that was taken before the stop is answered, and a new connection is refused."""
    slow = Slow()
    listener = listening("public", "127.0.0.1", 0)
    address = listener.getsockname()[:2]
    reader, writer = None, None
    async with serving(slow, listener):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(request("GET", "/", close=False))
        await slow.begun.wait()
        asyncio.get_running_loop().call_later(0.3, slow.go_on.set)

    assert (await reader.read()).endswith(b"hello")
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


async def test_stopping_does_not_wait_for_idle_connections() -> None:
    """A connection that is merely kept alive is closed at once."""
    began = time.monotonic()
    async with on_a_port(hello) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(request("GET", "/", close=False))
        await reader.readuntil(b"hello")

    assert await reader.read() == b""
    assert time.monotonic() - began < 3
    writer.close()


async def test_ipv6_is_served() -> None:
    """A host with colons is an IPv6 address."""
    async with on_a_port(hello, "::1") as address:
        assert parsed(await exchange(address, request("GET", "/"))).body == b"hello"


def test_port_that_is_taken_is_named() -> None:
    """The error names the flag, the port and what to do."""
    with listening("public", "127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(InvalidSetting) as caught:
            listening("internal", "127.0.0.1", port)

    assert caught.value.field == "--internal-port"
    assert caught.value.part == str(port)
    assert os.strerror(errno.EADDRINUSE) in caught.value.detail
    assert "choose another port" in caught.value.remedy


def test_address_that_is_not_ours_is_named() -> None:
    """An address of another machine cannot be listened on; the error says which."""
    with pytest.raises(InvalidSetting, match=r"192\.0\.2\.1"):
        listening("public", "192.0.2.1", 0)
