"""What readers are told: what is recorded, by whom, and what a link that they hold leads to and records.

Looking records nothing and changes nothing. What the sender wrote (names, topics, destinations) is hostile here.
"""

import time
from collections.abc import Callable
from functools import cached_property
from typing import Final

from ada_url import URL
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from redirector.codes import Codes
from redirector.destinations import Destination
from redirector.errors import StoreError
from redirector.follow import follow
from redirector.hosts import NO_HOSTS, Hosts, host_header
from redirector.ledger import CLICKS, NEVER, NO_READERS, OCCASIONS, is_kept, ledger
from redirector.limits import Limiter
from redirector.links import Campaign, Link, Tracking
from redirector.privacy import visitor_of
from redirector.replica import Replica
from redirector.settings import Settings
from redirector.store.salts import DailySalt
from redirector.web import pages
from redirector.web.answers import page_answer
from redirector.web.look import PRIVACY, framed
from redirector.web.redirects import facts_of
from redirector.web.rendering import rendered
from redirector.web.strangers import unknown_code

PRIVACY_PATH: Final = b"/privacy/"


class PrivacyPages:
    """`/privacy` and `/privacy/{code}`, from the running settings."""

    def __init__(
        self,
        settings: Settings,
        *,
        codes: Codes,
        replica: Replica,
        salt: DailySalt,
        hosts: Hosts = NO_HOSTS,
        unknown_codes: Limiter | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._ledger = ledger(settings)
        self._codes = codes
        self._replica = replica
        self._salt = salt
        self._hosts = hosts
        self._unknown_codes = unknown_codes
        self._clock = clock

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/privacy", self.everything, methods=["GET"]),
            Route("/privacy/{code}", self.of_link, methods=["GET"]),
        ]

    async def everything(self, _: Request) -> Response:
        """What is recorded, field by field."""
        return page_answer(200, self._everything)

    async def of_link(self, request: Request) -> Response:
        """Where a link leads, and what a click on it would record of whoever asks."""
        code = request.scope["raw_path"].removeprefix(PRIVACY_PATH).decode("latin-1")
        decoded = self._codes.decode(code)
        try:
            found = decoded and (self._replica.known(decoded.link) or await self._replica.ask(decoded.link))
        except StoreError:
            return page_answer(503, pages.UNAVAILABLE, {"retry-after": "2"})
        if not (decoded and found):
            return unknown_code(self._unknown_codes, request.scope, self._clock())
        return page_answer(200, self._of_link(code, decoded.recipient, *found, request.scope))

    @cached_property
    def _everything(self) -> bytes:
        of_readers = [place for place in self._ledger if not {field.when for field in place.fields} <= NO_READERS]
        body = rendered(
            "privacy.html",
            operator=self._settings,
            of_readers=of_readers,
            others=[place for place in self._ledger if place not in of_readers],
            never=NEVER,
            occasions=OCCASIONS,
        )
        return framed("What is recorded here", body, PRIVACY)

    def _of_link(self, code: str, recipient: int, link: Link, campaign: Campaign, scope: Scope) -> bytes:
        """The page of a link, for whoever the request comes from; `recipient` is 0 in a code for everybody."""
        now = int(self._clock() * 1000)
        facts = facts_of(scope)
        target, is_destination = follow(link, campaign, now)
        target = target or self._hosts.at(host_header(scope["headers"])).fallback
        has_agreed = bool(recipient) and campaign.tracking is Tracking.INDIVIDUAL
        clickers = (recipient, visitor_of(facts, self._salt.at(now), now))
        fields = next(place.fields for place in self._ledger if place.name == CLICKS)
        kept = [field for field in fields if is_kept(field.when, individual=has_agreed, objects=facts.objects)]
        body = rendered(
            "privacy_of_link.html",
            operator=self._settings,
            code=code,
            link=link,
            campaign=campaign,
            destination=target and as_browsers_read(target),
            is_over=not is_destination,
            is_personal=bool(recipient),
            has_agreed=has_agreed,
            has_opted_out=any(clicker in self._replica.opted_out for clicker in clickers if clicker),
            objects=facts.objects,
            kept=kept,
            spared=[field for field in fields if field not in kept],
            never=NEVER,
        )
        return framed("About this link", body, PRIVACY)


def as_browsers_read(destination: Destination) -> tuple[str, str, str]:
    """What comes before the host, the host, and what comes behind it, where a browser would go.

    What no browser can open, because somebody changed the store's record, has no host.
    """
    try:
        url = URL(destination.sent)
    except ValueError:
        return destination.sent, "", ""
    return f"{url.protocol}//", url.host, url.pathname + url.search + url.hash
