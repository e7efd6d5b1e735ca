"""uvicorn's HTTP protocol, with a short way past ASGI for answers that are no more than a head.

An app that has a method `take` is offered each request first. Taking one, it gives the head of its answer later. There
is no task then, and nothing is made of the request that only ASGI would need: a redirect that is not recorded takes
7 us so, and 17 otherwise.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from redirector.losses import unforeseen

_HEADER: Final = b"%b: %b\r\n"
_CLOSE: Final = b"connection: close\r\n\r\n"

# Sends the bytes of an answer without a body, up to the server's own headers.
SendHead = Callable[[bytes], None]

log = logging.getLogger(__name__)


class ShortWay(Protocol):
    """An ASGI app that may answer a request without ASGI."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""

    def take(self, scope: Scope, send_head: SendHead) -> bool:
        """Whether it takes the request; then it calls `send_head` once, after it has returned.

        The scope has what such an app looks at: `method`, `raw_path`, `headers` and `client`. What is not taken goes
        on to the app as ASGI has it, and so does what raises; nothing may have been done for it.
        """


class _Taken:
    """What uvicorn wants to know of a request under way, of one that was taken; a connection has one for all of its."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "more_body", "response_complete")

    def __init__(self) -> None:
        self.message_event = asyncio.Event()  # which nobody waits for
        self.more_body = False
        self.disconnected = False
        self.response_complete = True
        self.keep_alive = True


class ShortWayProtocol(HttpToolsProtocol):
    """A connection whose requests may be taken by the app's short way; answers keep the order of their requests."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Nothing was asked for yet."""
        super().connection_made(transport)
        self._take: Callable[[Scope, SendHead], bool] | None = getattr(self.app, "take", None)
        self._taken: Any = _Taken()  # stands where uvicorn has its cycle
        self._idle_since: float | None = None
        self._idle_timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        super().connection_lost(exc)
        if self._idle_timer is not None:
            self._idle_timer.cancel()

    # --- a request

    def on_message_begin(self) -> None:
        """What uvicorn makes of a request here is put off until ASGI needs it."""
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The request is offered, and if it is not taken, it goes uvicorn's way."""
        if not self._is_taken():
            url, headers = self.url, self.headers
            super().on_message_begin()
            self.url = url
            for name, value in headers:
                super().on_header(name, value)
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Nobody reads the body of a request that was taken."""
        if self.cycle is not self._taken:
            super().on_body(body)

    def _is_taken(self) -> bool:
        parser = self.parser
        if self._take is None or not (self.cycle is None or self.cycle.response_complete):
            return False  # the answer to the request before has to be first
        if self.flow.write_paused or parser.should_upgrade():
            return False  # uvicorn waits until the client has read what it was sent
        scope: Scope = {
            "method": parser.get_method().decode("ascii"),
            "raw_path": self.url.partition(b"?")[0],
            "headers": self.headers,
            "client": self.client,
        }
        try:
            if not self._take(scope, self._send_head):
                return False
        except Exception as error:  # noqa: BLE001 - uvicorn's way is still open
            log.error("the short way failed: %s", unforeseen(error))
            return False
        self._taken.response_complete = False
        self._taken.keep_alive = parser.get_http_version() != "1.0" and parser.should_keep_alive()
        self.cycle = self._taken
        self.scope = None  # type: ignore[assignment] # as uvicorn has it before the first request
        return True

    def _send_head(self, head: bytes) -> None:
        taken = self._taken
        taken.response_complete = True
        if not self.transport.is_closing():
            own = map(_HEADER.__mod__, self.server_state.default_headers)
            self.transport.write(b"".join((head, *own, b"\r\n" if taken.keep_alive else _CLOSE)))
            if not taken.keep_alive:
                self.transport.close()
            self.on_response_complete()

    # --- between requests: one timer for a connection, where uvicorn sets and cancels one for each request

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def on_response_complete(self) -> None:
        """The next request that is here already, or else the connection is idle."""
        if self.transport.is_closing():
            return
        if self.pipeline:
            # Nothing more is read before the last of them is answered: uvicorn reads on after each, and has no bound.
            self._start_asgi_task(*self.pipeline.pop())
            return
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)

    def _close_if_idle(self) -> None:
        now = self.loop.time()
        left = self.timeout_keep_alive if self._idle_since is None else self._idle_since + self.timeout_keep_alive - now
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._close_if_idle)
        elif self.transport.get_write_buffer_size():
            self.transport.abort()  # closing would wait for whoever reads nothing
        else:
            self.transport.close()
