"""No stored field, however it came into the store, begins a header or a line of its own in an answer."""

import json
import secrets
from typing import Any

import pytest

from tests.builders import NOON
from tests.web.ports import InternalPort, PublicPort
from tests.web.sockets import exchange

INJECTED = "X-Injected: yes"
BREAKS = {"CR LF": "\r\n", "LF": "\n", "CR": "\r", "NUL": "\0", "NEL": "\x85", "line separator": "\u2028"}

# Every field that the API takes and keeps, with a value that ends in a line break and a header.
FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "destination": ("/v1/links", {"destination": "https://www.example.com/{}", "campaign": "a"}),
    "label": ("/v1/links", {"destination": "https://www.example.com/", "campaign": "a", "label": "{}"}),
    "topic": ("/v1/links", {"destination": "https://www.example.com/", "campaign": "a", "topics": ["{}"]}),
    "campaign of a link": ("/v1/links", {"destination": "https://www.example.com/", "campaign": "a{}"}),
    "expiry": ("/v1/links", {"destination": "https://www.example.com/", "campaign": "a", "expires_at": "{}"}),
    "name": ("/v1/campaigns", {"name": "a{}"}),
    "consent": ("/v1/campaigns", {"name": "a", "tracking": "individual", "consent": "b{}"}),
    "fallback": ("/v1/campaigns", {"name": "a", "fallback_url": "https://www.example.com/{}"}),
    "base URL": ("/v1/campaigns", {"name": "a", "base_url": "https://news.example.com{}"}),
}


def filled(value: Any, text: str) -> Any:
    """The value with the text in its place."""
    if isinstance(value, list):
        return [filled(each, text) for each in value]
    return value.replace("{}", text)


@pytest.mark.parametrize("line_break", BREAKS.values(), ids=BREAKS)
@pytest.mark.parametrize("field", FIELDS)
async def test_field_with_a_line_break(api: InternalPort, field: str, line_break: str) -> None:
    """A line break within a field is refused; the one that is text in a URL is sent escaped."""
    path, body = FIELDS[field]
    text = line_break + INJECTED

    answer = await api.post(path, {name: filled(value, text) for name, value in body.items()})

    if line_break == "\u2028" and field == "destination":
        assert answer.json()["sent_as"] == f"https://www.example.com/%E2%80%A8{INJECTED}"
    elif line_break == "\u2028" and field == "fallback":
        assert answer.status_code in {200, 201, 409}
    else:
        assert answer.status_code in {400, 422}, answer.text
    assert "x-injected" not in answer.headers


RECORDS: dict[str, dict[str, Any]] = {
    "destination": {"destination": f"https://www.example.com/\r\n{INJECTED}"},
    "what is sent": {"sent": f"https://www.example.com/\r\n{INJECTED}"},
    "what is sent, with LF": {"sent": f"https://www.example.com/\n{INJECTED}"},
    "what is sent, no URL": {"sent": f"\r\n{INJECTED}"},
    "label": {"label": f"\r\n{INJECTED}"},
    "topic": {"topics": [f"a\r\n{INJECTED}"]},
    "campaign": {"campaign": f"news\r\n{INJECTED}"},
}


@pytest.mark.parametrize("harm", RECORDS.values(), ids=RECORDS)
async def test_record_that_would_do_harm(public: PublicPort, harm: dict[str, Any]) -> None:
    """A record that somebody put into the store past the API adds no line to an answer's head."""
    await public.campaign()
    number = secrets.randbelow(2**40) + 2**20  # of a link that nobody minted, and no replica has
    record = {"destination": "https://www.example.com/", "campaign": public.name, "topics": [], "created_at": NOON}
    await public.redis.hset(public.keys.links, str(number), json.dumps({**record, **harm}))
    code = public.codes.encode(number, 0)

    for path in (f"/c/{code}", f"/d/{code}", f"/privacy/{code}"):
        sent = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
        head = (await exchange(public.address, sent)).partition(b"\r\n\r\n")[0]
        assert head.startswith(b"HTTP/1.1 ")
        assert not any(line.lower().startswith(b"x-injected") for line in head.splitlines()), head
