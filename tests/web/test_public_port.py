"""Nothing but redirects, and two small files, is reachable from the internet."""

import json

import pytest

from tests.web.ports import PublicPort
from tests.web.sockets import exchange, parsed

ELSEWHERE = [
    "/",
    "/c",
    "/d",
    "/e/abc",
    "/C/abc",
    "//c/abc",
    "/metrics",
    "/livez",
    "/readyz",
    "/docs",
    "/openapi.json",
    "/v1/links",
    "/v1/campaigns",
    "/v1/topics",
    "/v1/rewrite",
    "/robots.txt/",
    "/Robots.txt",
    "/.well-known/",
    "/.well-known/gpc.json/",
    "/favicon.ico",
    "/%00",
    "/%2e%2e/etc/passwd",
    "/..%2f..%2fmetrics",
    "/c%2Fabc",
]


@pytest.mark.parametrize("path", ELSEWHERE)
async def test_everything_else_is_not_found(public: PublicPort, path: str) -> None:
    """Addresses that are not in the contract's table answer 404 with a page that repeats nothing of them."""
    reply = await public.get(path, ("Host", "evil.example"))

    assert reply.status == 404
    assert reply.header("location") is None
    assert reply.header("cache-control") == b"no-store"
    assert b"There is nothing here" in reply.body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/metrics", "/v1/links", "/"])
async def test_everything_else_is_not_found_by_any_method(public: PublicPort, path: str, method: str) -> None:
    """Other methods find nothing there either."""
    assert (await public.ask(method, path)).status == 404


async def test_crawlers_are_sent_away(public: PublicPort) -> None:
    """robots.txt disallows everything."""
    reply = await public.get("/robots.txt")

    assert (reply.status, reply.body) == (200, b"User-agent: *\nDisallow: /\n")
    assert reply.header("content-type") == b"text/plain; charset=utf-8"


async def test_global_privacy_control_is_announced(public: PublicPort) -> None:
    """gpc.json says, in the words of the GPC specification, that the signal is honoured."""
    reply = await public.get("/.well-known/gpc.json")

    assert reply.header("content-type") == b"application/json"
    assert json.loads(reply.body)["gpc"] is True


@pytest.mark.parametrize("path", ["/robots.txt", "/.well-known/gpc.json"])
async def test_files_can_only_be_read(public: PublicPort, path: str) -> None:
    """Another method of a file is refused, with the methods that it has."""
    reply = await public.ask("POST", path)

    assert reply.status == 405
    assert sorted((reply.header("allow") or b"").split(b", ")) == [b"GET", b"HEAD"]


async def test_public_pages_fetch_nothing(public: PublicPort) -> None:
    """No page of the public port has a script, or anything from another address."""
    for path in ("/", "/c/abc"):
        page = (await public.get(path)).body

        assert b"<script" not in page
        assert b"http" not in page
        assert b"src=" not in page


async def test_asterisk_form_is_no_page(public: PublicPort) -> None:
    """`OPTIONS *`, which is about no address at all, is answered with an error of the client's."""
    sent = b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    reply = parsed(await exchange(public.address, sent))

    assert 400 <= reply.status < 500


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
async def test_upgrades_are_ignored(public: PublicPort, upgrade: str) -> None:
    """A request that would rather speak another protocol is answered in this one."""
    link = await public.link()
    sent = f"GET {public.path(link)} HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"

    reply = parsed(await exchange(public.address, sent.encode()))

    assert reply.status == 302


async def test_what_nobody_foresaw_is_a_page(public: PublicPort, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of the program's is told as one, with the headers of every page, and nothing of what went wrong."""
    link = await public.link()
    path = f"/privacy/{public.code(link)}"
    expected = await public.get(path)

    def broken(number: int) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(public.replica, "known", broken)
    reply = await public.get(path)

    assert (expected.status, reply.status) == (200, 500)
    assert b"secret detail" not in reply.body
    shared = [header for header in expected.headers if header[0] not in {b"content-length", b"date"}]
    assert {b"content-security-policy", b"cache-control", b"referrer-policy"} <= {name for name, _ in shared}
    assert set(shared) <= set(reply.headers)
