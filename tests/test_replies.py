"""What the client makes of nobody, of strangers, and of answers that break off."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest

from redirector.client import AsyncClient, Client
from redirector.errors import ServerUnavailable, UnexpectedAnswer
from redirector.replies import ArrivingURLs

MAIL = b'<a href="https://www.example.com/mail">Offer</a>'


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody listens: the port is taken, so that nobody else can."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


async def test_nobody_listens(nobody: str) -> None:
    """Where nobody listens, both clients say where they asked and what to do, and do not show the key."""
    async with AsyncClient(nobody, "rdr_key") as waiting:
        with Client(nobody, "rdr_key") as client:
            asks: list[Callable[[], Any]] = [
                client.topics, lambda: list(client.urls(7, ["ann"])), lambda: list(client.links("news")),
            ]  # fmt: skip
            for ask in asks:
                with pytest.raises(ServerUnavailable, match=nobody) as refused:
                    ask()
                assert "REDIRECTOR_URL" in refused.value.remedy
                assert "rdr_key" not in str(refused.value)
        answers: list[Awaitable[object]] = [
            waiting.topics(), anext(waiting.urls(7, ["ann"])), anext(waiting.links("news")),
        ]  # fmt: skip
        for answer in answers:
            with pytest.raises(ServerUnavailable, match=nobody):
                await answer


@pytest.mark.parametrize("url", ["http://[", "127.0.0.1:9090", "ftp://127.0.0.1", "", "http://"])
def test_address_that_is_none_is_unavailable(url: str) -> None:
    """An address that cannot be asked is one where nobody answers."""

    def ask() -> None:
        with Client(url, "rdr_key") as client:
            client.topics()

    with pytest.raises(ServerUnavailable) as refused:
        ask()

    assert refused.value.remedy


def test_silent_server_is_unavailable() -> None:
    """A server that takes the question and never answers is given up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            Client(url, "rdr_key", timeout_seconds=0.05) as client,
            pytest.raises(ServerUnavailable, match="timed out"),
        ):
            client.topics()


class Stranger:
    """Something else that listens: whatever it is asked, it sends these bytes and closes."""

    def __init__(self, answer: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._answer = answer
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._started = threading.Event()

    def __enter__(self) -> str:
        self._thread.start()
        self._started.wait()
        return self.url

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(self._answered, sock=self._listener):
            self._started.set()
            await self._ended.wait()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
        await reader.readexactly(int(length.partition(b":")[2]))
        writer.write(self._answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def plain(body: bytes, status: str = "200 OK", content_type: str = "application/json", extra: str = "") -> bytes:
    """A plain HTTP answer."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n{extra}"
    return head.encode() + b"connection: close\r\n\r\n" + body


PROBLEM = "application/problem+json"
LINE = b'{"recipient":"ann","url":"http://x/c/1"}\n'
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
)

STRANGERS = {
    "HTML": plain(b"<h1>It works!</h1>", content_type="text/html"),
    "broken JSON": plain(b'{"topics": ['),
    "another shape": plain(b'{"topics": "many", "clicks": {}}'),
    "one more field": plain(b'{"topics": [], "clicks": {}, "version": 2}'),
    "a list": plain(b"[]"),
    "nothing": plain(b""),
    "a redirect": plain(b"", "302 Found", extra="location: https://login.example/\r\n"),
    "an error page": plain(b"<h1>Bad gateway</h1>", "502 Bad Gateway", "text/html"),
    "a problem of another kind": plain(b'{"title": "no"}', "500 Oh", PROBLEM),
    "a problem without errors": plain(
        b'{"type": "a", "title": "b", "status": 500, "detail": "c", "errors": []}', "500 Oh", PROBLEM
    ),
    "broken compression": plain(b"no gzip", extra="content-encoding: gzip\r\n"),
    "less than announced": plain(b"{}" * 50)[:-20],
    "no HTTP": b"220 mail.example ESMTP\r\n",
    "silence": b"",
}


@pytest.mark.parametrize("answer", STRANGERS.values(), ids=STRANGERS)
async def test_stranger_is_unexpected(answer: bytes) -> None:
    """What is no redirector is UnexpectedAnswer for each kind of question, with both clients."""
    with Stranger(answer) as url, Client(url, "rdr_key") as client:
        asks: list[Callable[[], Any]] = [
            client.topics, lambda: client.rewrite(MAIL, "news"), lambda: list(client.urls(7, ["ann"])),
        ]  # fmt: skip
        for ask in asks:
            with pytest.raises(UnexpectedAnswer) as refused:
                ask()
            assert "rdr_key" not in f"{refused.value} {refused.value!r}"
        async with AsyncClient(url, "rdr_key") as waiting:
            for answered in (waiting.topics(), waiting.rewrite(MAIL, "news"), anext(waiting.urls(7, ["ann"]))):
                with pytest.raises(UnexpectedAnswer):
                    await answered


BROKEN_STREAMS = {
    "closed within a line": CHUNKED + b"29\r\n" + LINE + b"\r\n5\r\n{\"rec",
    "closed between lines": CHUNKED + b"29\r\n" + LINE + b"\r\n",
    "ended too soon": plain(LINE, content_type="application/x-ndjson"),
    "ended within a line": plain(LINE + LINE[:-1], content_type="application/x-ndjson"),
    "another shape": plain(LINE + b'{"recipient":5,"url":""}\n', content_type="application/x-ndjson"),
    "too many": plain(LINE + LINE + LINE, content_type="application/x-ndjson"),
}  # fmt: skip


@pytest.mark.parametrize("answer", BROKEN_STREAMS.values(), ids=BROKEN_STREAMS)
async def test_broken_stream_is_unexpected(answer: bytes) -> None:
    """A stream that breaks off, or has not a URL for each recipient, is never taken for a whole one."""
    with Stranger(answer) as url, Client(url, "rdr_key") as client:
        urls = client.urls(7, ["ann", "bob"])
        assert next(urls).recipient == "ann"
        with pytest.raises(UnexpectedAnswer):
            list(urls)
        async with AsyncClient(url, "rdr_key") as waiting:
            with pytest.raises(UnexpectedAnswer):
                _ = [each async for each in waiting.urls(7, ["ann", "bob"])]


@pytest.mark.parametrize("counts", ["", "redirector-links: many\r\n", "redirector-links: tracked=1; skipped=x\r\n"])
def test_mail_without_its_counts_is_unexpected(counts: str) -> None:
    """An HTML page that some other server sends is not taken for the mail."""
    answer = plain(b"<a>", content_type="text/html", extra=counts)

    with Stranger(answer) as url, Client(url, "rdr_key") as client, pytest.raises(UnexpectedAnswer):
        client.rewrite(MAIL, "news")


@pytest.mark.parametrize("size", [1, 7, 41, 10_000])
def test_lines_are_read_whatever_pieces_they_arrive_in(size: int) -> None:
    """The pieces in which an answer arrives do not matter."""
    answer = LINE * 20
    arriving = ArrivingURLs(20)

    urls = [url for at in range(0, len(answer), size) for url in arriving.read(answer[at : at + size])]
    arriving.end()

    assert [url.recipient for url in urls] == ["ann"] * 20


def test_errors_keep_their_cause(nobody: str) -> None:
    """What httpx said stays with the error, for whoever debugs."""
    with Client(nobody, "rdr_key") as client, pytest.raises(ServerUnavailable) as refused:
        client.topics()

    assert isinstance(refused.value.__cause__, httpx.ConnectError)
