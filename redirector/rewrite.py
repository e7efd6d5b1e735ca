"""Rewrites a mail: finds its links, mints them, and puts their tracked URLs in their place, byte for byte.

On request it plants a honeypot too: one more link, which no reader can see. Who follows it reads the mail's source.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from ada_url import URL

from redirector.destinations import DestinationPolicy
from redirector.emails import FoundLink, apply, edits_for, find_links, place_to_plant, planting
from redirector.emails.skip import HONEYPOT
from redirector.errors import BodyTooLarge, InvalidInput, RedirectorError, UnreadableMail
from redirector.links import Link, topic_names
from redirector.mint import TrackedURLs
from redirector.store.links import Minted

Mint = Callable[[Mapping[int, Link]], Awaitable[Mapping[int, Minted | RedirectorError]]]

# Far more than a mail has; minting them takes seconds, in portions between which readers' clicks are recorded.
MAX_LINKS_A_MAIL: Final = 10_000

# Mail programs cut a mail off at 0.1 MB. The parser, in whichever thread, stops the others for 40 ms a megabyte.
MAX_MAIL_BYTES: Final = 10 * 1024 * 1024

# Stands in a dry run where a code would, so that a person can see which links would change.
DRY_RUN_CODE: Final = "dry-run-{}"


class Action(StrEnum):
    """What happened to a link."""

    TRACKED = "tracked"
    SKIPPED = "skipped"
    REFUSED = "refused"
    PLANTED = "planted"


@dataclass(frozen=True, slots=True)
class RewrittenLink:
    """A link of the mail, what happened to it, and why; `reason` is a stable word, `detail` a sentence."""

    destination: str
    url: str | None
    topics: tuple[str, ...]
    action: Action
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A mail with tracked URLs, and its links in the order of its text; the last may be one that was planted."""

    mail: bytes
    links: list[RewrittenLink]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller wants: the campaign, the topics of links that name none, and perhaps one recipient.

    Links to a URL of `never` are left alone; the mail's List-Unsubscribe header names such ones (RFC 8058).
    `honeypot` is where a link leads that is planted and that no reader sees; "" plants none.
    """

    campaign: str
    topics: tuple[str, ...] = ()
    recipient: str = ""
    charset: str | None = None
    never: frozenset[str] = frozenset()
    honeypot: str = ""


async def rewrite(
    mail: bytes, wishes: Wishes, *, policy: DestinationPolicy, urls: TrackedURLs, mint: Mint | None, now: int
) -> Rewritten:
    """The mail with its links tracked; links that may not be are left as they are, each with the reason.

    Without `mint` it is a dry run: nothing is made, and codes are placeholders. Reading and writing the mail is done
    in a thread: it takes seconds for one of megabytes. Raises UnreadableMail, StoreError, InvalidDestination when a
    honeypot may not lead where it is to, and BodyTooLarge when the mail has more than 10,000 links, before any is
    minted.
    """
    found, drafts, refusals = await asyncio.to_thread(_read, mail, wishes, policy, urls, now)
    numbers: dict[int, int] = {}
    for row, minted in (await mint(drafts) if mint else {}).items():
        if isinstance(minted, Minted):
            numbers[row] = minted.link.number
        else:
            refusals[row] = minted

    def write() -> Rewritten:
        targets: dict[int, str] = {
            row: urls.url(numbers[row], wishes.recipient) if mint else urls.prefix + DRY_RUN_CODE.format(row + 1)
            for row in drafts
            if row not in refusals
        }
        hidden = [row for row in targets if drafts[row].honeypot]
        seen = {found[row]: url for row, url in targets.items() if row not in hidden}
        edits = [
            *edits_for(mail, seen, charset=wishes.charset),
            *(planting(mail, found[row].start, targets[row], charset=wishes.charset) for row in hidden),
        ]
        links = [
            _outcome(link, drafts.get(row), targets.get(row) if mint else None, refusals.get(row))
            for row, link in enumerate(found)
        ]
        return Rewritten(apply(mail, edits), links)

    return await asyncio.to_thread(write)


def _read(
    mail: bytes, wishes: Wishes, policy: DestinationPolicy, urls: TrackedURLs, now: int
) -> tuple[Sequence[FoundLink], dict[int, Link], dict[int, RedirectorError]]:
    """The mail's links, those to mint, and those that may not be, by their place in the mail; last what is planted."""
    leads_to = policy.accept(wishes.honeypot, "honeypot") if wishes.honeypot else None
    never = {_as_browsers_read(url) for url in wishes.never}
    in_mail = find_links(mail, charset=wishes.charset, tracked_prefixes=urls.prefixes)
    found = [_left_alone(link, never) for link in in_mail]
    if len(found) > MAX_LINKS_A_MAIL:
        raise BodyTooLarge(f"the mail has more than {MAX_LINKS_A_MAIL:,} links", remedy="rewrite it in parts")
    drafts, refusals = _drafts(found, wishes, policy, now)
    if leads_to and all(link.skip != HONEYPOT for link in found):
        row, place = len(found), _place(mail, wishes.charset)
        if place is None:
            refusals[row] = UnreadableMail("the mail ends within a tag, a comment or a script: nothing can follow it")
        else:
            drafts[row] = Link(0, leads_to, wishes.campaign, topics=(), label=HONEYPOT, honeypot=True, created_at=now)
        found.append(FoundLink(place or 0, place or 0, "a", wishes.honeypot, (), None, ""))
    return found, drafts, refusals


def _place(mail: bytes, charset: str | None) -> int | None:
    """Where a honeypot can be planted."""
    try:
        return place_to_plant(mail, charset=charset)
    except UnreadableMail:  # the mail's links could be cut out of it, but this place cannot
        return None


def _left_alone(link: FoundLink, never: Collection[str]) -> FoundLink:
    if not never or link.skip is not None or _as_browsers_read(link.href) not in never:
        return link
    return replace(link, skip="never", skip_detail="The link is one of those that are never to be tracked.")


def _as_browsers_read(url: str) -> str:
    """The URL however it is spelled, or the text itself when it is none."""
    try:
        return URL(url).href
    except ValueError:
        return url


def _drafts(
    found: Sequence[FoundLink], wishes: Wishes, policy: DestinationPolicy, now: int
) -> tuple[dict[int, Link], dict[int, RedirectorError]]:
    """The links to mint, and those that may not be, by their place in the mail."""
    drafts: dict[int, Link] = {}
    refusals: dict[int, RedirectorError] = {}
    for row, link in enumerate(found):
        if link.skip is not None:
            continue
        try:
            drafts[row] = Link(
                number=0,
                destination=policy.accept(link.href, "href"),
                campaign=wishes.campaign,
                topics=topic_names(link.topics or wishes.topics, "data-topic"),
                created_at=now,
            )
        except InvalidInput as error:
            refusals[row] = error
    return drafts, refusals


def _outcome(found: FoundLink, draft: Link | None, url: str | None, refusal: RedirectorError | None) -> RewrittenLink:
    if found.skip is not None:
        return RewrittenLink(found.href, None, found.topics, Action.SKIPPED, found.skip, found.skip_detail)
    if refusal is not None or draft is None:
        reason = getattr(refusal, "reason", "") or (refusal.code if refusal else "")
        return RewrittenLink(found.href, None, found.topics, Action.REFUSED, reason, str(refusal))
    return RewrittenLink(found.href, url, draft.topics, Action.PLANTED if draft.honeypot else Action.TRACKED, "", "")
