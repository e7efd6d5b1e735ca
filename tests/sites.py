"""A real web site on this machine, and what stands in for the DNS: names lead wherever a test says."""

import http.server
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from socket import gaierror
from typing import Any

Page = tuple[int, dict[str, str], bytes]


@dataclass
class Site:
    """Its port, its pages by method and path or by path alone, and the requests that came."""

    port: int = 0
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/", host: str = "www.example.com", scheme: str = "http") -> str:
        """A URL of this site."""
        return f"{scheme}://{host}:{self.port}{path}"

    def answers(self, path: str, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """Gives it a page."""
        self.pages[path] = (status, headers, body)

    @property
    def lines(self) -> list[str]:
        """What was asked, as a method and a path each."""
        return [f"{method} {path}" for method, path, _ in self.asked]


@contextmanager
def site(tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """A site while the block lasts; a path that it does not know is 404, and `/hang` never answers."""
    known = Site()

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answers with the page of this method, or of any."""
            known.asked.append((self.command, self.path, dict(self.headers.items())))
            if self.path == "/hang":
                known.closed.wait(30)
                return
            pages = known.pages
            status, headers, body = pages.get(f"{self.command} {self.path}") or pages.get(self.path) or (404, {}, b"")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - as the library has it

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Whoever asks may go away at any time."""

    with Server(("127.0.0.1", 0), Answers) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        known.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield known
        finally:
            known.closed.set()
            server.shutdown()
            thread.join()


@dataclass
class Names:
    """A resolver: each name's addresses, one list for each time that it is asked; the last one stays."""

    known: dict[str, list[Sequence[str]]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, _: int) -> Sequence[str]:
        """The addresses of a name, now."""
        self.asked.append(host)
        if host not in self.known:
            raise gaierror(-2, "Name or service not known")
        answers = self.known[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def here(address: IPv4Address | IPv6Address) -> bool:
    """Lets a check connect to the tests' own sites, and to nothing else."""
    return str(address) == "127.0.0.1"
