"""Several hosts at the public port: each answers every code; fallback and app-link files are its own."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from redirector.store.keys import Keys
from tests.builders import a_destination
from tests.web.ports import PublicPort, public_port
from tests.web.sockets import Reply, exchange, parsed

APPLE = b'{\n  "applinks": {"details": []}\n}\n'
ANDROID = b'[{"relation": ["delegate_permission/common.handle_all_urls"]}]'
APPLE_PATH = "/.well-known/apple-app-site-association"
ANDROID_PATH = "/.well-known/assetlinks.json"


@pytest.fixture(scope="module")
async def hosts_of_module(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PublicPort]:
    """A public port with three hosts: the main one, one with everything, and one with nothing of its own."""
    files = tmp_path_factory.mktemp("files")
    (files / "apple").write_bytes(APPLE)
    (files / "android").write_bytes(ANDROID)
    hosts = (
        {
            "base_url": "https://go.example.org",
            "fallback_url": "https://www.example.org/over?a=1",
            "apple_app_site_association": Path(files / "apple"),
            "assetlinks": Path(files / "android"),
        },
        {"base_url": "https://plain.example.net"},
    )
    async with public_port(store_url, Keys(f"test-{secrets.token_hex(6)}"), hosts=hosts) as port:
        yield port


@pytest.fixture
async def hosts(hosts_of_module: PublicPort) -> PublicPort:
    """The same with a campaign of the test's own."""
    return await hosts_of_module.for_a_test()


async def ask(port: PublicPort, path: str, host: bytes, method: str = "GET") -> Reply:
    """A request for a host."""
    sent = b"%b %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (method.encode(), path.encode(), host)
    return parsed(await exchange(port.address, sent), method=method)


EVERY_HOST = [b"news.example.com", b"go.example.org", b"GO.example.org:8443", b"plain.example.net", b"evil.example"]


@pytest.mark.parametrize("host", EVERY_HOST)
async def test_every_host_answers_every_code(hosts: PublicPort, host: bytes) -> None:
    """A link leads to the same place under whichever name its reader came, and is counted."""
    link = await hosts.link("https://www.example.com/offer")

    reply = await ask(hosts, hosts.path(link), host)

    assert (reply.status, reply.header("location")) == (302, b"https://www.example.com/offer")
    assert len(await hosts.clicks()) == 1


@pytest.mark.parametrize(
    ("host", "status", "location"),
    [
        (b"go.example.org", 302, b"https://www.example.org/over?a=1"),
        (b"Go.Example.Org:443", 302, b"https://www.example.org/over?a=1"),
        (b"plain.example.net", 410, None),
        (b"news.example.com", 410, None),
        (b"go.example.org.evil.example", 410, None),
    ],
)
async def test_link_that_is_gone_leads_to_the_hosts_fallback(
    hosts: PublicPort, host: bytes, status: int, location: bytes | None
) -> None:
    """Where a campaign has no fallback its reader's host may have one; nothing is recorded."""
    link = await hosts.link(disabled=True)

    reply = await ask(hosts, hosts.path(link), host)

    assert (reply.status, reply.header("location")) == (status, location)
    assert await hosts.clicks() == []


async def test_campaigns_fallback_goes_first(hosts: PublicPort) -> None:
    """The campaign knows better than the host where its readers belong."""
    await hosts.campaign(fallback_url=a_destination("https://www.example.com/over"))
    link = await hosts.link(disabled=True)

    assert (await ask(hosts, hosts.path(link), b"go.example.org")).header("location") == b"https://www.example.com/over"


async def test_unknown_code_stays_the_one_page(hosts: PublicPort) -> None:
    """Whatever host it is asked at, a code that is none is the same 404."""
    replies = {(await ask(hosts, "/c/nonsense", host)).timeless[2] for host in EVERY_HOST}
    statuses = {(await ask(hosts, "/c/nonsense", host)).status for host in EVERY_HOST}

    assert (len(replies), statuses) == (1, {404})


@pytest.mark.parametrize(("path", "content"), [(APPLE_PATH, APPLE), (ANDROID_PATH, ANDROID)])
async def test_file_is_served_byte_for_byte(hosts: PublicPort, path: str, content: bytes) -> None:
    """A host's file comes as it is, as JSON; HEAD says the same without it."""
    reply, head = await ask(hosts, path, b"go.example.org"), await ask(hosts, path, b"go.example.org", "HEAD")

    assert (reply.status, reply.header("content-type"), reply.body) == (200, b"application/json", content)
    assert (head.status, head.header("content-length")) == (200, str(len(content)).encode())


@pytest.mark.parametrize("path", [APPLE_PATH, ANDROID_PATH])
@pytest.mark.parametrize("host", [b"plain.example.net", b"news.example.com", b"evil.example", b"go.example.org."])
async def test_file_that_is_not_configured_is_not_there(hosts: PublicPort, path: str, host: bytes) -> None:
    """Another host has not the one's files."""
    assert (await ask(hosts, path, host)).status == 404


@pytest.mark.parametrize(
    "path", ["/", "/c/nonsense", "/robots.txt", APPLE_PATH, "/privacy", "//evil.example", "/.well-known/gpc.json"]
)
@pytest.mark.parametrize("host", [b"evil.example", b'"><script>alert(1)</script>', b"evil.example\xff"])
async def test_hostile_host_is_never_reflected(hosts: PublicPort, path: str, host: bytes) -> None:
    """Nothing of a Host header comes back, in no header and no body; nothing leads there."""
    sent = b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (path.encode(), host)

    received = await exchange(hosts.address, sent)

    assert received.startswith(b"HTTP/1.1 ")
    assert b"evil" not in received
    assert b"<script>alert" not in received
    assert b"location" not in received.lower()


async def test_page_about_a_link_that_is_gone_names_its_hosts_fallback(hosts: PublicPort) -> None:
    """Where a reader of the link would be sent, the page says before."""
    link = await hosts.link(disabled=True)

    reply = await ask(hosts, f"/privacy/{hosts.code(link)}", b"go.example.org")

    assert b"<strong>www.example.org</strong>/over?a=1" in reply.body
