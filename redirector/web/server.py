"""An HTTP server inside a running loop: it stops accepting when told to, and finishes what is in flight."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from redirector.errors import InvalidSetting
from redirector.web.bounds import BoundedProtocol

FINISH_WITHIN_SECONDS: Final = 20
IDLE_SECONDS: Final = 5  # between requests
BACKLOG: Final = 2_048


class _Server(uvicorn.Server):
    """The process belongs to its role, so signals are the role's to handle."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Serves `app` on a listening socket while the block lasts; on leaving, what is in flight is finished first."""
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=FINISH_WITHIN_SECONDS,
    )
    # Its warnings tell of what anybody may send (requests that are no HTTP, upgrades that nobody offers).
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # Its lines would have a reader's address beside a code, should anything ever give them a handler.
    logging.getLogger("uvicorn.access").disabled = True
    server = _Server(config)
    task: asyncio.Task[Any] = asyncio.create_task(
        server.serve(sockets=[listener]), name=f"http {listener.getsockname()}"
    )
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        await task


def listening(name: str, host: str, port: int) -> socket.socket:
    """A listening socket for the public or the internal port; port 0 lets the system choose.

    Raises InvalidSetting when it cannot be had.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise InvalidSetting(
            f"the {name} port cannot be opened on {host}: {error.strerror}",
            field=f"--{name}-port",
            part=str(port),
            remedy="choose another port, or stop what uses it; 0 lets the system choose",
        ) from None
    listener.setblocking(False)
    return listener
