"""The internal port: the API, metrics, health and the API's own description. It is never for the internet."""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Match, Route

from redirector import metrics
from redirector.errors import MethodNotAllowed, NotFound, RedirectorError, StoreError, TooManyRequests
from redirector.problems import PROBLEM_MEDIA_TYPE, problem
from redirector.store.suitability import room
from redirector.web import requests
from redirector.web.docs import docs_page
from redirector.web.guard import AUDITED_SCOPES, audited
from redirector.web.openapi import document
from redirector.web.operations import OPERATIONS, Endpoint, Operation
from redirector.web.request_log import RequestLog
from redirector.web.services import Services, services
from redirector.wire import Health

RETRY_AFTER_SECONDS: Final = "2"

log = logging.getLogger(__name__)

Counted = Callable[[], Awaitable[tuple[dict[tuple[str, str], int], dict[str, int]]]]
Readiness = Callable[[], Awaitable[str]]


def internal_app(known: Services, *, version: str, operations: Sequence[Operation] = OPERATIONS) -> Starlette:
    """The whole internal port: what the api role serves."""
    described = document(version, "/")

    async def openapi(_: Request) -> Response:
        return JSONResponse(described)

    async def docs(_: Request) -> Response:
        return HTMLResponse(docs_page(described))

    async def counted() -> tuple[dict[tuple[str, str], int], dict[str, int]]:
        await _note_room(known.redis)
        return await known.counters.by_topic(), await known.counters.totals()

    async def store_trouble() -> str:
        try:
            await known.counters.totals()
        except StoreError as error:
            return error.detail
        return ""

    routes = [
        *(Route(each.path, _guarded(each), methods=[each.method]) for each in operations),
        *monitoring_routes(counted, store_trouble),
        Route("/openapi.json", openapi, methods=["GET"]),
        Route("/docs", docs, methods=["GET"]),
    ]
    app = _application(routes)
    app.add_middleware(RequestLog)
    app.state.services = known
    return app


async def _note_room(redis: Redis) -> None:
    """Puts what the store keeps, and its memory, on the metrics; what it does not tell of stays as it was."""
    with contextlib.suppress(StoreError):  # INFO may be forbidden
        found = await room(redis)
        metrics.STORE_KEEPS.labels("writes").set(found.keeps_writes)
        metrics.STORE_KEEPS.labels("keys").set(found.keeps_keys)
        metrics.STORE_MEMORY.labels("used").set(found.memory_used)
        if found.memory_limit:
            metrics.STORE_MEMORY.labels("limit").set(found.memory_limit)


def monitoring_app(readiness: Readiness) -> Starlette:
    """The internal port of a role that has no API: metrics and health."""
    return _application(monitoring_routes(None, readiness))


def monitoring_routes(counted: Counted | None, readiness: Readiness) -> list[Route]:
    """`/metrics`, `/livez` and `/readyz`. `readiness` says what stands in the way, "" when nothing does."""

    async def exposition(request: Request) -> Response:
        try:
            from_store = await counted() if counted else None
        except StoreError:
            from_store = None
        if counted:
            metrics.STORE_UP.set(from_store is not None)
        body, content_type = metrics.exposition(request.headers.get("accept", ""), from_store)
        return Response(body, headers={"content-type": content_type})

    async def livez(_: Request) -> Response:
        return _health("")

    async def readyz(_: Request) -> Response:
        return _health(await readiness())

    return [
        Route("/metrics", exposition, methods=["GET"]),
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
    ]


def _health(trouble: str) -> Response:
    shape = Health(status="unavailable" if trouble else "ok", reason=trouble)
    return Response(shape.model_dump_json(), 503 if trouble else 200, media_type="application/json")


def _guarded(operation: Operation) -> Endpoint:
    """The endpoint, for holders of the right key only, and with parameters that it knows only."""
    parameters = frozenset(each.name for each in operation.parameters if each.place == "query")
    name = operation.endpoint.__name__

    async def endpoint(request: Request) -> Response:
        known = services(request)
        request.state.operation = name
        holder = await known.guard.holder(request, operation.scope, known.clock())
        request.state.holder, request.state.key = holder, holder.id
        requests.no_other_parameter(request, parameters)
        if operation.scope in AUDITED_SCOPES:
            return await audited(known.guard.audit, holder, name, operation.endpoint, request)
        return await operation.endpoint(request)

    endpoint.__name__ = name
    return endpoint


def _application(routes: list[Route]) -> Starlette:
    app = Starlette(
        routes=routes,
        exception_handlers={RedirectorError: _refuse, 404: _not_found, 405: _not_allowed, Exception: _broken},
    )
    app.router.redirect_slashes = False  # an address that is nearly right is a mistake to be told of
    return app


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, RedirectorError)  # noqa: S101 - registered for that class
    shape = problem(error)
    headers = {"retry-after": RETRY_AFTER_SECONDS} if shape.status == 503 else {}
    if isinstance(error, TooManyRequests):
        headers["retry-after"] = str(error.retry_after_seconds)
    if shape.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(shape.model_dump_json(), shape.status, headers=headers, media_type=PROBLEM_MEDIA_TYPE)


async def _not_found(request: Request, _: Exception) -> Response:
    return await _refuse(request, NotFound("there is nothing at this address", remedy="see GET /docs"))


async def _not_allowed(request: Request, _: Exception) -> Response:
    response = await _refuse(request, MethodNotAllowed("this address has no such method", remedy="see GET /docs"))
    here = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    response.headers["allow"] = ", ".join(sorted({method for route in here for method in route.methods}))
    return response


async def _broken(request: Request, error: Exception) -> Response:
    log.error("a request failed: %s", getattr(request.state, "operation", "-"), exc_info=error)
    return await _refuse(request, RedirectorError("something went wrong here; the log says what"))
