"""What a reader may ask for, with the code of a link that they were sent, and without an account.

Only a POST does it, which a form sends: scanners follow links. What a POST brings along is not read. What the store
has not taken is never said to be done. No POST is in the audit, which anybody could push all else out of so: the worker
notes there what it has erased.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from redirector.clickers import is_visitor
from redirector.codes import Codes
from redirector.errors import StoreError, StoreUnavailable
from redirector.limits import Limiter
from redirector.privacy import visitor_of
from redirector.replica import Replica
from redirector.store.erasures import Erasures
from redirector.store.people import People
from redirector.store.salts import DAY_MS, DailySalt
from redirector.web import pages
from redirector.web.answers import page_answer
from redirector.web.redirects import facts_of
from redirector.web.strangers import unknown_code, wait_of_stranger

RETRY_AFTER: Final = {"retry-after": "30"}
TOMORROW: Final = {"retry-after": "86400"}

_LASTING: Final = (
    "This link is the same for everybody, so we only know your browser and address of today, and only until midnight "
    "(UTC). For a lasting way turn on Global Privacy Control in your browser, which we honour on every click."
)
VISITOR_OPTED_OUT: Final = pages.page(
    "Nothing more is recorded today", f"Our links go on working, and leave no trace of you. {_LASTING}"
)
_ERASED: Final = (
    "usually within a minute. Where one of our machines could not deliver a click yet, it is erased when it arrives. "
    "Sums in which clicks were counted stay: they tell nobody apart. What you click from now on is recorded as before, "
    "unless you opt out."
)
RECIPIENT_ERASED: Final = pages.page(
    "Your clicks are being erased", f"Every click of yours up to this moment leaves our records, {_ERASED}"
)
VISITOR_ERASED: Final = pages.page(
    "Your last clicks are being erased",
    f"What this address and browser left today and yesterday leaves our records, {_ERASED} Earlier clicks cannot be "
    "found any more: this link is the same for everybody, and what tells its readers apart lasts for two days.",
)
NOT_NOW: Final = pages.page(
    "That could not be done just now", "Nothing was changed, as far as we know. Please try again in a minute."
)
TOO_OFTEN: Final = pages.page(
    "Too many requests", "Nothing was changed: too much was asked for from your address. Please try again in a minute."
)
NO_ROOM: Final = pages.page(
    "That cannot be done today",
    "Nothing was changed: too many readers asked for the same. Please try again tomorrow, or turn on Global Privacy "
    "Control in your browser, which we honour on every click.",
)


class Rights:
    """The POSTs of a reader. `opt_out_days` is how long an opt-out is kept, 0 for ever; `requests` says how many an
    address may send; `clock` gives Unix seconds.
    """

    def __init__(
        self,
        *,
        codes: Codes,
        replica: Replica,
        people: People,
        erasures: Erasures,
        salt: DailySalt,
        opt_out_days: int,
        unknown_codes: Limiter | None = None,
        requests: Limiter | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._codes = codes
        self._replica = replica
        self._people = people
        self._erasures = erasures
        self._salt = salt
        self._unknown_codes = unknown_codes
        self._requests = requests
        self._clock = clock
        how_long = f"for {opt_out_days} days" if opt_out_days else "for good"
        self._recipient_opted_out = pages.page(
            "You are opted out",
            f"From now on, and {how_long}, nothing is recorded when you follow a link in our mails, also in those that "
            "you have already. The links go on working.",
        )

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/privacy/{code}/opt-out", self.opt_out, methods=["POST"]),
            Route("/privacy/{code}/erase", self.erase, methods=["POST"]),
        ]

    async def opt_out(self, request: Request) -> Response:
        """From now on nothing is recorded of this clicker."""
        return await self._done(request, self._opt_out)

    async def erase(self, request: Request) -> Response:
        """What was recorded of this clicker up to now is erased."""
        return await self._done(request, self._erase)

    async def _opt_out(self, _: Request, clicker: int, now: int) -> bytes | None:
        if not await self._people.has_room_for(clicker):
            return None
        await self._people.opt_out(clicker, now)
        self._replica.opted_out.add(clicker)  # at once here; other processes hear of it in a moment
        return VISITOR_OPTED_OUT if is_visitor(clicker) else self._recipient_opted_out

    async def _erase(self, request: Request, clicker: int, now: int) -> bytes | None:
        if not await self._erasures.has_room_for(clicker):
            return None
        if is_visitor(clicker):
            yesterday = visitor_of(facts_of(request.scope), await self._salt.before(now), now - DAY_MS)
            for visitor in (clicker, yesterday):
                if visitor is not None:
                    await self._erasures.ask(visitor, now)
            return VISITOR_ERASED
        await self._erasures.ask(clicker, now)
        return RECIPIENT_ERASED

    async def _done(self, request: Request, act: Callable[[Request, int, int], Awaitable[bytes | None]]) -> Response:
        if wait := wait_of_stranger(self._requests, request.scope, self._clock()):
            return page_answer(429, TOO_OFTEN, {"retry-after": str(wait)})
        now = int(self._clock() * 1000)
        try:
            clicker = await self._clicker(request, now)
            if clicker is None:
                return unknown_code(self._unknown_codes, request.scope, self._clock())
            page = await act(request, clicker, now)
            return page_answer(200, page) if page else page_answer(503, NO_ROOM, TOMORROW)
        except StoreError:
            return page_answer(503, NOT_NOW, RETRY_AFTER)

    async def _clicker(self, request: Request, now: int) -> int | None:
        """Who asks: the recipient that the code names, or else the visitor of today; None if the code is unknown.

        Raises StoreError.
        """
        code: str = request.path_params["code"]
        decoded = self._codes.decode(code)
        # A code that was percent-encoded is another one, here as in a tracked URL.
        if decoded is None or f"/{code}/".encode() not in request.scope["raw_path"]:
            return None
        if (self._replica.known(decoded.link) or await self._replica.ask(decoded.link)) is None:
            return None
        clicker = decoded.recipient or visitor_of(facts_of(request.scope), self._salt.at(now), now)
        if clicker is None:
            raise StoreUnavailable("the day's salt is not known, so no visitor is")
        return clicker
