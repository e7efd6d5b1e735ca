"""`POST /v1/rewrite`: a mail comes in, and goes out with its links tracked."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from redirector.links import campaign_name, topic_names
from redirector.mint import campaign_for_recipients
from redirector.rewrite import MAX_MAIL_BYTES, Action, Rewritten, Wishes, rewrite
from redirector.web import requests, shapes
from redirector.web.services import answered, services


async def post_rewrite(request: Request) -> Response:
    """A mail with its links tracked."""
    api = services(request)
    requests.require_media_type(request, "text/html")
    wishes = Wishes(
        campaign=campaign_name(requests.required(request, "campaign"), "campaign"),
        topics=topic_names(request.query_params.getlist("topic"), "topic"),
        recipient=request.query_params.get("recipient", ""),
        charset=requests.charset(request),
        never=frozenset(request.query_params.getlist("never")),
        honeypot=request.query_params.get("honeypot", ""),
    )
    dry_run = requests.flag(request, "dry_run")
    mail = await requests.body(request, min(api.body_max_bytes, MAX_MAIL_BYTES))
    if wishes.recipient:
        await campaign_for_recipients(api.campaigns, wishes.campaign, "recipient")
    urls = (await api.urls_of(wishes.campaign))[wishes.campaign]
    rewritten = await rewrite(
        mail, wishes, policy=api.policy, urls=urls, mint=None if dry_run else api.mint, now=api.now()
    )
    if "application/json" in request.headers.get("accept", ""):
        return await asyncio.to_thread(lambda: answered(shapes.rewrite_out(rewritten, wishes.charset)))
    headers = {"content-type": request.headers["content-type"], "redirector-links": _counts(rewritten)}
    return Response(rewritten.mail, headers=headers)


def _counts(rewritten: Rewritten) -> str:
    """How many links were tracked, skipped, refused and planted, for a header."""
    actions = [link.action for link in rewritten.links]
    return "; ".join(f"{action.value}={actions.count(action)}" for action in Action)
