"""A tracked URL is answered to the letter of the contract, and its untracked twin like it."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from redirector.codes import Codes
from redirector.links import Tracking
from redirector.metrics import hand_on
from tests.builders import NOON, SECRET, a_destination
from tests.web.ports import PublicPort
from tests.web.sockets import exchange, parsed, replies, request

SAFE = [
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-robots-tag", b"noindex, nofollow"),
]
A_BROWSER = ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")

DESTINATIONS = {
    "plain": "https://www.example.com/offer",
    "host alone": "https://www.example.com",
    "braces, pipe, caret": "https://www.example.com/{a}|b^c?{d}|e^f",
    "space inside": "https://www.example.com/a b?c d",
    "quotes": "https://www.example.com/'a'\"b\"`c`?'a'\"b\"",
    "angle brackets and backslash": "https://www.example.com/<a>\\b",
    "escapes in both cases": "https://www.example.com/%2f%2F%c3%A9%zz%",
    "dots that a parser would remove": "https://www.example.com/a/../b/./c//d",
    "capitals in the host": "HTTPS://WWW.Example.COM/A",
    "a port and a fragment": "http://www.example.com:8080/a#b?c=d",
    "as long as may be": "https://www.example.com/" + "a" * (2048 - 24),
}


@pytest.mark.parametrize("url", DESTINATIONS.values(), ids=DESTINATIONS.keys())
async def test_location_is_the_destination_byte_for_byte(public: PublicPort, url: str) -> None:
    """The Location header holds exactly the bytes that the marketer gave."""
    link = await public.link(url)

    reply = await public.get(public.path(link))

    assert reply.header("location") == url.encode()


async def test_unicode_destination_is_sent_as_ascii(public: PublicPort) -> None:
    """A Unicode host goes out as its A-label, and the rest percent-encoded, since a header holds nothing else."""
    link = await public.link("https://bücher.example.com/straße?größe=ü#ö")

    reply = await public.get(public.path(link))

    assert reply.header("location") == (b"https://xn--bcher-kva.example.com/stra%C3%9Fe?gr%C3%B6%C3%9Fe=%C3%BC#%C3%B6")


async def test_head_of_the_answer_is_the_contract(public: PublicPort) -> None:
    """302, the headers that the contract lists and the date, nothing else: no cookie, no server's name."""
    link = await public.link("https://www.example.com/{a}|b^c")

    reply = await public.get(public.path(link), A_BROWSER)

    assert reply.timeless == (
        b"HTTP/1.1 302 Found",
        [
            (b"location", b"https://www.example.com/{a}|b^c"),
            *SAFE,
            (b"content-length", b"0"),
            (b"connection", b"close"),
        ],
        b"",
    )


async def test_head_request_is_answered_like_a_get(public: PublicPort) -> None:
    """HEAD gets the same head, and no body."""
    link = await public.link()
    path = public.path(link)

    assert (await public.ask("HEAD", path)).timeless == (await public.get(path)).timeless


async def test_head_request_of_an_unknown_code_has_no_body(public: PublicPort) -> None:
    """HEAD of what is unknown announces the page's length, and sends nothing of it."""
    page = await public.get("/c/nothing")

    received = await exchange(public.address, request("HEAD", "/c/nothing"))

    assert received.endswith(b"\r\n\r\n")
    assert parsed(received, method="HEAD").header("content-length") == str(len(page.body)).encode()


async def test_untracked_twin_redirects_the_same_and_records_nothing(public: PublicPort) -> None:
    """`/d/` answers what `/c/` does, and the stream does not grow."""
    link = await public.link()
    tracked = await public.get(public.path(link))

    untracked = await public.get(f"/d/{public.code(link)}", A_BROWSER)

    assert untracked.timeless == tracked.timeless
    assert len(await public.clicks()) == 1


@pytest.mark.parametrize("more", ["?utm_source=x", "?", "?a=%ff&b=/c/"], ids=["parameters", "bare", "odd"])
async def test_query_string_is_ignored(public: PublicPort, more: str) -> None:
    """What mail programs append to a tracked URL changes nothing, and does not travel on."""
    link = await public.link()

    reply = await public.get(f"{public.path(link)}{more}")

    assert reply.header("location") == b"https://www.example.com/offer"


async def test_absolute_form_of_the_address_is_understood(public: PublicPort) -> None:
    """A proxy may ask with the whole URL in the request line (RFC 9112, 3.2.2)."""
    link = await public.link()

    reply = await public.get(f"http://news.example.com{public.path(link)}")

    assert reply.status == 302


async def test_requests_may_come_one_after_the_other(public: PublicPort) -> None:
    """Several requests sent at once over one connection are answered in their order."""
    urls = ["https://www.example.com/1", "https://www.example.com/2", "https://www.example.com/3"]
    paths = [public.path(await public.link(url)) for url in urls]
    pipelined = b"".join(request("GET", path, close=False) for path in paths[:2]) + request("GET", paths[2])

    received = replies(await exchange(public.address, pipelined))

    assert [reply.header("location") for reply in received] == [url.encode() for url in urls]


def changed(code: str) -> str:
    """The code with its last character replaced."""
    return code[:-1] + ("a" if code[-1] != "a" else "b")


# What may stand in a code's place, made from a code that is good.
UNKNOWN: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "last character changed": changed,
    "first character changed": lambda code: ("a" if code[0] != "a" else "b") + code[1:],
    "truncated": lambda code: code[:-1],
    "extended": lambda code: code + "a",
    "cases swapped": str.swapcase,
    "percent-encoded": lambda code: f"%{ord(code[0]):02X}{code[1:]}",
    "trailing slash": lambda code: code + "/",
    "leading slash": lambda code: "/" + code,
    "trailing space, escaped": lambda code: code + "%20",
    "semicolon parameters": lambda code: code + ";a=b",
    "NUL, escaped": lambda code: code + "%00",
    "no ASCII, escaped": lambda code: "%C3%BC" + code,
    "no UTF-8, escaped": lambda code: "%FF" + code,
    "10 kB": lambda code: code * (10_000 // len(code) + 1),
    "dots": lambda _: "..",
    "dots before it": lambda code: "../c/" + code,
}


@pytest.mark.parametrize("alter", UNKNOWN.values(), ids=UNKNOWN.keys())
@pytest.mark.parametrize("place", ["/c/", "/d/"])
async def test_altered_code_is_not_found(public: PublicPort, place: str, alter: Callable[[str], str]) -> None:
    """Whatever is not to the letter a code of this installation gets the same page, and is no click."""
    code = public.code(await public.link())
    page = await public.get("/c/nothing")

    reply = await public.get(place + alter(code))

    assert reply.status == 404
    assert reply.timeless == page.timeless
    assert await public.clicks() == []


async def test_code_of_a_retired_key_is_not_found(public: PublicPort) -> None:
    """A code that was signed with a key which no longer counts gets the same page as one that never existed."""
    link = await public.link()
    retired = Codes(SECRET, ["another key of thirty-two letters"]).encode(link.number, 0)

    assert (await public.get(f"/c/{retired}")).timeless == (await public.get("/c/nothing")).timeless


async def test_good_code_of_no_link_is_not_found(public: PublicPort) -> None:
    """A code that is authentic, for a link that the store does not have, gets the same page too."""
    missing = public.codes.encode(12_345, 0)

    assert (await public.get(f"/c/{missing}")).timeless == (await public.get("/c/nothing")).timeless


async def test_page_for_the_unknown_says_nothing_of_the_request(public: PublicPort) -> None:
    """The page is small HTML under the same headers as a redirect, and no letter of the request is in it."""
    reply = await public.get("/c/hereIam", ("X-Also", "hereIam"))

    assert reply.headers[1:] != []
    assert [header for header in reply.headers if header in SAFE] == SAFE
    assert reply.header("content-type") == b"text/html; charset=utf-8"
    assert len(reply.body) < 2_000
    assert b"hereIam" not in reply.body


async def test_unknown_codes_do_not_reach_the_store(public: PublicPort) -> None:
    """Codes that cannot be authentic are refused by arithmetic alone: the store sees no command for them."""
    code = public.code(await public.link())
    before = await commands(public)

    for alter in UNKNOWN.values():
        await public.get("/c/" + alter(code))

    assert await commands(public) == before


async def commands(public: PublicPort) -> dict[str, int]:
    """How often each command was called, without those that follow the list of changes."""
    stats: Any = await public.redis.info("commandstats")
    following = {"cmdstat_xread", "cmdstat_xrange", "cmdstat_xrevrange", "cmdstat_hmget", "cmdstat_info"}
    return {name: counted["calls"] for name, counted in stats.items() if name not in following}


async def test_unknown_codes_are_not_remembered(public: PublicPort) -> None:
    """Whoever sends one long code after another fills no memory with them."""
    await public.get("/c/nothing")
    tracemalloc.start()
    try:
        answers = {(await public.get(f"/c/{number}".ljust(30_000, "x"))).status for number in range(300)}
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert answers == {404}
    assert held < 3_000_000  # of the 9 MB that were sent


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("place", ["/c/", "/d/"])
async def test_other_methods_are_not_allowed(public: PublicPort, place: str, method: str) -> None:
    """Only GET and HEAD follow a link; others are told so, and are no clicks."""
    link = await public.link()

    reply = await public.ask(method, place + public.code(link))

    assert reply.status == 405
    assert reply.header("allow") == b"GET, HEAD"
    assert await public.clicks() == []


ENDS = {
    "disabled": {"disabled": True},
    "expired this moment": {"expires_at": NOON},
    "expired long ago": {"expires_at": 0},
}


@pytest.mark.parametrize("properties", ENDS.values(), ids=ENDS.keys())
async def test_link_that_is_over_is_gone(public: PublicPort, properties: dict[str, Any]) -> None:
    """A link that was disabled or has expired answers 410 with a page, and records nothing."""
    link = await public.link(**properties)

    reply = await public.get(public.path(link))

    assert reply.status == 410
    assert b"no longer in use" in reply.body
    assert await public.clicks() == []


@pytest.mark.parametrize("properties", ENDS.values(), ids=ENDS.keys())
async def test_link_that_is_over_leads_to_the_fallback(public: PublicPort, properties: dict[str, Any]) -> None:
    """Where the campaign has a fallback, a link that is over leads there, and records nothing."""
    await public.campaign(fallback_url=a_destination("https://www.example.com/{over}"))
    link = await public.link(**properties)

    reply = await public.get(public.path(link))

    assert (reply.status, reply.header("location")) == (302, b"https://www.example.com/{over}")
    assert await public.clicks() == []


async def test_link_expires_at_its_moment(public: PublicPort) -> None:
    """A millisecond before its end a link still leads to its destination."""
    link = await public.link(expires_at=NOON + 1)
    before = await public.get(public.path(link))

    public.clock.now = NOON + 1

    assert before.status == 302
    assert (await public.get(public.path(link))).status == 410


async def test_campaign_that_expired_ends_its_links(public: PublicPort) -> None:
    """The end of a campaign is the end of all its links."""
    await public.campaign(expires_at=NOON)
    link = await public.link()

    assert (await public.get(public.path(link))).status == 410


async def test_recipients_code_leads_to_the_same_destination(public: PublicPort) -> None:
    """A recipient's own URL leads where the link leads."""
    await public.campaign(tracking=Tracking.INDIVIDUAL, consent="crm")
    link = await public.link()

    reply = await public.get(public.path(link, "reader-1"))

    assert reply.header("location") == b"https://www.example.com/offer"


async def test_request_that_fails_is_counted(public: PublicPort, caplog: pytest.LogCaptureFixture) -> None:
    """A mistake of the program's own on the way to an answer is an outcome too: no availability without it."""
    link = await public.link()
    before = failures()
    public.clock.now = "no number"  # type: ignore[assignment]

    reply = await public.get(public.path(link))

    assert reply.status == 500
    assert failures() - before == 1
    assert "TypeError" in caplog.text


def failures() -> float:
    """How many requests failed in this process."""
    hand_on()
    return REGISTRY.get_sample_value("redirector_redirects_total", {"outcome": "failed"}) or 0.0
