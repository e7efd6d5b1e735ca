"""Whatever comes as a body, the API says where it is wrong: never a server error, always a problem."""

import json

import pytest

from redirector.store.keys import Keys
from tests.web.ports import InternalPort, internal_port
from tests.web.sockets import exchange, parsed

LINK = {"destination": "https://www.example.com/", "campaign": "news"}


def with_link(**others: object) -> bytes:
    """A link as JSON, with other fields."""
    return json.dumps({**LINK, **others}).encode()


# What is sent, the status, the code of the first error, and its pointer.
WRONG: dict[str, tuple[bytes, int, str, str]] = {
    "empty": (b"", 400, "malformed_body", ""),
    "not JSON": (b"{'destination': 1}", 400, "malformed_body", ""),
    "cut off": (with_link()[:-5], 400, "malformed_body", ""),
    "two values": (with_link() + b" {}", 400, "malformed_body", ""),
    "100,000 open brackets": (b"[" * 100_000, 400, "malformed_body", ""),
    "100,000 nested lists": (b"[" * 100_000 + b"]" * 100_000, 400, "malformed_body", ""),
    "100,000 nested objects": (b'{"a":' * 100_000, 400, "malformed_body", ""),
    "lone surrogate": (b'{"destination": "https://a.example/\\ud800"}', 400, "malformed_body", ""),
    "lone surrogate in a name": (b'{"\\udfff": 1}', 400, "malformed_body", ""),
    "not UTF-8": (b'{"destination": "\xff"}', 400, "malformed_body", ""),
    "UTF-16": (with_link().decode().encode("utf-16"), 400, "malformed_body", ""),
    "byte order mark": (b"\xef\xbb\xbf" + with_link(), 400, "malformed_body", ""),
    "NaN": (b'{"expires_at": NaN}', 400, "malformed_body", ""),
    "Infinity": (b'{"expires_at": -Infinity}', 400, "malformed_body", ""),
    "a name twice": (b'{"label": "a", "label": "b"}', 400, "malformed_body", ""),
    "a name twice, deeper": (b'[{"label": "a", "label": "b"}]', 400, "malformed_body", ""),
    "number of 5,000 digits": (b'{"label": 1' + b"0" * 5_000 + b"}", 400, "malformed_body", ""),
    "number 1e400": (with_link()[:-1] + b', "label": 1e400}', 422, "invalid_input", "/label"),
    "number 10^400": (with_link()[:-1] + b', "label": 1' + b"0" * 400 + b"}", 422, "invalid_input", "/label"),
    "null": (b"null", 422, "invalid_input", ""),
    "true": (b"true", 422, "invalid_input", ""),
    "number": (b"17", 422, "invalid_input", ""),
    "text": (b'"https://www.example.com/"', 422, "invalid_input", ""),
    "empty object": (b"{}", 422, "invalid_input", "/destination"),
    "unknown field": (with_link(colour="red"), 422, "invalid_input", "/colour"),
    "unknown field with odd name": (with_link(**{"a/b~c": 1}), 422, "invalid_input", "/a~1b~0c"),
    "unknown field without name": (with_link(**{"": 1}), 422, "invalid_input", "/"),
    "destination a number": (with_link(destination=1), 422, "invalid_input", "/destination"),
    "destination null": (with_link(destination=None), 422, "invalid_input", "/destination"),
    "topics text": (with_link(topics="solar"), 422, "invalid_input", "/topics"),
    "topic a number": (with_link(topics=["solar", 1]), 422, "invalid_input", "/topics/1"),
    "too many topics": (with_link(topics=["a"] * 11), 422, "invalid_input", "/topics"),
    "topic in capitals": (with_link(topics=["Solar"]), 422, "invalid_input", "/topics"),
    "campaign with a NUL": (with_link(campaign="a\0b"), 422, "invalid_input", "/campaign"),
    "campaign with a line break": (with_link(campaign="a\nb"), 422, "invalid_input", "/campaign"),
    "campaign empty": (with_link(campaign=""), 422, "invalid_input", "/campaign"),
    "campaign of 10,000 letters": (with_link(campaign="a" * 10_000), 422, "invalid_input", "/campaign"),
    "label with an escape": (with_link(label="\x1b[31m"), 422, "invalid_input", "/label"),
    "expiry without offset": (with_link(expires_at="2026-12-31T23:59:59"), 422, "invalid_input", "/expires_at"),
    "expiry a number": (with_link(expires_at=1795435200), 422, "invalid_input", "/expires_at"),
    "expiry a number as text": (with_link(expires_at="1795435200"), 422, "invalid_input", "/expires_at"),
    "expiry a date": (with_link(expires_at="2026-12-31"), 422, "invalid_input", "/expires_at"),
    "expiry that never was": (with_link(expires_at="2026-02-30T00:00:00Z"), 422, "invalid_input", "/expires_at"),
    "expiry before time": (with_link(expires_at="0001-01-01T00:00:00+14:00"), 422, "invalid_input", "/expires_at"),
    "expiry after time": (
        with_link(expires_at="9999-12-31T23:59:59.999999-12:00"),
        422,
        "invalid_input",
        "/expires_at",
    ),
}


@pytest.mark.parametrize(("body", "status", "code", "pointer"), WRONG.values(), ids=WRONG.keys())
async def test_wrong_body_is_told_where(api: InternalPort, body: bytes, status: int, code: str, pointer: str) -> None:
    """The answer is a problem of the right status that points at what is to be mended."""
    answer = await api.send("/v1/links", body)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"] == f"urn:redirector:problem:{problem['errors'][0]['code']}"
    assert (problem["errors"][0]["code"], problem["errors"][0]["pointer"]) == (code, pointer)
    assert problem["errors"][0]["detail"]


async def test_every_mistake_of_a_body_is_reported(api: InternalPort) -> None:
    """One answer names everything that is to be mended in the body's shape."""
    answer = await api.send("/v1/links", b'{"destination": 1, "colour": "red"}')

    assert {each["pointer"] for each in answer.json()["errors"]} == {"/destination", "/campaign", "/colour"}


async def test_report_of_many_mistakes_is_bounded(api: InternalPort) -> None:
    """A body of nothing but mistakes does not come back larger than it was sent."""
    body = json.dumps({f"field{number}": 1 for number in range(10_000)}).encode()

    answer = await api.send("/v1/links", body)

    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 100


async def test_mistake_is_quoted_in_part_only(api: InternalPort) -> None:
    """The offending piece comes back word for word, but only its beginning."""
    answer = await api.send("/v1/links", with_link(campaign="x" * 5_000))

    assert len(answer.json()["errors"][0]["part"]) == 100


TYPES = ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "multipart/form-data; boundary=x"]


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize(
    "path", ["/v1/campaigns", "/v1/links", "/v1/links/1/urls", "/v1/rewrite?campaign=a"], ids=lambda path: path[4:]
)
async def test_body_of_another_type_is_refused(api: InternalPort, path: str, content_type: str) -> None:
    """415, naming the header and the type to send."""
    answer = await api.send(path, b"{}", content_type)

    assert answer.status_code == 415
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "Content-Type"
    assert error["part"] == content_type
    assert error["remedy"] in {"send `Content-Type: application/json`", "send `Content-Type: text/html`"}


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
async def test_type_is_compared_as_http_says(api: InternalPort, content_type: str) -> None:
    """The type's case and its parameters do not matter."""
    body = json.dumps({**LINK, "campaign": api.name}).encode()

    assert (await api.send("/v1/links", body, content_type)).status_code == 201


async def test_large_body_is_refused_when_announced(api: InternalPort) -> None:
    """A Content-Length beyond the limit is answered 413 before anything of the body has come."""
    head = (
        f"POST /v1/links HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {api.key}\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: 67108865\r\n\r\n"
    )

    reply = parsed(await exchange(api.address, head.encode()))

    assert reply.status == 413
    assert json.loads(reply.body)["type"].endswith(":body_too_large")


async def test_large_body_is_refused_as_it_comes(store_url: str, keys: Keys) -> None:
    """A body in chunks, whose length nobody announced, is refused as soon as it is beyond the limit."""
    async with internal_port(store_url, keys, body_max_bytes=1_024) as api:
        head = (
            f"POST /v1/links HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {api.key}\r\nConnection: close\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )

        reply = parsed(await exchange(api.address, head.encode() + b"401\r\n" + b" " * 1_025))

    assert reply.status == 413
    assert json.loads(reply.body)["errors"][0]["remedy"] == "send it in parts"


async def test_list_of_more_than_a_thousand_links_is_refused(api: InternalPort) -> None:
    """413, and nothing of the list is minted."""
    answer = await api.post("/v1/links", [{**LINK, "campaign": api.name}] * 1_001)

    assert answer.status_code == 413
    assert (
        await api.get("/v1/links", params={"campaign": api.name})
    ).status_code == 404  # not even the campaign is made


async def test_list_of_a_thousand_links_is_taken(api: InternalPort) -> None:
    """The most that may come in a list is minted."""
    rows = [{"destination": f"https://www.example.com/{number}", "campaign": api.name} for number in range(1_000)]

    answer = await api.post("/v1/links", rows)

    assert answer.status_code == 201
    assert len({link["id"] for link in answer.json()["links"]}) == 1_000


ODD_PATHS = {
    "beyond 2^53": "/v1/links/9007199254740993",
    "beyond 2^64": "/v1/links/99999999999999999999999999",
    "10,000 digits": "/v1/links/" + "9" * 10_000,
    "below zero": "/v1/links/-1",
    "zero": "/v1/links/0",
    "fraction": "/v1/links/1.0",
    "text": "/v1/links/one",
    "Arabic digits": "/v1/links/%D9%A1",
    "superscript": "/v1/links/%C2%B2",
    "NUL": "/v1/links/%00",
    "slash": "/v1/links/1%2F2",
    "not UTF-8": "/v1/links/%FF",
    "not an escape": "/v1/links/%zz",
    "space": "/v1/links/%201",
    "campaign NUL": "/v1/campaigns/%00/report",
    "campaign slash": "/v1/campaigns/a%2Fb/report",
    "campaign not UTF-8": "/v1/campaigns/%FF%FE/report",
    "campaign missing": "/v1/campaigns//report",
    "campaign of 10,000 letters": "/v1/campaigns/" + "a" * 10_000 + "/report",
    "nearly": "/v1/links/",
    "another version": "/v2/links",
    "nothing": "/",
    "dots": "/v1/../metrics",
}


@pytest.mark.parametrize("path", ODD_PATHS.values(), ids=ODD_PATHS.keys())
async def test_odd_address_is_not_found(api: InternalPort, path: str) -> None:
    """404 with a problem, for whatever stands where a number or a name is expected."""
    sent = f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {api.key}\r\nConnection: close\r\n\r\n"

    reply = parsed(await exchange(api.address, sent.encode()))

    assert reply.status == 404
    assert reply.header("content-type") == b"application/problem+json"
    assert json.loads(reply.body)["errors"][0]["remedy"]


async def test_other_method_is_told_which_there_are(api: InternalPort) -> None:
    """405 as a problem, with every method of the address in Allow."""
    answer = await api.http.delete("/v1/links")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"
    assert answer.json()["type"].endswith(":method_not_allowed")


ODD_QUERIES = {
    "empty campaign": ("campaign=", "campaign"),
    "limit text": ("campaign=a&limit=many", "limit"),
    "limit below zero": ("campaign=a&limit=-1", "limit"),
    "limit too large": ("campaign=a&limit=1001", "limit"),
    "limit empty": ("campaign=a&limit=", "limit"),
    "after beyond 2^53": ("campaign=a&after=9007199254740992", "after"),
    "after of many digits": ("campaign=a&after=" + "1" * 5_000, "after"),
    "unknown": ("campaign=a&Limit=5", "Limit"),
    "unknown without a name": ("campaign=a&=5", ""),
    "after in Arabic digits": ("campaign=a&after=%D9%A1", "after"),
}


@pytest.mark.parametrize(("query", "field"), ODD_QUERIES.values(), ids=ODD_QUERIES.keys())
async def test_wrong_parameter_is_named(api: InternalPort, query: str, field: str) -> None:
    """422 that names the parameter."""
    answer = await api.get(f"/v1/links?{query}")

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [field]
