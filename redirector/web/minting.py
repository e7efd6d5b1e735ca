"""`POST /v1/links`: one link, or each of a list, of which a bad row spoils no other."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from redirector.errors import BodyTooLarge, InvalidInput, RedirectorError
from redirector.links import Link, campaign_name, label_text, topic_names
from redirector.problems import problem
from redirector.store import idempotency
from redirector.store.links import Minted
from redirector.web import requests, shapes
from redirector.web.services import Services, answered, services
from redirector.wire import MAX_CHECKED_A_REQUEST, MAX_LINKS_A_REQUEST, LinkIn, LinkListOut, parse, parse_json, to_ms


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
        return await _list_answered(answers, api)
    (answer,) = answers
    if isinstance(answer, RedirectorError):
        raise answer
    return answered(await api.link_out(answer.link), 201 if answer.created else 200)


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


async def _list_answered(answers: Sequence[Minted | RedirectorError], api: Services) -> Response:
    minted = [answer for answer in answers if isinstance(answer, Minted)]
    urls = await api.urls_of(*(answer.link.campaign for answer in minted))
    links = [
        problem(of) if isinstance(of, RedirectorError) else shapes.link_out(of.link, urls[of.link.campaign])
        for of in answers
    ]
    created = any(answer.created for answer in minted)
    return answered(LinkListOut(links=links), 207 if len(minted) < len(answers) else 201 if created else 200)


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
