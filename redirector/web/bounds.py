"""What a connection may keep of the server, in time and in memory.

uvicorn waits for a request's head, for the rest of a body that it has answered already, and for whoever reads nothing,
for as long as they like, and keeps as much of a head, and behind a body, as is sent; the protocol here does neither.
"""

import asyncio
from collections import deque
from typing import Any, Final

from redirector.web.short_way import ShortWayProtocol

HEAD_WITHIN_SECONDS: Final = 10.0
MAX_HEAD_BYTES: Final = 32 * 1024
MAX_FRAMING_BYTES: Final = 1024 * 1024  # what of a message is neither head nor body: chunks' sizes and trailers
UNREAD_SECONDS: Final = 60.0  # how long a client may leave what it was sent unread

# Headers that come behind a body: nobody wants them, and they are not kept.
_TRAILERS: Final[Any] = deque(maxlen=0)

TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class HeadTooLarge(Exception):
    """Stops the parser; never leaves the protocol."""


class BoundedProtocol(ShortWayProtocol):
    """Closes a connection whose next request does not come in time once it is due, or has too large a head.

    A head is due from the connection's first moment, and later from its first byte on. The rest of a body that was
    answered before it had come is due at once. It ends, too, where much stays unread, or comes around a body.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """The first head is due."""
        super().connection_made(transport)
        self._in_head = True
        self._head_bytes = 0  # without those that came in one piece with the end of the request before
        self._read_bytes = 0
        self._began_within_bytes = 0
        self._begun = False
        self._framing_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self._head_is_over()
        self.resume_writing()
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:  # type: ignore[override] # as asyncio has it
        """A client that has said all that it will say still has its answer, and then the connection ends."""
        if not self._in_head or self.cycle is None or self.cycle.response_complete:
            return None
        self.cycle.keep_alive = False
        return True

    def pause_writing(self) -> None:
        """The client has much to read, and is not waited for for ever."""
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read most of it."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def data_received(self, data: bytes) -> None:
        """More of a head, or of a body."""
        self._read_bytes = len(data)
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._in_head:
            self._framing_bytes += len(data)
            if self._framing_bytes > MAX_FRAMING_BYTES:
                self.transport.abort()
        # Nearly every request comes in one piece, which never needs the timer: 0.7 us less.
        if self._in_head and (self._head_bytes or self._begun) and not self.transport.is_closing():
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(TOO_LARGE)
            else:
                self._expect_head()

    def on_message_begin(self) -> None:
        """The next head has begun."""
        self._begun = True
        self._began_within_bytes = self._read_bytes
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._framing_bytes -= len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._in_head = False
        self._framing_bytes = 0
        self._head_is_over()
        # Counted only if it may be too large: what came in one piece with it may be another request, or its body.
        if self._head_bytes + self._began_within_bytes > MAX_HEAD_BYTES and self._size_of_head() > MAX_HEAD_BYTES:
            raise HeadTooLarge
        super().on_headers_complete()
        self.headers = _TRAILERS

    def on_message_complete(self) -> None:
        """What comes now is another head."""
        self._in_head = True
        self._begun = False
        self._head_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is sent; nobody waits for the rest of the request, if there is one."""
        super().on_response_complete()
        if not self._in_head:
            self._expect_head()

    def send_400_response(self, msg: str) -> None:
        """The parser has given up."""
        if self._size_of_head() > MAX_HEAD_BYTES:
            self._refuse(TOO_LARGE)
        else:
            super().send_400_response(msg)

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse(self, answer: bytes) -> None:
        self.transport.write(answer)
        self.transport.close()

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_WITHIN_SECONDS, self._too_late)

    def _head_is_over(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:  # closing now would cut off the answer to the request before
            self._expect_head()
