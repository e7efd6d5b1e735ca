"""One line for each request of the API, whatever it holds, and nothing of what it holds."""

import json
import logging

import pytest

from redirector.cli.logs import JSONLines, TextLines
from tests.web.ports import InternalPort
from tests.web.sockets import exchange

SECRET_PARTS = ("reader-17", "hunter2", "Zm9v", "evil", "FAKE")


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "redirector.web.request_log")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines of the requests so far."""
    return [each.getMessage() for each in caplog.records if each.name == "redirector.web.request_log"]


async def test_line_says_what_came_of_it(api: InternalPort, caplog: pytest.LogCaptureFixture) -> None:
    """Method, operation, status, time and the key's id."""
    await api.get("/v1/topics")

    (line,) = lines(caplog)
    assert line.startswith("GET get_topics 200 in ")
    assert line.endswith(f" ms, key {api.key.split('_')[1]}")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/v1/topics", "GET get_topics 401 in "),
        ("/v1/nowhere/reader-17", "GET - 404 in "),
        ("/openapi.json", "GET - 200 in "),
    ],
    ids=["no key", "no address", "the description"],
)
async def test_request_without_a_key_has_a_line(
    api: InternalPort, caplog: pytest.LogCaptureFixture, path: str, line: str
) -> None:
    """What is refused, and what needs no key, is one line too."""
    await api.http.get(path, headers={"authorization": ""})

    assert [each.split("in ")[0] + "in " for each in lines(caplog)] == [line]
    assert lines(caplog)[0].endswith("key -")


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz"])
async def test_monitoring_fills_no_log(api: InternalPort, caplog: pytest.LogCaptureFixture, path: str) -> None:
    """What is asked for every few seconds has a line only when debugging."""
    await api.get(path)

    assert lines(caplog) == []


HOSTILE = {
    "path": b"GET /v1/links/reader-17%0d%0aFAKE%1b[31m HTTP/1.1\r\nHost: a\r\n",
    "path in the raw": b"GET /v1/links/\xff\xfereader-17 HTTP/1.1\r\nHost: a\r\n",
    "query": b"POST /v1/rewrite?campaign=a&recipient=reader-17%0aFAKE HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n",
    "Host": b"GET /v1/topics HTTP/1.1\r\nHost: evil.example\x1b[31m\r\n",
    "header": b"GET /v1/topics HTTP/1.1\r\nHost: a\r\nX-FAKE: evil\t\x9bFAKE\r\nUser-Agent: evil\r\n",
    "another authorization": b"GET /v1/topics HTTP/1.1\r\nHost: a\r\nAuthorization: Basic Zm9vOmh1bnRlcjI=\r\n",
    "odd method": b"PROPFIND /v1/topics HTTP/1.1\r\nHost: a\r\n",
    "body": b"POST /v1/links HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 12\r\n",
}


@pytest.mark.parametrize("authorized", [True, False], ids=["with a key", "without"])
@pytest.mark.parametrize("head", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_request_is_one_line_without_it(
    api: InternalPort, caplog: pytest.LogCaptureFixture, head: bytes, authorized: bool
) -> None:
    """Nobody forges a line, and nothing of a path, a query, a header or a body is in one, as text or as JSON."""
    caplog.set_level(logging.DEBUG)
    key = f"Authorization: Bearer {api.key}\r\n".encode() if authorized else b""
    await exchange(api.address, head + key + b'Connection: close\r\n\r\n{"reader-17"')

    assert len(lines(caplog)) <= 1
    for record in caplog.records:
        for line in (TextLines().format(record), JSONLines().format(record)):
            assert line.isprintable()
            assert api.key not in line
            assert not [part for part in SECRET_PARTS if part in line]


async def test_every_request_on_a_connection_has_its_line(api: InternalPort, caplog: pytest.LogCaptureFixture) -> None:
    """Requests that come in one piece are told apart, each with its own outcome."""
    head = f"Host: a\r\nAuthorization: Bearer {api.key}\r\n"
    first = f"GET /v1/topics HTTP/1.1\r\n{head}\r\n"
    second = f"GET /v1/links/1 HTTP/1.1\r\n{head}Connection: close\r\n\r\n"
    await exchange(api.address, (first + second).encode())

    assert [line.split(" in ")[0] for line in lines(caplog)] == ["GET get_topics 200", "GET get_link 404"]


async def test_line_as_json_has_the_fields_of_every_line(api: InternalPort, caplog: pytest.LogCaptureFixture) -> None:
    """What reads the log finds the request's line in the same shape as any other."""
    await api.get("/v1/topics")

    (record,) = (each for each in caplog.records if each.name == "redirector.web.request_log")
    assert json.loads(JSONLines().format(record)).keys() == {"time", "level", "logger", "pid", "message"}
