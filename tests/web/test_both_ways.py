"""A redirect's short and long way lead to the same: the answer, the click on the stream, and the numbers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import REGISTRY
from starlette.types import Scope

from redirector.forwarded import Proxies, network
from redirector.links import Link, Tracking
from redirector.metrics import hand_on
from redirector.store.keys import Keys
from redirector.web.redirects import Redirects
from redirector.web.short_way import SendHead
from tests.builders import NOON, a_destination
from tests.store.stores import until
from tests.web.ports import PublicPort, public_port
from tests.web.sockets import exchange, parsed, request

A_BROWSER = (
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"),
    ("Accept-Language", "de-CH"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Referer", "https://mail.example.org/inbox"),
)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each request, in their order, whether it went the short way."""
    taken = []
    take = Redirects.take

    def noting(redirects: Redirects, scope: Scope, send_head: SendHead) -> bool:
        taken.append(take(redirects, scope, send_head))
        return taken[-1]

    monkeypatch.setattr(Redirects, "take", noting)
    return taken


@contextmanager
def by_the_long_way() -> Iterator[None]:
    """Nothing is taken while the block lasts: connections that begin in it know of no short way."""
    take = Redirects.take
    del Redirects.take
    try:
        yield
    finally:
        Redirects.take = take  # type: ignore[method-assign] # as it was


def outcomes() -> dict[str, float]:
    """How many requests came to each outcome so far."""
    hand_on()
    return {
        sample.labels["outcome"]: sample.value
        for metric in REGISTRY.collect()
        if metric.name == "redirector_redirects"
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


async def ask(public: PublicPort, sent: bytes, method: str) -> tuple[Any, ...]:
    """The answer, the click on the stream without what no two have in common, and the outcomes."""
    before, clicks_before = outcomes(), len(await public.clicks())
    reply = parsed(await exchange(public.address, sent), method=method)
    after = outcomes()
    clicks = [{**click, "id": ""} for click in (await public.clicks())[clicks_before:]]
    return reply.timeless, clicks, {name: after[name] - before.get(name, 0) for name in after}


async def link_of(public: PublicPort, kind: str) -> tuple[Link, str]:
    """A link of this kind, and the recipient to ask for it as."""
    match kind:
        case "individual":
            await public.campaign(tracking=Tracking.INDIVIDUAL, consent="crm")
            return await public.link(), "ann"
        case "over":
            await public.campaign(fallback_url=a_destination("https://www.example.com/over"))
            return await public.link(expires_at=NOON), ""
        case "honeypot":
            return await public.link(honeypot=True), ""
        case _:
            return await public.link(), ""


ASKED = {"by GET": ("GET", ()), "by HEAD": ("HEAD", ()), "with an objection": ("GET", (("Sec-GPC", "1"),))}


@pytest.mark.parametrize("kind", ["aggregate", "individual", "over", "honeypot"])
@pytest.mark.parametrize("door", ["c", "d"])
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
async def test_both_ways_do_the_same(
    public: PublicPort, short: list[bool], kind: str, door: str, asked: tuple[str, tuple[tuple[str, str], ...]]
) -> None:
    """Byte for byte in the answer, and field for field in the click."""
    method, objection = asked
    link, recipient = await link_of(public, kind)
    sent = request(method, f"/{door}/{public.code(link, recipient)}", [*A_BROWSER, *objection])
    with by_the_long_way():
        long = await ask(public, sent, method)

    assert await ask(public, sent, method) == long
    assert short == [True]


LONG: dict[str, Callable[[str], bytes]] = {
    "another method": lambda path: request("POST", path),
    "an altered code": lambda path: request("GET", path + "x"),
    "another door": lambda path: request("GET", path.replace("/c/", "/e/")),
    "an absolute address": lambda path: request("GET", "http://news.example.com" + path),
    "an upgrade": lambda path: request("GET", path, [("Connection", "Upgrade"), ("Upgrade", "h2c")]),
}


@pytest.mark.parametrize("asked", LONG.values(), ids=LONG.keys())
async def test_what_is_out_of_the_ordinary_goes_the_long_way(
    public: PublicPort, short: list[bool], asked: Callable[[str], bytes]
) -> None:
    """The short way answers nothing but what memory has, asked for in the plainest form."""
    path = public.path(await public.link())
    await public.get(path)

    await exchange(public.address, asked(path))

    assert True not in short


async def test_nobody_is_sent_on_before_the_click_is_safe(
    public: PublicPort, short: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer waits for the recorder, and the time that it waits is on the metrics."""
    path = public.path(await public.link())
    await public.get(path)
    waiting: list[Callable[[], None]] = []
    monkeypatch.setattr(public.recorder, "hand_in", lambda _, go_on: waiting.append(go_on))
    before = seconds_of_redirects()
    answer = asyncio.create_task(public.get(path))
    await until(lambda: waiting)
    await asyncio.sleep(0.2)

    assert not answer.done()
    waiting[0]()
    assert (await answer).status == 302
    assert short == [False, True]
    assert seconds_of_redirects() >= before + 0.2


def seconds_of_redirects() -> float:
    """How long all redirects took so far."""
    hand_on()
    return REGISTRY.get_sample_value("redirector_redirect_duration_seconds_sum") or 0.0


async def test_each_recipients_first_click_goes_the_short_way(public: PublicPort, short: list[bool]) -> None:
    """A code that was never seen needs no store, once its link is known."""
    await public.campaign(tracking=Tracking.INDIVIDUAL, consent="crm")
    link = await public.link()

    for reader in ("ann", "bob", "cid"):
        await public.get(public.path(link, reader))

    assert short == [False, True, True]


async def test_link_that_is_over_has_its_page_on_the_long_way(public: PublicPort, short: list[bool]) -> None:
    """A link that was clicked before, and then ended: the page, and one outcome."""
    link = await public.link(expires_at=NOON + 1)
    await public.get(public.path(link))
    public.clock.now = NOON + 1
    before = outcomes()

    reply = await public.get(public.path(link))

    assert (reply.status, short) == (410, [False, False])
    assert outcomes()["gone"] == before["gone"] + 1


async def test_opt_out_holds_on_the_short_way(public: PublicPort, short: list[bool]) -> None:
    """Of a recipient who opted out nothing is recorded, however often the link was clicked before."""
    await public.campaign(tracking=Tracking.INDIVIDUAL, consent="crm")
    link = await public.link()
    path = public.path(link, "ann")
    replies = [await public.get(path), await public.get(path)]
    token = public.codes.recipient_token("ann")
    public.replica.opted_out.add(token)
    try:
        before = outcomes()

        replies.append(await public.get(path))

        assert short == [False, True, True]
        assert outcomes()["opted_out"] == before["opted_out"] + 1
        assert len(await public.clicks()) == 2
        assert {reply.status for reply in replies} == {302}
    finally:
        public.replica.opted_out.discard(token)


async def test_click_that_cannot_be_made_costs_its_reader_nothing(
    public: PublicPort, short: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody foresaw is counted as one lost click, and the reader goes on."""

    def failing(*_: object, **__: object) -> None:
        raise RuntimeError("nobody foresaw it")

    path = public.path(await public.link())
    await public.get(path)
    monkeypatch.setattr("redirector.web.redirects.classify", failing)
    before = lost()

    reply = await public.get(path)

    assert (reply.status, short) == (302, [False, True])
    assert lost() == before + 1


def lost() -> float:
    """How many clicks were lost so far because of errors that nobody foresaw."""
    return REGISTRY.get_sample_value("redirector_clicks_lost_total", {"reason": "failed"}) or 0.0


class TestThroughProxies:
    """Behind a proxy that is trusted the short way is open too, and sees the reader."""

    @pytest.fixture
    async def public(self, store_url: str, keys: Keys) -> AsyncIterator[PublicPort]:
        """The public port behind a proxy."""
        async with public_port(store_url, keys, proxies=Proxies([network("127.0.0.1")])) as port:
            yield port

    async def test_reader_is_told_from_another(self, public: PublicPort, short: list[bool]) -> None:
        """The visitor is the one whom the proxy names, and the same as on the long way."""
        link = await public.link()

        def seen(reader: str) -> tuple[tuple[str, str], ...]:
            return (*A_BROWSER, ("X-Forwarded-For", reader))

        visitors = [
            (await public.click(link, *seen(reader)))["visitor"]
            for reader in ("203.0.113.1", "203.0.113.1", "203.0.113.2")
        ]

        assert short == [False, True, True]
        assert visitors[0] == visitors[1] != visitors[2]
