"""The API's endpoints for campaigns: each parses, does one act, and responds."""

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from redirector.destinations import Destination, DestinationPolicy
from redirector.errors import InvalidInput
from redirector.links import Campaign, Tracking, campaign_name
from redirector.metrics import MAILS_SENT
from redirector.mint import TrackedURLs, create_campaign
from redirector.web import requests, shapes
from redirector.web.services import Services, answered, services
from redirector.wire import CampaignIn, CampaignPatch, parse, to_ms


async def post_campaign(request: Request) -> Response:
    """Creates a campaign."""
    api = services(request)
    wanted = parse(CampaignIn, await requests.json_body(request, api.body_max_bytes))
    campaign, created = await create_campaign(api.campaigns, _campaign(wanted, api), wanted.model_fields_set)
    if created:
        MAILS_SENT.inc(campaign.sent or 0)
    return answered(shapes.campaign_out(campaign, api.urls), 201 if created else 200)


async def patch_campaign(request: Request) -> Response:
    """Changes a campaign."""
    api = services(request)
    patch = parse(CampaignPatch, await requests.json_body(request, api.body_max_bytes))
    changes: dict[str, Any] = {}
    if "sent" in patch.model_fields_set:
        changes["sent"] = patch.sent
    for moment in ("sent_at", "expires_at"):
        if moment in patch.model_fields_set:
            changes[moment] = to_ms(getattr(patch, moment))
    if "fallback_url" in patch.model_fields_set:
        changes["fallback_url"] = _fallback(patch.fallback_url, api.policy)
    if "base_url" in patch.model_fields_set:
        changes["base_url"] = _base_url(patch.base_url, api.urls)
    sent_before = 0

    def patched(campaign: Campaign) -> Campaign:
        nonlocal sent_before
        sent_before = campaign.sent or 0
        return replace(campaign, **changes)

    changed = await api.campaigns.change(request.path_params["name"], patched)
    MAILS_SENT.inc(max(0, (changed.sent or 0) - sent_before))
    return answered(shapes.campaign_out(changed, api.urls))


def _campaign(wanted: CampaignIn, api: Services) -> Campaign:
    return Campaign(
        name=campaign_name(wanted.name, "/name"),
        tracking=Tracking(wanted.tracking),
        consent=wanted.consent,
        sent=wanted.sent,
        sent_at=to_ms(wanted.sent_at),
        fallback_url=_fallback(wanted.fallback_url, api.policy),
        expires_at=to_ms(wanted.expires_at),
        created_at=api.now(),
        base_url=_base_url(wanted.base_url, api.urls),
    )


def _base_url(wanted: str | None, urls: TrackedURLs) -> str:
    """The host that a campaign is to have, as it is stored: nothing stands for the main address."""
    plain = (wanted or urls.base_url).rstrip("/")
    if plain not in {urls.base_url, *urls.others}:
        raise InvalidInput(
            "this installation has no such host",
            field="/base_url",
            part=plain,
            remedy=f"use {' or '.join((urls.base_url, *sorted(urls.others)))}, or add it to the setting hosts",
        )
    return "" if plain == urls.base_url else plain


def _fallback(url: str | None, policy: DestinationPolicy) -> Destination | None:
    return None if url is None else policy.accept(url, "/fallback_url")
