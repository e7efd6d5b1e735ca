"""HTTP in bytes, for tests to which each of them matters."""

import asyncio
import gc
from collections.abc import Iterable
from dataclasses import dataclass

from redirector.web.short_way import ShortWayProtocol

WITHIN_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came over the wire; the names of its headers in lower case."""

    status_line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def status(self) -> int:
        """The number in the status line."""
        return int(self.status_line.split()[1])

    def header(self, name: str) -> bytes | None:
        """The value of a header that stands there at most once."""
        values = [value for each, value in self.headers if each == name.encode()]
        assert len(values) <= 1, f"{name} stands there {len(values)} times"
        return values[0] if values else None

    @property
    def timeless(self) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
        """All of it but the date."""
        return self.status_line, [(name, value) for name, value in self.headers if name != b"date"], self.body


def connections() -> list[ShortWayProtocol]:
    """The servers' ends of all connections to servers in this process."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, ShortWayProtocol)]


def request(method: str, path: str, headers: Iterable[tuple[str, str]] = (), *, close: bool = True) -> bytes:
    """A request without a body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: news.example.com", *(f"{name}: {value}" for name, value in headers)]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def exchange(address: tuple[str, int], sent: bytes, *, sender: str | None = None) -> bytes:
    """Everything that comes back before the server closes; `sender` is an address of this machine's to send from."""
    async with asyncio.timeout(WITHIN_SECONDS):
        reader, writer = await asyncio.open_connection(*address, local_addr=(sender, 0) if sender else None)
        try:
            writer.write(sent)
            return await reader.read()
        finally:
            writer.close()


def parsed(received: bytes, *, method: str = "GET") -> Reply:
    """The one reply that these bytes are."""
    (reply,) = replies(received, method=method)
    return reply


def replies(received: bytes, *, method: str = "GET") -> list[Reply]:
    """The replies that came over one connection, each with a Content-Length."""
    found = []
    while received:
        head, blank, rest = received.partition(b"\r\n\r\n")
        assert blank, f"the head does not end: {received[:200]!r}"
        status_line, *lines = head.split(b"\r\n")
        headers = [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)]
        length = 0 if method == "HEAD" else int(dict(headers)[b"content-length"])
        assert len(rest) >= length, "the body is cut off"
        found.append(Reply(status_line, headers, rest[:length]))
        received = rest[length:]
    return found
