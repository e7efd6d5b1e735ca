"""Headers of any size and any bytes: a reader is sent on or refused, and nothing of them is kept as it came."""

import pytest

from tests.web.ports import PublicPort
from tests.web.sockets import exchange, parsed

NAMES = [b"User-Agent", b"Accept-Language", b"Referer", b"Cookie", b"Sec-GPC", b"X-Forwarded-For", b"Purpose"]
VALUES = {
    "invalid UTF-8": b"\xff\xfe\xc3\x28\xa0",
    "half a surrogate": b"\xed\xa0\x80marked",
    "overlong slash": b"\xc0\xafmarked",
    "30 kB": b"marked" * 5_000,
    "format characters": b"marked\xe2\x80\xae\xef\xbb\xbf%s%n{0}${jndi:ldap://marked}",
}


def asking(path: str, name: bytes, value: bytes) -> bytes:
    """A request with this header."""
    return b"GET %b HTTP/1.1\r\nHost: a\r\n%b: %b\r\nConnection: close\r\n\r\n" % (path.encode(), name, value)


@pytest.mark.parametrize("name", NAMES, ids=bytes.decode)
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
async def test_header_of_any_bytes_keeps_no_reader(public: PublicPort, name: bytes, value: bytes) -> None:
    """The reader is sent on; what the stream gets is text, and nothing of the header as it came."""
    link = await public.link()

    reply = parsed(await exchange(public.address, asking(public.path(link), name, value)))

    assert (reply.status, reply.header("location")) == (302, b"https://www.example.com/offer")
    assert len(await public.clicks()) == 1
    assert "marked" not in str(await public.clicks())


@pytest.mark.parametrize("name", NAMES, ids=bytes.decode)
async def test_header_of_64_kb_is_refused(public: PublicPort, name: bytes) -> None:
    """A head of more than 32 kB is answered 431, and is no click."""
    link = await public.link()

    reply = parsed(await exchange(public.address, asking(public.path(link), name, b"x" * 65_536)))

    assert reply.status == 431
    assert await public.clicks() == []
