"""What a click takes of the program's own code: with no HTTP server, store or other process that could disturb it."""

import asyncio
import time
from collections.abc import Callable
from itertools import count
from typing import Any, Final, cast

from starlette.types import Message, Scope

from redirector import gateways
from redirector.codes import Codes
from redirector.links import Campaign, Link
from redirector.networks import Networks
from redirector.opted_out import OptedOut
from redirector.web.redirects import Redirects
from tests.benchmarks.figures import Figures
from tests.builders import SECRET, a_campaign, a_link

LINK: Final = a_link(number=7)
CAMPAIGN: Final = a_campaign()
CLICKS: Final = 5_000
HEADERS: Final = (
    (b"host", b"news.example.com"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"),
    (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    (b"accept-language", b"en-US,en;q=0.5"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"upgrade-insecure-requests", b"1"),
    (b"sec-fetch-dest", b"document"),
    (b"sec-fetch-mode", b"navigate"),
)


class _OneLink:
    """A replica that knows one link."""

    opted_out = OptedOut()

    def known(self, _: int) -> tuple[Link, Campaign]:
        return LINK, CAMPAIGN


class _NoStore:
    """A recorder whose store has every click at once, and a salt that it was told."""

    def hand_in(self, _: bytes, go_on: Callable[[], None]) -> None:
        """Drops it."""
        self.go_on = go_on

    def at(self, _: int) -> bytes:
        return b"s" * 32


def redirecting(figures: Figures, *, rounds: int) -> None:
    """The CPU time of a recorded click from its scope to its packed fields and its answer's bytes; the least of all."""
    codes, numbers = Codes(SECRET), count(2**61)
    store = _NoStore()
    redirects = Redirects(
        _unreachable,
        codes=codes,
        replica=cast("Any", _OneLink()),
        recorder=cast("Any", store),
        salt=cast("Any", store),
        networks=Networks(),
        gateways=gateways.known(),
        click_ids=lambda: str(next(numbers)),
        codes_in_memory=1_000,
    )
    code = codes.encode(LINK.number, 0).encode()
    scope: Scope = {"type": "http", "method": "GET", "headers": list(HEADERS), "client": ("127.0.0.1", 1234)}
    asyncio.run(redirects({**scope, "raw_path": b"/d/" + code}, _receive, _send))  # from now on the code is known
    taken = [_seconds(redirects, store, {**scope, "raw_path": b"/c/" + code}) for _ in range(rounds + 1)]
    least = min(taken[1:]) / CLICKS * 1e6
    figures.add("own_redirect_cpu_us", least)
    figures.table("The program's own part of a redirect", ("", "CPU us"), {"a recorded click": [least]})


def _seconds(redirects: Redirects, store: _NoStore, scope: Scope) -> float:
    answers: list[bytes] = []
    began = time.process_time()
    for _ in range(CLICKS):
        redirects.take(scope, answers.append)
        store.go_on()
    used = time.process_time() - began
    assert len(answers) == CLICKS
    return used


async def _receive() -> Message:
    raise AssertionError


async def _send(_: Message) -> None:
    """Nobody reads it."""


async def _unreachable(*_: object) -> None:
    raise AssertionError
