"""Lets everything behind it see a request as coming from its reader, where a trusted proxy has passed it on."""

from starlette.types import Receive, Scope, Send

from redirector.forwarded import Proxies
from redirector.web.short_way import SendHead, ShortWay


class ThroughProxies:
    """Stands before an app only where proxies are trusted: without any, it costs a request nothing, and else some 7 us.

    The client of the scope is then the reader, with the port 0; see `forwarded`.
    """

    def __init__(self, app: ShortWay, proxies: Proxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        self._see_through(scope)
        await self._app(scope, receive, send)

    def take(self, scope: Scope, send_head: SendHead) -> bool:
        """The app's short way."""
        self._see_through(scope)
        return self._app.take(scope, send_head)

    def _see_through(self, scope: Scope) -> None:
        peer = scope["client"][0] if scope.get("client") else ""
        scope["client"] = (self._proxies.client(peer, scope["headers"]), 0)
