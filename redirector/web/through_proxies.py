"""Lets everything behind it see a request as coming from its reader, where a trusted proxy has passed it on."""

from starlette.types import ASGIApp, Receive, Scope, Send

from redirector.forwarded import Proxies


class ThroughProxies:
    """Stands before an app only where proxies are trusted: without any, it costs a request nothing, and else some 7 us.

    The client of the scope is then the reader, with the port 0; see `forwarded`.
    """

    def __init__(self, app: ASGIApp, proxies: Proxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        peer = scope["client"][0] if scope.get("client") else ""
        scope["client"] = (self._proxies.client(peer, scope["headers"]), 0)
        await self._app(scope, receive, send)
