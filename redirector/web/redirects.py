"""The hot path: a click's way from its request to its destination.

The code is read out of the path as it was sent; the link comes from memory, or once from the store; the click is
classed, stripped of what may not be kept, and handed to the recorder, which answers when the store has it; then the
reader is sent on. A link that this machine knows goes a short way past ASGI, and everything else the long one; what is
decided on them is the same.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from redirector import agents
from redirector.access_log import AccessLog
from redirector.classify import RULES_VERSION, classify
from redirector.clicks import Click, packed
from redirector.codes import Codes, Decoded
from redirector.destinations import Destination
from redirector.errors import StoreError
from redirector.facts import RequestFacts, read
from redirector.follow import Outcome, follow
from redirector.gateways import Gateways
from redirector.hosts import NO_HOSTS, Hosts, host_header
from redirector.limits import Limiter
from redirector.links import Campaign, Link, Tracking
from redirector.metrics import REDIRECTS
from redirector.networks import Networks
from redirector.privacy import kept, visitor_of
from redirector.recent import Recent
from redirector.record import Recorder
from redirector.replica import Replica
from redirector.store.salts import DAY_MS, DailySalt
from redirector.web import pages
from redirector.web.answers import ALWAYS
from redirector.web.look import PAGE_HEADERS
from redirector.web.short_way import SendHead
from redirector.web.strangers import wait_of_stranger

CLICK_PATH: Final = b"/c/"
UNTRACKED_PATH: Final = b"/d/"

DOORS: Final = (CLICK_PATH, UNTRACKED_PATH)
METHODS: Final = frozenset({"GET", "HEAD"})

Answer = tuple[Message, Message]

# What becomes of a request, what answers it, and the click to record first, b"" if there is none.
Followed = tuple[Outcome, Answer | Destination, bytes]


def _answer(status: int, body: bytes = b"", headers: Iterable[tuple[bytes, bytes]] = ()) -> Answer:
    kind = PAGE_HEADERS if body else ()
    length = (b"content-length", str(len(body)).encode())
    start = {"type": "http.response.start", "status": status, "headers": [*headers, *ALWAYS, *kind, length]}
    return start, {"type": "http.response.body", "body": body}


UNKNOWN: Final = _answer(404, pages.UNKNOWN)
GONE: Final = _answer(410, pages.GONE)
UNAVAILABLE: Final = _answer(503, pages.UNAVAILABLE, [(b"retry-after", b"2")])
NOT_ALLOWED: Final = _answer(405, pages.NOT_ALLOWED, [(b"allow", b"GET, HEAD")])

# A redirect's answer but for the server's own headers, as the short way sends it.
REDIRECT: Final = b"".join(
    (
        b"HTTP/1.1 302 Found\r\nlocation: %b\r\n",
        *(b"%b: %b\r\n" % header for header in ALWAYS),
        b"content-length: 0\r\n",
    )
)


class Redirects:
    """Answers `/c/` and `/d/` ahead of the router, which everything else goes to."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        codes: Codes,
        replica: Replica,
        recorder: Recorder,
        salt: DailySalt,
        networks: Networks,
        gateways: Gateways,
        click_ids: Callable[[], str],
        codes_in_memory: int,
        unknown_codes: Limiter | None = None,
        hosts: Hosts = NO_HOSTS,
        access_log: AccessLog | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        # A mailing's clicks come with the same codes again and again: checking one takes 3 us, looking it up 0.2.
        self._decode = codes.decode
        self._decoded: Recent[str, Decoded] = Recent(codes_in_memory)
        self._replica = replica
        self._recorder = recorder
        self._salt = salt
        self._networks = networks
        self._gateways = gateways
        self._click_ids = click_ids
        self._unknown_codes = unknown_codes
        self._hosts = hosts
        self._access_log = access_log
        self._clock = clock
        REDIRECTS.expect(Outcome)

    def take(self, scope: Scope, send_head: SendHead) -> bool:
        """The short way, which nearly every click goes: nothing is waited for but the recorder (see `short_way`)."""
        began = time.perf_counter()
        path: bytes = scope["raw_path"]
        if not path.startswith(DOORS) or scope["method"] not in METHODS:
            return False
        decoded = self._code_of(path)
        found = decoded and self._replica.known(decoded.link)
        if not decoded or not found:
            return False
        outcome, target, click = self._follow(scope, decoded, found)
        if not isinstance(target, Destination):
            return False
        go_on = partial(_send_on, send_head, REDIRECT % target.sent.encode("ascii"), outcome, began)
        if click:
            self._recorder.hand_in(click, go_on)
        else:
            asyncio.get_running_loop().call_soon(go_on)
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The long way: a link may have to be asked for first, and there are answers that send nobody on."""
        if not scope.get("raw_path", b"").startswith(DOORS):
            await self._app(scope, receive, self._noting(scope, send))
            return
        began = time.perf_counter()
        outcome = Outcome.FAILED  # unless it gets to the end
        try:
            outcome, answer, click = await self._answer_to(scope)
            if click:
                await self._recorder.record(click)
            await self._send(answer, scope, send)
        except Exception:  # the server answers and logs it
            self._note(500, scope)
            raise
        finally:
            REDIRECTS.count(outcome, time.perf_counter() - began)

    def _code_of(self, path: bytes) -> Decoded | None:
        code = path[3:].decode("latin-1")
        decoded = self._decoded.get(code)
        if decoded is None:
            decoded = self._decode(code)
            if decoded:  # whoever invents codes does not get the real ones forgotten
                self._decoded.put(code, decoded)
        return decoded

    async def _answer_to(self, scope: Scope) -> Followed:
        if scope["method"] not in METHODS:
            return Outcome.NOT_ALLOWED, NOT_ALLOWED, b""
        decoded = self._code_of(scope["raw_path"])
        if decoded is None:
            return self._unknown(scope)
        try:
            found = self._replica.known(decoded.link) or await self._replica.ask(decoded.link)
        except StoreError:
            return Outcome.UNAVAILABLE, UNAVAILABLE, b""
        return self._follow(scope, decoded, found) if found else self._unknown(scope)

    def _follow(self, scope: Scope, decoded: Decoded, found: tuple[Link, Campaign]) -> Followed:
        link, campaign = found
        now = int(self._clock() * 1000)
        target, is_destination = follow(link, campaign, now)
        if target is None:
            fallback = self._hosts.at(host_header(scope["headers"])).fallback
            return (Outcome.FALLBACK, fallback, b"") if fallback else (Outcome.GONE, GONE, b"")
        if not is_destination:
            return Outcome.FALLBACK, target, b""
        if not scope["raw_path"].startswith(CLICK_PATH):
            return Outcome.UNTRACKED, target, b""
        outcome, click = self._click_of(scope, decoded, link, campaign, now)
        return outcome, target, click

    def _click_of(
        self, scope: Scope, decoded: Decoded, link: Link, campaign: Campaign, now: int
    ) -> tuple[Outcome, bytes]:
        """The click to record, unless its reader opted out. Whatever is wrong with it, the reader goes on."""
        try:
            facts = facts_of(scope)
            if self._replica.opted_out and self._has_opted_out(facts, decoded.recipient, now):
                return Outcome.OPTED_OUT, b""
            return Outcome.REDIRECTED, packed(self._click(facts, decoded, link, campaign, now))
        except Exception as error:  # noqa: BLE001 - foreseen or not, a reader is not to suffer from it
            self._recorder.lose(error)
            return Outcome.REDIRECTED, b""

    def _unknown(self, scope: Scope) -> Followed:
        """The one answer for every unknown code, unless the address asks for too many."""
        if wait := wait_of_stranger(self._unknown_codes, scope, self._clock()):
            return Outcome.TOO_MANY, _answer(429, pages.TOO_MANY, [(b"retry-after", b"%d" % wait)]), b""
        return Outcome.UNKNOWN, UNKNOWN, b""

    def _has_opted_out(self, facts: RequestFacts, recipient: int, now: int) -> bool:
        """Whether the recipient has, or this address and browser today.

        While the day's salt is not known, anybody may be a visitor who opted out; then nobody is recorded as one.
        """
        opted_out = self._replica.opted_out
        if recipient and recipient in opted_out:
            return True
        if not opted_out.has_visitors_of(now // DAY_MS):
            return False
        visitor = visitor_of(facts, self._salt.at(now), now)
        return visitor in opted_out if visitor else not recipient

    def _click(self, facts: RequestFacts, decoded: Decoded, link: Link, campaign: Campaign, now: int) -> Click:
        agent = agents.read(facts.user_agent)
        rule = classify(facts, agent, self._gateways, honeypot=link.honeypot)
        recipient = decoded.recipient if campaign.tracking is Tracking.INDIVIDUAL else 0
        network = self._networks.of(facts.address)
        keep = kept(facts, agent, recipient=recipient, salt=self._salt.at(now), network=network)
        own = (self._click_ids(), now, link.number, link.campaign, link.topics)
        return Click(*own, rule.class_, rule.name, RULES_VERSION, *keep)  # by their names it takes 1 us more

    async def _send(self, answer: Answer | Destination, scope: Scope, send: Send) -> None:
        if isinstance(answer, Destination):
            answer = _answer(302, headers=[(b"location", answer.sent.encode("ascii"))])
        else:
            send = self._noting(scope, send)
        for message in answer:
            await send(message)

    def _noting(self, scope: Scope, send: Send) -> Send:
        """`send`, for an answer that sends nobody on: a failure goes to the access log, if there is one."""
        if self._access_log is None:
            return send

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                self._note(message["status"], scope)
            await send(message)

        return sending

    def _note(self, status: int, scope: Scope) -> None:
        if self._access_log:
            facts = facts_of(scope)
            self._access_log.note(status, "" if facts.objects else facts.address)


def _send_on(send_head: SendHead, head: bytes, outcome: Outcome, began: float) -> None:
    send_head(head)
    REDIRECTS.count(outcome, time.perf_counter() - began)


def facts_of(scope: Scope) -> RequestFacts:
    """What a request tells of itself."""
    client = scope.get("client")
    return read(scope["method"], client[0] if client else "", scope["headers"])
