"""Requests that nobody sends by mistake, to both real ports: refused or answered, never a server error, never two."""

import pytest

from tests.web.ports import InternalPort, PublicPort
from tests.web.sockets import exchange, replies, request

KB_64 = b"x" * 64 * 1024
HOST = b"Host: a\r\n"
END = b"Connection: close\r\n\r\n"
SMUGGLED = b"GET /robots.txt HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(params=["public", "internal"])
def address(request: pytest.FixtureRequest, public: PublicPort, api: InternalPort) -> tuple[str, int]:
    """Where each port answers."""
    return (public if request.param == "public" else api).address


TOO_LARGE = {
    "a header of 64 kB": b"GET /c/x HTTP/1.1\r\n" + HOST + b"X: " + KB_64 + b"\r\n" + END,
    "a cookie of 64 kB": b"GET /v1/topics HTTP/1.1\r\n" + HOST + b"Cookie: a=" + KB_64 + b"\r\n" + END,
    "a key of 64 kB": b"GET /v1/topics HTTP/1.1\r\n" + HOST + b"Authorization: Bearer " + KB_64 + b"\r\n" + END,
    "a header's name of 64 kB": b"GET /c/x HTTP/1.1\r\n" + HOST + KB_64 + b": a\r\n" + END,
    "a path of 64 kB": b"GET /c/" + KB_64 + b" HTTP/1.1\r\n" + HOST + END,
    "a query of 64 kB": b"GET /c/x?" + KB_64 + b" HTTP/1.1\r\n" + HOST + END,
    "10,000 headers": b"GET /c/x HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 10_000 + END,
}


@pytest.mark.parametrize("sent", TOO_LARGE.values(), ids=TOO_LARGE.keys())
async def test_head_of_64_kb_is_refused(address: tuple[str, int], sent: bytes) -> None:
    """431, whichever part of the head is too large, and the connection is closed."""
    (reply,) = replies(await exchange(address, sent))

    assert reply.status == 431
    assert reply.header("connection") == b"close"


def get(target: bytes, *lines: bytes) -> bytes:
    """A GET of this target, with these lines in its head."""
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + END


ODD_BYTES: dict[str, bytes] = {
    "bytes in the path that are no UTF-8": get(b"/c/\xff\xfe\xc0\xaf"),
    "escaped": get(b"/c/%FF%FE%C0%AF"),
    "in the page of a link": get(b"/privacy/%FF%FE"),
    "in an API's address": get(b"/v1/campaigns/%FF%FE%ED%A0%80/report"),
    "in the query": get(b"/v1/links?campaign=%FF%FE\xff\xfe"),
    "half a surrogate in the query": get(b"/v1/links?campaign=%ED%A0%80"),
    "in a header": get(b"/c/x", b"User-Agent: \xff\xfe\xc0\xaf", b"Referer: \xff", b"Accept-Language: \xff"),
    "in the key": get(b"/v1/topics", b"Authorization: Bearer \xff\xfe"),
    "in the scheme": get(b"/v1/topics", b"Authorization: \xff\xfe x"),
    "in the type of a body": get(b"/v1/links", b"Content-Type: \xff/\xfe; charset=\xff"),
    "in what it accepts": get(b"/metrics", b"Accept: \xff\xfe;version=\xff"),
    "NUL, escaped": get(b"/c/%00%00"),
    "escapes that are none": get(b"/c/%zz%"),
    "another address behind a line break, escaped": get(b"/c/x%0d%0aLocation:%20https://evil.example"),
    "control characters in a header": get(b"/c/x", b"User-Agent: a\x01\x1b[31m\x7f"),
    "every header twice": get(b"/c/x", *[b"User-Agent: a", b"Sec-GPC: 1", b"Accept-Language: de"] * 2),
    "100 dots": get(b"/" + b"../" * 100 + b"etc/passwd"),
    "an address of slashes": get(b"/" * 1_000),
    "a method that nobody knows": b"BREW /c/x HTTP/1.1\r\n" + HOST + END,
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + END,
}


@pytest.mark.parametrize("sent", ODD_BYTES.values(), ids=ODD_BYTES.keys())
async def test_odd_bytes_are_the_senders_error(address: tuple[str, int], sent: bytes) -> None:
    """An answer of the 200s or 400s comes, and nothing of the request is in its head."""
    received = await exchange(address, sent)

    (reply,) = replies(received)
    assert 200 <= reply.status < 500
    assert b"evil" not in received
    assert b"location" not in {name for name, _ in reply.headers}


POST = b"POST /v1/links HTTP/1.1\r\n" + HOST
AMBIGUOUS: dict[str, bytes] = {
    "length and chunks": POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 37\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "bad chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n0\r\n\r\n",
    "negative chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "chunk beyond 64 bits": POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n",
    "chunk longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    "length with a sign": POST + b"Content-Length: +5\r\n\r\n",
    "length in hex": POST + b"Content-Length: 0x5\r\n\r\n",
    "bare line feeds": b"POST /v1/links HTTP/1.1\nHost: a\nContent-Length: 0\n\n",
}


@pytest.mark.parametrize("shape", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
async def test_ambiguous_request_ends_the_connection(address: tuple[str, int], shape: bytes) -> None:
    """What follows a request whose end two servers might see in different places is not answered."""
    received = await exchange(address, shape + SMUGGLED)

    assert b"User-agent: *" not in received
    assert b"There is nothing at this address" not in received
    assert len(replies(received)) <= 1


async def test_ports_go_on_afterwards(public: PublicPort, api: InternalPort) -> None:
    """After all of it, readers and tools are answered."""
    link = await public.link()
    for sent in (*TOO_LARGE.values(), *ODD_BYTES.values()):
        await exchange(public.address, sent)
        await exchange(api.address, sent)

    assert (await public.get(public.path(link))).status == 302
    assert (await api.get("/v1/topics")).status_code == 200


@pytest.mark.parametrize("place", ["/c/", "/d/", "/privacy/"])
@pytest.mark.parametrize("more", ["%0d%0aSet-Cookie:%20a=b", "?x=%0d%0aSet-Cookie:%20a=b", "%E5%98%8A%E5%98%8D"])
async def test_no_header_can_be_injected(public: PublicPort, place: str, more: str) -> None:
    """Line breaks in an address, in any spelling, are no line breaks in the answer's head."""
    link = await public.link()

    received = await exchange(public.address, request("GET", place + public.code(link) + more))

    assert b"set-cookie" not in received.partition(b"\r\n\r\n")[0].lower()
