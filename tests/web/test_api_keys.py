"""Who may do what: every operation wants a key, and the key a scope."""

import re

import pytest

from redirector.store.api_keys import SCOPES
from redirector.web.operations import OPERATIONS, Operation
from tests.test_documents import document
from tests.web.ports import InternalPort

operations = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")


def address(operation: Operation) -> str:
    """An address that the operation answers."""
    return operation.path.format(name="news", id=1)


@operations
async def test_no_key_is_unauthorized(api: InternalPort, operation: Operation) -> None:
    """Without a key every operation answers 401, and how to send one."""
    answer = await api.http.request(operation.method, address(operation), headers={"authorization": ""})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"].endswith(":key_missing")
    assert "Authorization: Bearer" in answer.json()["errors"][0]["remedy"]


@operations
async def test_key_of_another_scope_is_forbidden(api: InternalPort, operation: Operation) -> None:
    """A key without the operation's scope gets 403 that names the scope."""
    others = {"mint", "read", "personal", "admin"} - {operation.scope}
    headers = await api.key_with(others)

    answer = await api.http.request(operation.method, address(operation), headers=headers)

    assert answer.status_code == 403
    assert answer.json()["type"].endswith(":scope_missing")
    assert f"--scope {operation.scope}" in answer.json()["errors"][0]["remedy"]


@operations
async def test_key_with_the_scope_alone_may(api: InternalPort, operation: Operation) -> None:
    """No other scope is needed: what is refused then is refused for another reason."""
    headers = await api.key_with({operation.scope})

    answer = await api.http.request(operation.method, address(operation), headers=headers)

    assert answer.status_code not in {401, 403}


def test_scopes_are_told_as_they_are() -> None:
    """A scope that no operation asks for is said to allow nothing yet."""
    said = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", document("operating"), re.MULTILINE))
    asked_for = {operation.scope for operation in OPERATIONS}

    assert {scope: not said[scope].startswith("nothing yet") for scope in SCOPES} == {
        scope: scope in asked_for for scope in SCOPES
    }


WRONG = {
    "another scheme": "Basic {key}",
    "no scheme": "{key}",
    "scheme alone": "Bearer",
    "last character changed": "Bearer {key}0",
    "first half": "Bearer {half}",
    "capitals": "Bearer {capitals}",
    "another key": "Bearer rdr_000000000000_" + "0" * 40,
    "another key's secret": "Bearer {id}_" + "0" * 40,
    "no ASCII": "Bearer \u00fc",
    "10 kB": "Bearer " + "a" * 10_000,
}


@pytest.mark.parametrize("header", WRONG.values(), ids=WRONG.keys())
async def test_wrong_key_is_unauthorized(api: InternalPort, header: str) -> None:
    """Whatever is not, to the letter, a known key is as good as none."""
    key = api.key
    value = header.format(key=key, half=key[:30], capitals=key.upper(), id=key.rpartition("_")[0])

    answer = await api.http.get("/v1/topics", headers={b"authorization": value.encode("latin-1")})

    assert answer.status_code == 401
    assert key not in answer.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_scheme_is_compared_without_case(api: InternalPort, scheme: str) -> None:
    """The scheme's name has no case (RFC 9110, 11.1)."""
    answer = await api.http.get("/v1/topics", headers={"authorization": f"{scheme} {api.key}"})

    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/openapi.json", "/docs"])
async def test_monitoring_needs_no_key(api: InternalPort, path: str) -> None:
    """What monitoring asks for needs no key."""
    assert (await api.http.get(path, headers={"authorization": ""})).status_code == 200
