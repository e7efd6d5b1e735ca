"""One line in the log for each request of the API, whatever the request holds.

The line says which operation it was, by whose key, what came of it and how long it took. It has nothing of what was
sent: no address, path, query, header or body, so no recipient, code or key can be in it.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Asked for every few seconds, with nothing to tell: their lines are for debugging.
_MONITORING: Final = frozenset({"/metrics", "/livez", "/readyz"})
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = logging.getLogger(__name__)


class RequestLog:
    """Stands around the API. The operation's id and the key's id come from the scope's state, once they are known."""

    def __init__(self, app: ASGIApp, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        began, status = self._clock(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        state = scope.setdefault("state", {})
        try:
            await self._app(scope, receive, noting)
        except Exception:
            status = status or 500  # which the layer around this one answers
            raise
        finally:
            level = logging.DEBUG if scope["path"] in _MONITORING else logging.INFO
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            milliseconds = (self._clock() - began) * 1000
            operation, key = state.get("operation", "-"), state.get("key", "-")
            log.log(level, "%s %s %s in %.1f ms, key %s", method, operation, status or "-", milliseconds, key)
