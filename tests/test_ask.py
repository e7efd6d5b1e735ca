"""One request to one address, which was looked at first."""

import asyncio
import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from redirector.addresses import is_public
from redirector.ask import Answered, Asker, resolved
from redirector.errors import BrokenDestination
from tests.cli.tls import certified
from tests.sites import Names, Site, here, site


@pytest.fixture
def shop() -> Iterator[Site]:
    """A site with one page."""
    with site() as found:
        found.answers("/offer?a=1", 200, b"x" * 1_000_000)
        yield found


async def reason_of(asker: Asker, url: str) -> str:
    """Why there is no answer."""
    with pytest.raises(BrokenDestination) as broken:
        await asker.ask("HEAD", url)
    return broken.value.reason


async def test_name_stays_in_the_request(shop: Site) -> None:
    """The server sees the name, the path byte for byte as browsers send it, and who asks; and no credential."""
    asker = Asker(Names({"www.example.com": [["127.0.0.1"]]}), may_connect=here)
    shop.answers("/a%20b/%zz?c=%e9&d={e}%7Cf", 204)

    answered = await asker.ask("GET", shop.url("/a b/%zz?c=%e9&d={e}%7Cf#not-sent"))

    ((method, path, headers),) = shop.asked
    assert answered == Answered(204)
    assert (method, path) == ("GET", "/a%20b/%zz?c=%e9&d={e}%7Cf")
    assert {name.lower() for name in headers} == {"host", "user-agent", "accept", "connection"}
    assert headers["host"] == f"www.example.com:{shop.port}"
    assert headers["user-agent"].startswith("redirector-link-check/1 ")


async def test_where_it_leads_on_is_not_followed(shop: Site) -> None:
    """A redirect is an answer, with its Location as the server wrote it."""
    shop.answers("/on", 302, location="../elsewhere")
    asker = Asker(Names({"www.example.com": [["127.0.0.1"]]}), may_connect=here)

    assert await asker.ask("HEAD", shop.url("/on")) == Answered(302, b"../elsewhere")
    assert shop.lines == ["HEAD /on"]


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["100.64.0.1"],
        ["::1"],
        ["fd00:ec2::254"],
        ["::ffff:127.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["fe80::1%lo"],
    ],
    ids=" ".join,
)
async def test_name_of_an_address_that_is_not_public_is_not_asked(shop: Site, addresses: list[str]) -> None:
    """One address that is not public among several is enough: nothing is asked at any of them."""
    asker = Asker(Names({"www.example.com": [addresses]}))

    assert await reason_of(asker, shop.url("/offer?a=1")) == "not_public"
    assert shop.asked == []


async def test_name_is_resolved_once_a_request(shop: Site) -> None:
    """A name that leads elsewhere a moment later leads the request nowhere else."""
    names = Names({"www.example.com": [["127.0.0.1"], ["169.254.169.254"]]})

    answered = await Asker(names, may_connect=here).ask("HEAD", shop.url("/offer?a=1"))

    assert answered.status == 200
    assert names.asked == ["www.example.com"]


async def test_second_answer_of_a_rebound_name_is_refused(shop: Site) -> None:
    """Asked again, the name is judged again: what is now this machine's own address is never asked."""
    names = Names({"www.example.com": [["192.0.2.1"], ["127.0.0.1"]]})
    asker = Asker(names, may_connect=lambda address: str(address) == "192.0.2.1")  # nobody answers there

    first = await reason_of(asker, shop.url("/offer?a=1"))
    second = await reason_of(asker, shop.url("/offer?a=1"))

    assert (first, second) == ("unreachable", "not_public")
    assert shop.asked == []


async def test_next_address_is_tried(shop: Site) -> None:
    """Of several addresses the first that takes a connection is asked."""
    asker = Asker(Names({"www.example.com": [["127.0.0.2", "127.0.0.1"]]}), may_connect=lambda a: a.is_loopback)

    assert (await asker.ask("HEAD", shop.url("/offer?a=1"))).status == 200


async def test_unknown_name_has_no_answer() -> None:
    """A name that nobody knows is said to be unknown; one without addresses too."""
    assert await reason_of(Asker(Names({})), "https://www.example.com/") == "unresolved"
    assert await reason_of(Asker(Names({"www.example.com": [[]]})), "https://www.example.com/") == "unresolved"


async def test_what_is_no_http_has_no_answer() -> None:
    """A server that speaks another language is named as such."""

    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        asker = Asker(Names({"www.example.com": [["127.0.0.1"]]}), may_connect=here)

        assert await reason_of(asker, f"http://www.example.com:{port}/") == "protocol"


async def test_endless_head_has_no_answer() -> None:
    """A server that never ends its headers is left after 100 kB of them."""
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n")
        try:
            while sent < 50_000_000:
                writer.write(b"x-padding: " + b"y" * 10_000 + b"\r\n")
                sent += 10_000
                await writer.drain()
        except OSError:
            pass
        writer.close()

    async with await asyncio.start_server(flood, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        asker = Asker(Names({"www.example.com": [["127.0.0.1"]]}), may_connect=here)

        assert await reason_of(asker, f"http://www.example.com:{port}/") == "protocol"
    assert sent < 50_000_000


async def test_certificate_is_the_names(directory: Path) -> None:
    """Over TLS the name stays the one that is asked for: its certificate is trusted, and another name's is not."""
    certificate, served = certified(directory, "www.example.com")
    with site(served) as found:
        found.answers("/", 200)
        names = Names({"www.example.com": [["127.0.0.1"]], "www.example.org": [["127.0.0.1"]]})
        asker = Asker(names, may_connect=here, tls=ssl.create_default_context(cafile=str(certificate)))

        assert (await asker.ask("HEAD", found.url(scheme="https", host="www.example.com."))).status == 200
        assert await reason_of(asker, found.url(scheme="https", host="www.example.org")) == "tls"
        assert await reason_of(Asker(names, may_connect=here), found.url(scheme="https")) == "tls"


async def test_proxies_of_the_environment_are_not_used(shop: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve the name anew."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    asker = Asker(Names({"www.example.com": [["127.0.0.1"]]}), may_connect=here)

    assert (await asker.ask("HEAD", shop.url("/offer?a=1"))).status == 200


async def test_machines_resolver_answers() -> None:
    """What the program resolves with, on a name that every machine has."""
    found = await resolved("localhost", 80)

    assert found
    assert not any(is_public(ip_address(address)) for address in found)
