"""The public port: what the internet sees, and nothing else. `redirects` answers links ahead of these pages."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from redirector.access_log import AccessLog
from redirector.codes import Codes
from redirector.forwarded import Proxies
from redirector.gateways import Gateways
from redirector.hosts import APPLE_APP_SITE_ASSOCIATION, ASSETLINKS, NO_HOSTS, Hosts
from redirector.limits import Limiter
from redirector.networks import Networks
from redirector.record import Recorder
from redirector.replica import Replica
from redirector.settings import Settings
from redirector.store.erasures import Erasures
from redirector.store.people import People
from redirector.store.salts import DailySalt
from redirector.web import pages
from redirector.web.answers import SAFE, page_answer
from redirector.web.privacy import PrivacyPages
from redirector.web.redirects import Redirects
from redirector.web.rights import Rights
from redirector.web.through_proxies import ThroughProxies


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicServices:
    """What the public port works with; `clock` gives Unix seconds."""

    settings: Settings
    codes: Codes
    replica: Replica
    recorder: Recorder
    salt: DailySalt
    networks: Networks
    people: People
    erasures: Erasures
    gateways: Gateways
    click_ids: Callable[[], str]
    codes_in_memory: int
    proxies: Proxies | None = None
    unknown_codes: Limiter | None = None
    privacy_requests: Limiter | None = None
    hosts: Hosts = NO_HOSTS
    access_log: AccessLog | None = None
    clock: Callable[[], float] = time.time


async def robots(_: Request) -> Response:
    """Crawlers have no business here."""
    return PlainTextResponse("User-agent: *\nDisallow: /\n", headers=SAFE)


async def global_privacy_control(_: Request) -> Response:
    """That `Sec-GPC: 1` is honoured: https://w3c.github.io/gpc/#gpc-support-resource."""
    return JSONResponse({"gpc": True, "lastUpdate": "2026-11-23"}, headers=SAFE)


def app_links(hosts: Hosts) -> Callable[[Request], Awaitable[Response]]:
    """The files by which phones know that an app opens a host's links, as they are."""

    async def answer(request: Request) -> Response:
        found = hosts.at(request.headers.get("host", "")).files.get(request.url.path)
        if found is None:
            return page_answer(404, pages.NOT_FOUND)
        return Response(found, media_type="application/json", headers=SAFE)

    return answer


async def not_found(_: Request, __: Exception) -> Response:
    """Whatever is not in the table above."""
    return page_answer(404, pages.NOT_FOUND)


async def not_allowed(_: Request, error: Exception) -> Response:
    """A method that a page does not have."""
    return page_answer(405, pages.NOT_ALLOWED, getattr(error, "headers", None) or {})


async def failed(_: Request, __: Exception) -> Response:
    """What nobody foresaw; the error goes on to the server, which logs it."""
    return page_answer(500, pages.FAILED)


def public_app(services: PublicServices) -> ASGIApp:
    """Everything that the internet may ask of this server."""
    # Around Starlette and not among its middleware, whose own outermost layer every redirect would go through.
    redirects = Redirects(
        _pages(services),
        codes=services.codes,
        replica=services.replica,
        recorder=services.recorder,
        salt=services.salt,
        networks=services.networks,
        gateways=services.gateways,
        click_ids=services.click_ids,
        codes_in_memory=services.codes_in_memory,
        unknown_codes=services.unknown_codes,
        hosts=services.hosts,
        access_log=services.access_log,
        clock=services.clock,
    )
    return ThroughProxies(redirects, services.proxies) if services.proxies else redirects


def _pages(services: PublicServices) -> ASGIApp:
    """What comes after the links: pages and files, and what readers may ask for."""
    privacy = PrivacyPages(
        services.settings,
        codes=services.codes,
        replica=services.replica,
        salt=services.salt,
        hosts=services.hosts,
        unknown_codes=services.unknown_codes,
        clock=services.clock,
    )
    rights = Rights(
        codes=services.codes,
        replica=services.replica,
        people=services.people,
        erasures=services.erasures,
        salt=services.salt,
        opt_out_days=services.settings.privacy_opt_out_days,
        unknown_codes=services.unknown_codes,
        requests=services.privacy_requests,
        clock=services.clock,
    )
    files = app_links(services.hosts)
    routes = [
        Route("/robots.txt", robots, methods=["GET"]),
        Route("/.well-known/gpc.json", global_privacy_control, methods=["GET"]),
        *(Route(path, files, methods=["GET"]) for path in (APPLE_APP_SITE_ASSOCIATION, ASSETLINKS)),
        *privacy.routes(),
        *rights.routes(),
    ]
    app = Starlette(routes=routes, exception_handlers={404: not_found, 405: not_allowed, 500: failed})
    app.router.redirect_slashes = False  # such a redirect would lead wherever the request's Host header says
    return app
