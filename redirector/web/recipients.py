"""What the operator does for a reader: hands out what is recorded of a recipient, and has it erased.

The recipient's own id is only in the body, which no log has; what the store keeps is the token.
"""

import json
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from redirector.disclose import clicks_of, count_of, requests_of
from redirector.store.erasures import Erasures
from redirector.web import requests
from redirector.web.services import Services, answered, services
from redirector.wire import ForgottenOut, from_ms, recipient_in

COUNT_WITHIN_SECONDS: Final = 10.0


async def post_forget(request: Request) -> Response:
    """Has every click of a recipient up to now erased."""
    api = services(request)
    clicker = await _clicker(request, api)
    now = api.now()
    clicks = await count_of(api.redis, api.keys, clicker, now=now, clock=api.clock, within_seconds=COUNT_WITHIN_SECONDS)
    await Erasures(api.redis, api.keys).ask(clicker, now)
    return answered(ForgottenOut(up_to=from_ms(now), clicks=clicks), 202)


async def post_export(request: Request) -> Response:
    """What a recipient has asked for, and then every click of theirs, a line each, sent as they are found."""
    api = services(request)
    clicker = await _clicker(request, api)
    asked = await requests_of(api.redis, api.keys, clicker)
    pages = clicks_of(api.redis, api.keys, clicker, now=api.now())
    first: list[dict[str, str]] = await anext(pages, [])  # while it can still be said that the store does not answer
    return StreamingResponse(_lines([*asked, *first], pages), media_type="application/x-ndjson")


async def _lines(first: list[dict[str, str]], pages: AsyncIterator[list[dict[str, str]]]) -> AsyncIterator[str]:
    yield _written(first)
    async for page in pages:
        yield _written(page)


def _written(clicks: list[dict[str, str]]) -> str:
    """A line each; or an empty one, for whoever waits to see that the search goes on."""
    return "".join(json.dumps(click, ensure_ascii=False) + "\n" for click in clicks) or "\n"


async def _clicker(request: Request, api: Services) -> int:
    wanted = recipient_in(await requests.json_body(request, api.body_max_bytes))
    return api.urls.codes.recipient_token(wanted.recipient)
