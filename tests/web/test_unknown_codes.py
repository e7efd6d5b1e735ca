"""Who asks for one unknown code after the other is told to wait; readers are not, and nobody else is either."""

import secrets
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import REGISTRY

from redirector.forwarded import Proxies, network
from redirector.limits import Limiter
from redirector.metrics import hand_on
from redirector.store.keys import Keys
from tests.builders import NOON
from tests.web.ports import PublicPort, public_port

A_MINUTE = 5


@pytest.fixture
async def guarded(store_url: str, keys: Keys) -> AsyncIterator[PublicPort]:
    """A public port that allows five unknown codes a minute, and trusts one proxy."""
    limiter = Limiter(per_second=A_MINUTE / 60, burst=A_MINUTE)
    proxies = Proxies([network("127.0.0.2")])
    async with public_port(store_url, keys, proxies=proxies, unknown_codes=limiter) as port:
        yield port


def guess(place: str = "/c/") -> str:
    """The path of a code that nobody made."""
    return place + secrets.token_hex(8)


async def guesses(port: PublicPort, count: int, *headers: tuple[str, str]) -> list[int]:
    """The statuses of so many guesses."""
    return [(await port.get(guess("/c/" if number % 2 else "/d/"), *headers)).status for number in range(count)]


async def test_flood_is_told_to_wait(guarded: PublicPort) -> None:
    """Beyond so many a minute the answer is 429, says when to come again, and repeats nothing of the request."""
    statuses = await guesses(guarded, A_MINUTE)
    path = guess()

    refused = await guarded.get(path)

    assert statuses == [404] * A_MINUTE
    assert refused.status == 429
    assert refused.header("retry-after") == b"12"
    assert refused.header("cache-control") == b"no-store"
    assert refused.header("referrer-policy") == b"no-referrer"
    assert b"Too many links that lead nowhere" in refused.body
    assert path[3:].encode() not in refused.body


async def test_links_go_on_for_whom_guesses(guarded: PublicPort) -> None:
    """A link that is known redirects, and is recorded, for an address that has to wait."""
    link = await guarded.link()
    assert (await guesses(guarded, A_MINUTE + 3))[-1] == 429

    reply = await guarded.get(guarded.path(link))

    assert (reply.status, reply.header("location")) == (302, b"https://www.example.com/offer")
    assert len(await guarded.clicks()) == 1
    assert (await guarded.get(guess())).status == 429


async def test_good_code_of_no_link_counts_too(guarded: PublicPort) -> None:
    """An authentic code without a link is answered like every unknown one, also when there were too many."""
    await guesses(guarded, A_MINUTE)

    assert (await guarded.get(f"/c/{guarded.codes.encode(12_345, 0)}")).status == 429


async def test_pages_and_rights_are_no_way_around_it(guarded: PublicPort) -> None:
    """What else can be asked with a code counts together with links, and a good code is still answered."""
    link = await guarded.link()
    paths = [guess(), guess("/privacy/"), guess("/privacy/") + "/opt-out", guess("/privacy/") + "/erase", guess("/d/")]
    methods = ["GET", "GET", "POST", "POST", "GET"]
    tried = [(await guarded.ask(method, path)).status for method, path in zip(methods, paths, strict=True)]
    refused = [await guarded.ask(method, path) for method, path in zip(methods, paths, strict=True)]

    assert tried == [404] * A_MINUTE
    assert [(reply.status, reply.header("retry-after")) for reply in refused] == [(429, b"12")] * 5
    assert (await guarded.get(f"/privacy/{guarded.code(link)}")).status == 200


async def test_pause_ends_when_it_was_said_to(guarded: PublicPort) -> None:
    """After the seconds of Retry-After one more is answered 404."""
    await guesses(guarded, A_MINUTE + 1)

    guarded.clock.now = NOON + 12_000

    assert await guesses(guarded, 2) == [404, 429]


async def test_other_addresses_are_not_affected(guarded: PublicPort) -> None:
    """One address that floods costs no other one anything."""
    await guesses(guarded, A_MINUTE + 1)

    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.3")
    url = f"http://127.0.0.1:{guarded.address[1]}{guess()}"
    async with httpx.AsyncClient(transport=transport, trust_env=False) as other:
        assert (await other.get(url)).status_code == 404


FORGED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP", "CF-Connecting-IP", "True-Client-IP")


@pytest.mark.parametrize("header", FORGED)
async def test_forged_headers_are_of_no_use(guarded: PublicPort, header: str) -> None:
    """Whatever addresses a stranger claims, all guesses are counted as theirs."""
    claimed = [(header, f"for=198.51.100.{n}" if header == "Forwarded" else f"198.51.100.{n}") for n in range(9)]

    statuses = [(await guarded.get(guess(), each)).status for each in claimed]

    assert statuses == [404] * A_MINUTE + [429] * 4


async def through_proxy(port: PublicPort, *forwarded: str) -> list[int]:
    """The statuses of guesses that come through the trusted proxy, each with this X-Forwarded-For."""
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    url = f"http://127.0.0.1:{port.address[1]}"
    async with httpx.AsyncClient(transport=transport, trust_env=False) as proxy:
        return [(await proxy.get(url + guess(), headers={"x-forwarded-for": each})).status_code for each in forwarded]


async def test_readers_behind_a_proxy_are_told_apart(guarded: PublicPort) -> None:
    """One reader who floods through a trusted proxy costs the others behind it nothing."""
    flood = await through_proxy(guarded, *["203.0.113.9"] * (A_MINUTE + 1))

    assert flood == [404] * A_MINUTE + [429]
    assert await through_proxy(guarded, "203.0.113.10") == [404]


async def test_forging_through_a_proxy_is_of_no_use(guarded: PublicPort) -> None:
    """What a reader wrote stands before what the proxy appended, and is not looked at."""
    statuses = await through_proxy(guarded, *(f"198.51.100.{n}, 203.0.113.9" for n in range(A_MINUTE + 1)))

    assert statuses == [404] * A_MINUTE + [429]


async def test_network_of_ipv6_is_one(guarded: PublicPort) -> None:
    """Who has 2**64 addresses is counted once; the next network is another."""
    statuses = await through_proxy(guarded, *(f"2001:db8:1:2::{n:x}" for n in range(A_MINUTE + 1)))

    assert statuses == [404] * A_MINUTE + [429]
    assert await through_proxy(guarded, "2001:db8:1:3::1") == [404]


async def test_refusals_are_counted(guarded: PublicPort) -> None:
    """They are an outcome of their own: neither unknown nor a trouble of the server."""
    before = too_many()
    await guesses(guarded, A_MINUTE + 2)

    assert too_many() - before == 2


def too_many() -> float:
    """How many requests were answered 429 in this process."""
    hand_on()
    return REGISTRY.get_sample_value("redirector_redirects_total", {"outcome": "too_many"}) or 0.0


async def test_visitors_behind_a_proxy_are_told_apart(guarded: PublicPort) -> None:
    """The visitor hash is made of the reader's address, as a trusted proxy says it, and not of the proxy's."""
    link = await guarded.link()
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    url = f"http://127.0.0.1:{guarded.address[1]}{guarded.path(link)}"
    async with httpx.AsyncClient(transport=transport, trust_env=False) as proxy:
        for reader in ("203.0.113.9", "203.0.113.10", "198.51.100.1, 203.0.113.9"):
            await proxy.get(url, headers={"x-forwarded-for": reader})

    first, second, third = (click["visitor"] for click in await guarded.clicks())
    assert first == third != second
