"""The public port: what the internet sees, and nothing else. `redirects` answers links ahead of these pages."""

import time
from collections.abc import Callable
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from redirector.codes import Codes
from redirector.record import Recorder
from redirector.replica import Replica
from redirector.store.salts import DailySalt
from redirector.web import pages
from redirector.web.redirects import ALWAYS, Redirects

_SAFE: Final = {name.decode(): value.decode() for name, value in ALWAYS}


async def robots(_: Request) -> Response:
    """Crawlers have no business here."""
    return PlainTextResponse("User-agent: *\nDisallow: /\n", headers=_SAFE)


async def global_privacy_control(_: Request) -> Response:
    """That `Sec-GPC: 1` is honoured: https://w3c.github.io/gpc/#gpc-support-resource."""
    return JSONResponse({"gpc": True, "lastUpdate": "2026-11-23"}, headers=_SAFE)


async def not_found(_: Request, __: Exception) -> Response:
    """Whatever is not in the table above."""
    return HTMLResponse(pages.NOT_FOUND, 404, headers=_SAFE)


async def not_allowed(_: Request, error: Exception) -> Response:
    """A method that a page does not have."""
    allowed = getattr(error, "headers", None) or {}
    return HTMLResponse(pages.NOT_ALLOWED, 405, headers={**_SAFE, **allowed})


def public_app(
    *,
    codes: Codes,
    replica: Replica,
    recorder: Recorder,
    salt: DailySalt,
    click_ids: Callable[[], str],
    codes_in_memory: int,
    clock: Callable[[], float] = time.time,
) -> ASGIApp:
    """Everything that the internet may ask of this server."""
    routes = [
        Route("/robots.txt", robots, methods=["GET"]),
        Route("/.well-known/gpc.json", global_privacy_control, methods=["GET"]),
    ]
    app = Starlette(routes=routes, exception_handlers={404: not_found, 405: not_allowed})
    app.router.redirect_slashes = False  # such a redirect would lead wherever the request's Host header says
    # Around Starlette and not among its middleware, whose own outermost layer every redirect would go through.
    return Redirects(
        app,
        codes=codes,
        replica=replica,
        recorder=recorder,
        salt=salt,
        click_ids=click_ids,
        codes_in_memory=codes_in_memory,
        clock=clock,
    )
