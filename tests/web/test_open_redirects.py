"""Nobody can be led by this server to where no marketer led: whatever is asked, a Location is a stored destination."""

import pytest

from tests.web.ports import PublicPort
from tests.web.sockets import exchange, replies

DESTINATION = b"https://www.example.com/offer"
EVIL = "evil.example"

# Ways by which other servers were made to send readers elsewhere; {code} is a good code.
PATHS = {
    "query": "/c/{code}?url=https://evil.example/",
    "query of every name": "/c/{code}?to=//evil.example&next=//evil.example&u=//evil.example&location=//evil.example",
    "query alone": "/?url=https://evil.example/",
    "path behind the code": "/c/{code}/https://evil.example/",
    "path in the code's place": "/c/https://evil.example/",
    "parent directories": "/c/{code}/../../evil.example/",
    "double slash": "//evil.example/c/{code}",
    "double slash before the code": "/c//evil.example/{code}",
    "slash and backslash": "/\\evil.example/",
    "backslashes": "/c/\\\\evil.example/",
    "encoded slashes": "/%2f%2fevil.example/%2f..",
    "encoded backslash": "/c/%5c%5cevil.example/",
    "userinfo": "/c/{code}@evil.example",
    "userinfo before": "/@evil.example/c/{code}",
    "tab": "/c/{code}%09//evil.example",
    "line break": "/c/{code}%0d%0aLocation:%20https://evil.example/",
    "line break in UTF-8": "/c/{code}%e5%98%8a%e5%98%8dLocation:https://evil.example/",
    "NUL": "/c/{code}%00.evil.example",
    "semicolon": "/c/{code};@evil.example",
    "full-width dot": "/c/{code}%ef%bc%8eevil.example",
    "zero-width": "/c/{code}%e2%80%8bevil.example",
    "homograph": "/c/{code}.%d0%b5vil.example",
    "script": "/c/javascript:alert(1)",
    "data": "/d/data:text/html,evil.example",
    "no slash at the end": "/privacy/{code}?return=https://evil.example/",
    "slash at the end": "//evil.example/%2f..",
    "well-known": "/.well-known/apple-app-site-association?//evil.example",
    "twin": "/d/{code}?url=//evil.example",
}

HEADERS = [
    "X-Forwarded-Host", "X-Forwarded-Server", "X-Host", "X-Original-URL", "X-Rewrite-URL", "Forwarded", "Referer",
    "Origin", "X-Forwarded-Proto", "X-Forwarded-Prefix",
]  # fmt: skip


async def locations(public: PublicPort, sent: bytes) -> set[bytes]:
    """Where the answers lead; of none of them is anything else of the request's in a header."""
    received = await exchange(public.address, sent)
    found = set()
    for reply in replies(received):
        for name, value in reply.headers:
            assert b"evil" not in value, (name, value)
            if name in {b"location", b"refresh", b"content-location", b"link"}:
                found.add(value)
    return found


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("host", ["news.example.com", EVIL])
async def test_nothing_that_is_asked_for_leads_elsewhere(public: PublicPort, path: str, host: str) -> None:
    """No path and no query makes a Location other than the stored destination."""
    link = await public.link(DESTINATION.decode())
    asked = path.format(code=public.code(link))

    found = await locations(public, f"GET {asked} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())

    assert found <= {DESTINATION}


FORMS = ["http://evil.example{path}", "https://evil.example:443{path}", "//evil.example{path}"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", ["/", "/c/{code}", "/privacy", "/robots.txt"])
async def test_absolute_form_leads_nowhere_else(public: PublicPort, form: str, path: str) -> None:
    """A whole URL in the request line is no destination."""
    link = await public.link(DESTINATION.decode())
    asked = form.format(path=path.format(code=public.code(link)))

    assert await locations(public, f"GET {asked} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()) <= {
        DESTINATION
    }


@pytest.mark.parametrize("header", HEADERS)
async def test_no_header_leads_elsewhere(public: PublicPort, header: str) -> None:
    """What a proxy, or who plays one, says of the address changes nothing."""
    link = await public.link(DESTINATION.decode())
    line = f"{header}: host={EVIL}" if header == "Forwarded" else f"{header}: https://{EVIL}/"
    sent = f"GET {public.path(link)} HTTP/1.1\r\nHost: {EVIL}\r\n{line}\r\nConnection: close\r\n\r\n".encode()

    assert await locations(public, sent) == {DESTINATION}


async def test_replayed_code_does_what_it_did(public: PublicPort) -> None:
    """A code that is used again leads to the same place, is one click each time, and changes nothing else."""
    link = await public.link(DESTINATION.decode())
    before = await public.redis.hget(public.keys.links, str(link.number))

    answers = [(await public.get(public.path(link))).header("location") for _ in range(3)]

    assert answers == [DESTINATION] * 3
    assert len({click["id"] for click in await public.clicks()}) == 3
    assert await public.redis.hget(public.keys.links, str(link.number)) == before


async def test_recipients_code_is_no_use_elsewhere(public: PublicPort) -> None:
    """A code's pieces do not fit together with another's: what is put together of two good codes is unknown."""
    urls = ("https://a.example.com/", "https://b.example.com/")
    one, other = [public.code(await public.link(url)) for url in urls]
    spliced = {one[:cut] + other[cut:] for cut in range(1, len(one))} - {one, other}

    statuses = {(await public.get(f"/c/{code}")).status for code in spliced}

    assert statuses <= {404, 429}
    assert await public.clicks() == []


async def test_neighbours_of_a_link_cannot_be_found(public: PublicPort) -> None:
    """Whoever has the code of one link, and knows the numbers beside it, has no code of theirs."""
    links = [await public.link(f"https://www.example.com/{number}") for number in range(3)]
    known = public.code(links[1])
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    guesses = {known[:-1] + last for last in alphabet} | {known[:-2] + last + known[-1] for last in alphabet}

    found = [code for code in guesses - {known} if public.codes.decode(code)]

    assert found == []
