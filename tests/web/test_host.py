"""Whatever a request says about where it is, no answer repeats it, on either port."""

import pytest

from tests.web.ports import InternalPort, PublicPort
from tests.web.sockets import exchange, replies

EVIL = b"evil.example"


def asked(target: bytes, host: bytes, version: bytes = b"1.1") -> bytes:
    """A GET with these lines about the host, as bytes."""
    return b"GET " + target + b" HTTP/" + version + b"\r\n" + host + b"Connection: close\r\n\r\n"


# A request's target before the path, the lines of its head, and its version.
HOSTS: dict[str, tuple[bytes, bytes, bytes]] = {
    "another host": (b"", b"Host: evil.example\r\n", b"1.1"),
    "with a port": (b"", b"Host: evil.example:8443\r\n", b"1.1"),
    "with a user": (b"", b"Host: a@evil.example\r\n", b"1.1"),
    "with markup": (b"", b'Host: "><script>evil.example\r\n', b"1.1"),
    "with a path": (b"", b"Host: evil.example/x?y#z\r\n", b"1.1"),
    "another header behind a line break": (b"", b"Host: a\r\nX-Injected: evil.example\r\n", b"1.1"),
    "bare carriage return": (b"", b"Host: a\rSet-Cookie: evil.example\r\n", b"1.1"),
    "folded": (b"", b"Host: a\r\n evil.example\r\n", b"1.1"),
    "two": (b"", b"Host: news.example.com\r\nHost: evil.example\r\n", b"1.1"),
    "not ASCII": (b"", b"Host: \xff\xfeevil.example\r\n", b"1.1"),
    "empty": (b"", b"Host: \r\nX: evil.example\r\n", b"1.1"),
    "8 kB": (b"", b"Host: " + EVIL * 700 + b"\r\n", b"1.1"),
    "none": (b"", b"", b"1.1"),
    "none, in HTTP/1.0": (b"", b"", b"1.0"),
    "another, in HTTP/1.0": (b"", b"Host: evil.example\r\n", b"1.0"),
    "absolute target": (b"http://evil.example", b"Host: news.example.com\r\n", b"1.1"),
    "absolute target of another scheme": (b"https://evil.example:99", b"", b"1.1"),
    "X-Forwarded-Host": (b"", b"Host: a\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: evil\r\n", b"1.1"),
    "Forwarded": (b"", b"Host: a\r\nForwarded: host=evil.example;proto=evil\r\n", b"1.1"),
    "X-Original-URL": (b"", b"Host: a\r\nX-Original-URL: /evil.example\r\nX-Rewrite-URL: /evil.example\r\n", b"1.1"),
}
every_host = pytest.mark.parametrize(("target", "head", "version"), HOSTS.values(), ids=HOSTS.keys())

PUBLIC = [b"/", b"/c/nothing", b"/d/nothing", b"/privacy", b"/privacy/", b"/privacy/nothing", b"/robots.txt"]
PUBLIC += [b"/robots.txt/", b"/.well-known/gpc.json", b"/.well-known/assetlinks.json", b"//evil", b"/c"]
INTERNAL = [b"/", b"/openapi.json", b"/docs", b"/docs/", b"/livez", b"/livez/", b"/readyz", b"/metrics", b"/v1/topics"]
INTERNAL += [b"/v1/topics/", b"/v1//topics", b"/v2/x"]


@every_host
async def test_public_port_repeats_no_host(public: PublicPort, target: bytes, head: bytes, version: bytes) -> None:
    """No page, no redirect and no header names the host that was asked for."""
    link = await public.link()
    code = public.code(link).encode()
    for path in (*PUBLIC, b"/c/" + code, b"/d/" + code, b"/privacy/" + code):
        received = await exchange(public.address, asked(target + path, head, version))

        assert b"evil" not in received
        assert received
        locations = [reply.header("location") for reply in replies(received)]
        assert set(locations) <= {None, b"https://www.example.com/offer"}


@every_host
async def test_internal_port_repeats_no_host(api: InternalPort, target: bytes, head: bytes, version: bytes) -> None:
    """Nor does the internal port: not in a problem, not as a server of the document, and it redirects nowhere."""
    for path in INTERNAL:
        for key in (b"", f"Authorization: Bearer {api.key}\r\n".encode()):
            received = await exchange(api.address, asked(target + path, head + key, version))

            assert b"evil" not in received
            assert b"\r\nlocation:" not in received.lower()


@every_host
async def test_minted_urls_are_of_the_base_url(api: InternalPort, target: bytes, head: bytes, version: bytes) -> None:
    """Where tracked URLs lead is configured, whatever the program that mints says about the host."""
    body = b'{"destination": "https://www.example.com/", "campaign": "%b"}' % api.name.encode()
    request = (
        b"POST " + target + b"/v1/links HTTP/" + version + b"\r\n" + head
        + b"Authorization: Bearer " + api.key.encode() + b"\r\nConnection: close\r\n"
        + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )  # fmt: skip

    (reply,) = replies(await exchange(api.address, request))

    assert reply.status == 400 or b'"url":"https://news.example.com/c/' in reply.body
    assert EVIL not in reply.body
