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

from redirector import facts
from redirector.codes import Codes
from redirector.destinations import Destination
from redirector.errors import StoreError
from redirector.follow import follow
from redirector.ledger import CLICKS, NEVER, NO_READERS, OCCASIONS, is_kept, ledger
from redirector.links import Campaign, Link, Tracking
from redirector.replica import Replica
from redirector.settings import Settings
from redirector.web import pages
from redirector.web.answers import page_answer
from redirector.web.look import framed
from redirector.web.rendering import rendered

PRIVACY_PATH: Final = b"/privacy/"
RETRY_AFTER: Final = {"retry-after": "2"}


class PrivacyPages:
    """`/privacy` and `/privacy/{code}`, from the running settings."""

    def __init__(
        self, settings: Settings, *, codes: Codes, replica: Replica, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._ledger = ledger(settings)
        self._codes = codes
        self._replica = replica
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
        if decoded is None:
            return page_answer(404, pages.UNKNOWN)
        try:
            found = self._replica.known(decoded.link) or await self._replica.ask(decoded.link)
        except StoreError:
            return page_answer(503, pages.UNAVAILABLE, RETRY_AFTER)
        if found is None:
            return page_answer(404, pages.UNKNOWN)
        objects = facts.read("GET", "", request.scope["headers"]).objects
        return page_answer(200, self._of_link(code, *found, personal=bool(decoded.recipient), objects=objects))

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
        return framed("What is recorded here", body)

    def _of_link(self, code: str, link: Link, campaign: Campaign, *, personal: bool, objects: bool) -> bytes:
        """The page of a link. `personal`: its code was made for one reader; `objects`: the browser sends GPC or DNT."""
        individual = personal and campaign.tracking is Tracking.INDIVIDUAL
        target, is_destination = follow(link, campaign, int(self._clock() * 1000))
        fields = next(place.fields for place in self._ledger if place.name == CLICKS)
        kept = [field for field in fields if is_kept(field.when, individual=individual, objects=objects)]
        body = rendered(
            "privacy_of_link.html",
            operator=self._settings,
            code=code,
            link=link,
            campaign=campaign,
            destination=target and as_browsers_read(target),
            records=target is not None and is_destination,
            personal=personal,
            individual=individual,
            objects=objects,
            kept=kept,
            spared=[field for field in fields if field not in kept],
            never=NEVER,
        )
        return framed("About this link", body)


def as_browsers_read(destination: Destination) -> tuple[str, str, str]:
    """What comes before the host, the host, and what comes behind it, where a browser would go."""
    url = URL(destination.sent)
    return f"{url.protocol}//", url.host, url.pathname + url.search + url.hash
