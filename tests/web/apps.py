"""Small applications that tests of the server itself serve."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from redirector.web.server import listening, serving

Address = tuple[str, int]


class Echo:
    """Answers with the path and the length of the body, and remembers every path that it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        self.asked.append(scope["path"])
        body = await Request(scope, receive).body()
        await PlainTextResponse(f"{scope['path']} {len(body)}")(scope, receive, send)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at once, without reading the body."""
    await PlainTextResponse("hello")(scope, receive, send)


class Slow:
    """Answers a turn of the loop after it is told to go on, without reading the body."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        self.begun.set()
        await self.go_on.wait()
        await asyncio.sleep(0)
        await hello(scope, receive, send)


@asynccontextmanager
async def on_a_port(app: ASGIApp, host: str = "127.0.0.1") -> AsyncIterator[Address]:
    """The app on a port of its own."""
    listener = listening("public", host, 0)
    address = listener.getsockname()[:2]
    async with serving(app, listener):
        yield address
