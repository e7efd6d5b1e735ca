"""The API's endpoints: each parses, does one act, and responds."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from redirector import report as reports
from redirector.check import Checker
from redirector.destinations import Destination, DestinationPolicy
from redirector.errors import BodyTooLarge, InvalidInput, RedirectorError, UnknownLink
from redirector.links import Campaign, Link, Tracking, campaign_name, label_text, topic_names
from redirector.metrics import MAILS_SENT
from redirector.mint import TrackedURLs, campaign_for_recipients, create_campaign, mint
from redirector.problems import problem
from redirector.rewrite import MAX_MAIL_BYTES, Action, Rewritten, Wishes, rewrite
from redirector.shape import Shape
from redirector.store import idempotency
from redirector.store.api_keys import ApiKey
from redirector.store.campaigns import Campaigns
from redirector.store.counters import Counters
from redirector.store.keys import Keys
from redirector.store.links import Links, Minted
from redirector.store.records import campaign_from
from redirector.web import requests, shapes
from redirector.web.guard import Guard
from redirector.wire import (
    MAX_CHECKED_A_REQUEST,
    MAX_LINKS_A_REQUEST,
    CampaignIn,
    CampaignPatch,
    FiguresOut,
    LinkIn,
    LinkListOut,
    LinkOut,
    LinkPageOut,
    LinkPatch,
    RecipientsIn,
    TopicOut,
    TopicsOut,
    parse,
    parse_json,
    to_ms,
)

LINES_A_CHUNK: Final = 500
MAX_LINK: Final = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Services:
    """What the endpoints work with."""

    redis: Redis
    keys: Keys
    links: Links
    campaigns: Campaigns
    counters: Counters
    guard: Guard
    policy: DestinationPolicy
    urls: TrackedURLs
    checker: Checker
    topics_max: int
    body_max_bytes: int
    min_cell: int
    clock: Callable[[], float]

    def now(self) -> int:
        """This moment in Unix ms."""
        return int(self.clock() * 1000)

    async def urls_of(self, *names: str) -> Mapping[str, TrackedURLs]:
        """What makes the tracked URLs of each of these campaigns. With one host, the store need not be asked."""
        if not self.urls.others:
            return dict.fromkeys(names, self.urls)
        records = await self.campaigns.records(list(dict.fromkeys(names)))
        known = {name: campaign_from(name, record) for name, record in records.items()}
        return {name: self.urls.of(known.get(name)) for name in names}

    async def link_out(self, link: Link) -> LinkOut:
        """A link as it is answered."""
        return shapes.link_out(link, (await self.urls_of(link.campaign))[link.campaign])

    async def mint(self, drafts: Mapping[int, Link]) -> dict[int, Minted | RedirectorError]:
        """Mints links; see `mint.mint`."""
        return await mint(self.links, drafts, topics_max=self.topics_max, now=self.now())


def services(request: Request) -> Services:
    """The services of the application that the request came to, with the policy that its key is bound by."""
    found = request.app.state.services
    assert isinstance(found, Services)  # noqa: S101 - internal_app puts it there
    holder: ApiKey | None = getattr(request.state, "holder", None)
    if holder is None or not holder.destinations:
        return found
    return replace(found, policy=found.policy.for_key(holder.destinations))


async def post_campaign(request: Request) -> Response:
    """Creates a campaign."""
    api = services(request)
    wanted = parse(CampaignIn, await requests.json_body(request, api.body_max_bytes))
    campaign, created = await create_campaign(api.campaigns, _campaign(wanted, api), wanted.model_fields_set)
    if created:
        MAILS_SENT.inc(campaign.sent or 0)
    return _json(shapes.campaign_out(campaign, api.urls), 201 if created else 200)


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
    return _json(shapes.campaign_out(changed, api.urls))


async def post_links(request: Request) -> Response:
    """Mints one link, or each of a list."""
    api = services(request)
    raw = await requests.body(request, api.body_max_bytes)
    requests.require_media_type(request, "application/json")
    wanted = parse_json(raw)
    rows = wanted if isinstance(wanted, list) else [wanted]
    if len(rows) > MAX_LINKS_A_REQUEST:
        raise BodyTooLarge(f"the list has more than {MAX_LINKS_A_REQUEST:,} links", remedy="send it in parts")
    check = requests.flag(request, "check")
    if check and len(rows) > MAX_CHECKED_A_REQUEST:
        raise BodyTooLarge(
            f"more than {MAX_CHECKED_A_REQUEST} links are not checked at once",
            remedy="send them in parts, or mint them and run `redirector links check`",
        )
    pointers = [f"/{row}" for row in range(len(rows))] if isinstance(wanted, list) else [""]
    if key := request.headers.get("idempotency-key"):
        attempt = await idempotency.begin(api.redis, api.keys, holder=request.state.holder.id, key=key, body=raw)
        answers = await _mint_rows_once(rows, pointers, attempt, api, check=check)
    else:
        answers = await _mint_rows(rows, pointers, {}, api, check=check)
    if isinstance(wanted, list):
        urls = await api.urls_of(*(of.link.campaign for of in answers if isinstance(of, Minted)))
        links = [
            problem(of) if isinstance(of, RedirectorError) else shapes.link_out(of.link, urls[of.link.campaign])
            for of in answers
        ]
        return _json(LinkListOut(links=links), _status_of_list(answers))
    (answer,) = answers
    if isinstance(answer, RedirectorError):
        raise answer
    return _json(await api.link_out(answer.link), 201 if answer.created else 200)


async def _mint_rows_once(
    rows: Sequence[Any], pointers: Sequence[str], attempt: idempotency.Attempt, api: Services, *, check: bool
) -> list[Minted | RedirectorError]:
    """As `_mint_rows`, but what an earlier request with this Idempotency-Key made is made."""
    known = await api.links.those({*attempt.numbers} - {idempotency.NO_LINK})
    made = {row: Minted(known[each], created=False) for row, each in enumerate(attempt.numbers) if each in known}
    answers = await _mint_rows(rows, pointers, made, api, check=check)
    numbers = [answer.link.number if isinstance(answer, Minted) else idempotency.NO_LINK for answer in answers]
    await idempotency.remember(api.redis, attempt, numbers)
    return answers


async def _mint_rows(
    rows: Sequence[Any], pointers: Sequence[str], made: Mapping[int, Minted], api: Services, *, check: bool
) -> list[Minted | RedirectorError]:
    """Each row's link or error, in their order; what is `made` already stays. A pointer says where in the body."""
    outcome: dict[int, Minted | RedirectorError] = {**made}
    drafts: dict[int, Link] = {}
    for row, (pointer, wanted) in enumerate(zip(pointers, rows, strict=True)):
        if row in made:
            continue
        try:
            drafts[row] = _draft(parse(LinkIn, wanted, pointer), api, pointer)
        except InvalidInput as error:
            outcome[row] = error
    if check:
        broken = await _broken(drafts, pointers, api)
        outcome |= broken
        drafts = {row: draft for row, draft in drafts.items() if row not in broken}
    for row, answer in (await api.mint(drafts)).items():
        if isinstance(answer, RedirectorError):
            answer.field = pointers[row] + answer.field
        outcome[row] = answer
    return [outcome[row] for row in range(len(rows))]


async def _broken(drafts: Mapping[int, Link], pointers: Sequence[str], api: Services) -> dict[int, RedirectorError]:
    """The drafts whose destinations were asked and do not answer well, each with what speaks against it."""
    wanted = {draft.destination.stored for draft in drafts.values()}
    found = {checked.destination: checked async for checked in api.checker.each(wanted, api.policy)}
    refusals = {
        row: found[draft.destination.stored].refusal(pointers[row] + "/destination") for row, draft in drafts.items()
    }
    return {row: refusal for row, refusal in refusals.items() if refusal}


def _status_of_list(answers: list[Minted | RedirectorError]) -> int:
    if any(isinstance(answer, RedirectorError) for answer in answers):
        return 207
    return 201 if any(isinstance(answer, Minted) and answer.created for answer in answers) else 200


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
    return _json(LinkPageOut(links=links, next_after=next_after))


async def get_link(request: Request) -> Response:
    """A link."""
    api = services(request)
    return _json(await api.link_out(await _link(request, api)))


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
    return _json(await api.link_out(changed))


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
        return await asyncio.to_thread(lambda: _json(shapes.rewrite_out(rewritten, wishes.charset)))
    headers = {"content-type": request.headers["content-type"], "redirector-links": _counts(rewritten)}
    return Response(rewritten.mail, headers=headers)


def _counts(rewritten: Rewritten) -> str:
    """How many links were tracked, skipped, refused and planted, for a header."""
    actions = [link.action for link in rewritten.links]
    return "; ".join(f"{action.value}={actions.count(action)}" for action in Action)


async def get_topics(request: Request) -> Response:
    """How much interest each topic found."""
    api = services(request)
    totals = await api.counters.totals()  # before the topics: what is in the sum is then in its rows as well
    interests = await reports.topics(api.links, api.counters, api.keys, api.now())
    topics = [
        TopicOut(
            topic=of.topic,
            clicks=of.clicks,
            figures=FiguresOut.of(of.clicks),
            unique_clickers=of.unique_clickers,
        )
        for of in interests
    ]
    return _json(TopicsOut(topics=topics, clicks=totals, figures=FiguresOut.of(totals)))


async def get_report(request: Request) -> Response:
    """What a campaign achieved."""
    api = services(request)
    name = request.path_params["name"]
    report = await reports.report(name, api.campaigns, api.links, api.counters, api.keys, min_cell=api.min_cell)
    return _json(shapes.report_out(report))


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


def _draft(wanted: LinkIn, api: Services, pointer: str) -> Link:
    return Link(
        number=0,
        destination=api.policy.accept(wanted.destination, pointer + "/destination"),
        campaign=campaign_name(wanted.campaign, pointer + "/campaign"),
        topics=topic_names(wanted.topics, pointer + "/topics"),
        label=label_text(wanted.label, pointer + "/label"),
        expires_at=_to_come(to_ms(wanted.expires_at), api.now(), pointer + "/expires_at"),
        created_at=api.now(),
    )


def _to_come(expires_at: int | None, now: int, pointer: str) -> int | None:
    if expires_at is not None and expires_at <= now:
        raise InvalidInput("the link would have expired already", field=pointer, remedy="choose a later moment")
    return expires_at


def _json(shape: Shape, status: int = 200) -> Response:
    return Response(shape.model_dump_json(), status, media_type="application/json")
