"""Looks whether a destination answers: asks it, and follows its redirects by hand, each judged like a destination.

A check is polite: 8 at once, each host once a second, 10 s a link, 5 redirects. What is not seen: redirects by a page's
script or markup, and whether the page is the one that was meant.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Final, Literal

from ada_url import URL

from redirector.ask import Answered, Asker
from redirector.destinations import DestinationPolicy
from redirector.errors import BrokenDestination, InvalidDestination

MAX_REDIRECTS: Final = 5
LINK_SECONDS: Final = 10.0
HOST_EVERY_SECONDS: Final = 1.0
AT_ONCE: Final = 8
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

# Sites answer programs so that they would let a person in: nothing can be said of the link.
SHUT: Final = frozenset({401, 403, 407, 429})

# Checks under way at one moment, most of them waiting for a turn: 3 kB each (tracemalloc; 256 that wait, under uvloop).
# More than a server's longest wait has turns (a minute), so that those beyond it are told at once that their host is
# busy.
WINDOW: Final = 256

# Says nothing of the destination: others wait for its host.
BUSY: Final = "busy"

# Hosts whose last turn is remembered, before those are forgotten whose next turn has come anyway.
HOSTS_REMEMBERED: Final = 1_000


class Verdict(StrEnum):
    """What a check says of a destination."""

    ANSWERS = "answers"
    UNSURE = "unsure"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: `hops` are the URLs that were asked, in their order; `reason` is a stable word, or empty."""

    destination: str
    verdict: Verdict
    hops: tuple[str, ...]
    status: int | None = None
    reason: str = ""
    detail: str = ""

    def refusal(self, field: str) -> BrokenDestination | None:
        """What speaks against minting a link to it, if something does."""
        if self.verdict is not Verdict.BROKEN:
            return None
        return BrokenDestination(
            self.detail,
            reason=self.reason,
            field=field,
            part=self.hops[-1] if self.hops else self.destination,
            remedy="open it in a browser, and correct it or mint it without a check",
        )


def judged(status: int) -> tuple[Verdict, str, str]:
    """Verdict, reason and sentence of an answer that leads nowhere else."""
    if status in SHUT:
        return Verdict.UNSURE, "shut", f"it answers {status}: perhaps to programs only"
    if 200 <= status < 300:
        return Verdict.ANSWERS, "", ""
    return Verdict.BROKEN, "status", f"it answers {status}"


def next_hop(url: str, location: bytes, policy: DestinationPolicy) -> str:
    """Where an answer of `url` leads on, as browsers read it; raises InvalidDestination if no link may lead there."""
    try:
        text = location.decode()
    except UnicodeDecodeError:
        text = location.decode("latin-1")
    try:
        target = URL(text, base=url).href
    except ValueError:
        raise BrokenDestination("it redirects to what is no URL", reason="redirect", part=text) from None
    return URL(policy.accept(target).sent).href


@dataclass(slots=True)
class Pace:
    """When each host may be asked again."""

    _turns: dict[str, float] = field(default_factory=dict)

    def seconds_until_turn(self, host: str, now: float, longest: float = math.inf) -> float | None:
        """How long to wait before asking the host, whose next turn is a second after that; None: for too long."""
        if len(self._turns) > HOSTS_REMEMBERED:
            self._turns = {other: turn for other, turn in self._turns.items() if turn > now}
        turn = max(now, self._turns.get(host, now))
        if turn - now > longest:
            return None
        self._turns[host] = turn + HOST_EVERY_SECONDS
        return turn - now


class Checker:
    """Checks destinations, many at once. `sleep` and `clock` (in seconds) are the loop's and the machine's.

    A host whose next turn is more than `longest_wait` seconds away is not asked: on a server, others wait already.
    """

    def __init__(
        self,
        asker: Asker,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        link_seconds: float = LINK_SECONDS,
        longest_wait: float = math.inf,
    ) -> None:
        self._asker = asker
        self._clock = clock
        self._sleep = sleep
        self._link_seconds = link_seconds
        self._longest_wait = longest_wait
        self._pace = Pace()
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def each(self, destinations: Iterable[str], policy: DestinationPolicy) -> AsyncIterator[Checked]:
        """Each destination once, as they answer."""
        wanted = iter(dict.fromkeys(destinations))
        running: set[asyncio.Task[Checked]] = set()
        try:
            while True:
                more = islice(wanted, WINDOW - len(running))
                running |= {asyncio.create_task(self.check(each, policy)) for each in more}
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for check in done:
                    yield check.result()
        finally:
            for check in running:
                check.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def check(self, destination: str, policy: DestinationPolicy) -> Checked:
        """Whether the destination answers; whatever is wrong with it is the answer, and never raised."""
        hops: list[str] = []
        try:
            status = await self._followed(destination, policy, hops)
        except InvalidDestination as refusal:
            led_on = hops and not isinstance(refusal, BrokenDestination)
            detail = f"it redirects to {refusal.part!r}: {refusal.detail}" if led_on else refusal.detail
            verdict = Verdict.UNSURE if refusal.reason == BUSY else Verdict.BROKEN
            return Checked(destination, verdict, tuple(hops), None, refusal.reason, detail)
        verdict, reason, detail = judged(status)
        return Checked(destination, verdict, tuple(hops), status, reason, detail)

    async def _followed(self, destination: str, policy: DestinationPolicy, hops: list[str]) -> int:
        """The status at the end of the way, of which each step is put into `hops` before it is taken."""
        url, seconds = URL(policy.accept(destination).sent).href, self._link_seconds
        while True:
            hops.append(url)
            answered, seconds = await self._answer(url, seconds)
            if answered.status not in REDIRECTS or not answered.location:
                return answered.status
            if len(hops) > MAX_REDIRECTS:
                raise BrokenDestination(f"it redirects more than {MAX_REDIRECTS} times", reason="redirects")
            url = next_hop(url, answered.location, policy)

    async def _answer(self, url: str, seconds: float) -> tuple[Answered, float]:
        """The answer, and the seconds that are left. Some servers refuse HEAD: what GET gets is what a reader gets."""
        try:
            answered, seconds = await self._paced("HEAD", url, seconds)
        except BrokenDestination as error:
            if error.reason != "protocol":
                raise
        else:
            if answered.status < 400:
                return answered, seconds
        return await self._paced("GET", url, seconds)

    async def _paced(self, method: Literal["HEAD", "GET"], url: str, seconds: float) -> tuple[Answered, float]:
        wait = self._pace.seconds_until_turn(URL(url).hostname, self._clock(), self._longest_wait)
        if wait is None:
            raise BrokenDestination("too many checks wait for its host: try again later", reason=BUSY)
        await self._sleep(wait)
        async with self._at_once:
            began = self._clock()
            try:
                async with asyncio.timeout(seconds):
                    answered = await self._asker.ask(method, url)
            except TimeoutError:
                raise BrokenDestination("it does not answer in time", reason="timeout") from None
            return answered, seconds - (self._clock() - began)
