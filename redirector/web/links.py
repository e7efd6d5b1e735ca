"""The API's endpoints for links that are there: looked up, changed, and given a URL for each recipient."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from redirector.errors import UnknownLink
from redirector.links import Link
from redirector.mint import TrackedURLs, campaign_for_recipients
from redirector.web import requests, shapes
from redirector.web.services import Services, answered, services
from redirector.wire import LinkPageOut, LinkPatch, RecipientsIn, parse, to_ms

LINES_A_CHUNK: Final = 500
MAX_LINK: Final = 2**53 - 1


async def get_links(request: Request) -> Response:
    """A page of a campaign's links, or of all."""
    api = services(request)
    campaign = requests.required(request, "campaign") if "campaign" in request.query_params else ""
    after = requests.integer(request, "after", 0, most=MAX_LINK)
    limit = max(1, requests.integer(request, "limit", 100, most=1_000))
    page = await (
        api.links.page(campaign, after=after, limit=limit) if campaign else api.links.page_of_all(after, limit)
    )
    if campaign and not page:
        await api.campaigns.existing(campaign, "campaign")
    next_after = page[-1].number if len(page) == limit else None
    urls = await api.urls_of(*(link.campaign for link in page))
    links = [shapes.link_out(link, urls[link.campaign]) for link in page]
    return answered(LinkPageOut(links=links, next_after=next_after))


async def get_link(request: Request) -> Response:
    """A link."""
    api = services(request)
    return answered(await api.link_out(await _link(request, api)))


async def patch_link(request: Request) -> Response:
    """Changes a link: where it leads, when it expires, whether it is in use."""
    api = services(request)
    patch = parse(LinkPatch, await requests.json_body(request, api.body_max_bytes))
    changes: dict[str, Any] = {}
    if "destination" in patch.model_fields_set:
        changes["destination"] = api.policy.accept(patch.destination)
    if "disabled" in patch.model_fields_set:
        changes["disabled"] = patch.disabled
    if "expires_at" in patch.model_fields_set:
        changes["expires_at"] = to_ms(patch.expires_at)
    changed = await api.links.change(_number(request), lambda link: replace(link, **changes))
    return answered(await api.link_out(changed))


async def post_urls(request: Request) -> Response:
    """A tracked URL for each recipient, a line each, sent as they are made."""
    api = services(request)
    wanted = parse(RecipientsIn, await requests.json_body(request, api.body_max_bytes))
    link = await _link(request, api)
    urls = api.urls.of(await campaign_for_recipients(api.campaigns, link.campaign))
    return StreamingResponse(_lines(link, wanted.recipients, urls), media_type="application/x-ndjson")


async def _lines(link: Link, recipients: list[str], urls: TrackedURLs) -> AsyncIterator[str]:
    for start in range(0, len(recipients), LINES_A_CHUNK):
        yield "".join(
            json.dumps({"recipient": recipient, "url": url}, ensure_ascii=False) + "\n"
            for recipient, url in urls.each(link.number, recipients[start : start + LINES_A_CHUNK])
        )
        await asyncio.sleep(0)  # a million URLs take seconds; others are answered in between


async def _link(request: Request, api: Services) -> Link:
    number = _number(request)
    link = await api.links.get(number)
    if link is None:
        raise UnknownLink(f"there is no link {number}", remedy="see GET /v1/links?campaign=")
    return link


def _number(request: Request) -> int:
    text = request.path_params["id"]
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise UnknownLink("a link's number is a whole number", part=text[:40], remedy="see GET /v1/links?campaign=")
    return int(text)
