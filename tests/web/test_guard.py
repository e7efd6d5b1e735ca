"""How often, and with which trace: limits for keys and for who tries them, and the audit."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from redirector.client import AsyncClient
from redirector.errors import TooManyRequests, UnknownLink
from redirector.store.connection import connected
from redirector.store.keys import Keys
from redirector.web.internal import internal_app
from redirector.web.operations import OPERATIONS, Answer, Operation, Parameter
from redirector.web.server import listening, serving
from tests.store.stores import own_store
from tests.web.ports import Clock, InternalPort, internal_port

A_MINUTE = 3


@pytest.fixture
async def limited(store_url: str, keys: Keys) -> AsyncIterator[InternalPort]:
    """An internal port with tight limits, at noon: one request a second and ten at once, three wrong keys a minute."""
    limits: dict[str, Any] = {"api_requests_per_second": 1, "api_wrong_keys_per_minute": A_MINUTE}
    async with internal_port(store_url, keys, **limits) as port, at_noon(port) as stopped:
        yield stopped


@asynccontextmanager
async def at_noon(port: InternalPort, operations: tuple[Operation, ...] = OPERATIONS) -> AsyncIterator[InternalPort]:
    """The same port with a clock that tests move, and with these operations."""
    listener = listening("internal", "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = internal_app(replace(port.services, clock=Clock()), version="1", operations=operations)
    headers = {"authorization": f"Bearer {port.key}"}
    async with serving(app, listener), httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as http:
        yield replace(port, url=url, http=http, services=app.state.services)


def a_wrong_key() -> dict[str, str]:
    """A key as nobody has it."""
    return {"authorization": f"Bearer rdr_{secrets.token_hex(6)}_{secrets.token_hex(20)}"}


async def statuses(port: InternalPort, count: int, **others: Any) -> list[int]:
    """What so many requests are answered."""
    return [(await port.http.get("/v1/topics", **others)).status_code for _ in range(count)]


async def test_key_over_its_limit_has_to_wait(limited: InternalPort) -> None:
    """Ten at once, then 429 as a problem that says for how long; another key goes on."""
    taken = await statuses(limited, 10)
    refused = await limited.get("/v1/topics")
    other = await limited.http.get("/v1/topics", headers=await limited.key_with({"read"}))

    assert taken == [200] * 10
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"] == "urn:redirector:problem:too_many_requests"
    assert other.status_code == 200


async def test_key_that_waited_goes_on(limited: InternalPort) -> None:
    """A second later there is one more."""
    await statuses(limited, 11)
    limited.services.clock.now += 1_000  # type: ignore[attr-defined] # the test's own

    assert await statuses(limited, 2) == [200, 429]


async def test_client_says_how_long_to_wait(limited: InternalPort) -> None:
    """The client raises the error of its own, with the seconds that the server named."""
    await statuses(limited, 10)
    async with AsyncClient(limited.url, limited.key) as client:
        with pytest.raises(TooManyRequests) as refused:
            await client.topics()

    assert refused.value.retry_after_seconds == 1
    assert "wait 1 s" in refused.value.remedy


async def test_who_tries_keys_has_to_wait(limited: InternalPort) -> None:
    """After so many wrong keys the address waits, and the store is not asked any more."""
    tried = [await statuses(limited, 1, headers=a_wrong_key()) for _ in range(A_MINUTE)]
    asked = await commands(limited)
    refused = await limited.http.get("/v1/topics", headers=a_wrong_key())

    assert tried == [[401]] * A_MINUTE
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "20"
    assert await commands(limited) == asked


async def commands(port: InternalPort) -> int:
    """How many commands of hashes the store was given."""
    stats: Any = await port.services.redis.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("hget", "hgetall", "hset"))


async def test_right_key_of_a_stranger_waits_too(limited: InternalPort) -> None:
    """Nobody who tries keys is told which one was right: a key that was never used from there waits."""
    key = await limited.key_with({"read"})
    for _ in range(A_MINUTE):
        await statuses(limited, 1, headers=a_wrong_key())

    assert await statuses(limited, 1, headers=key) == [429]


async def test_program_with_an_old_key_locks_nobody_out(limited: InternalPort) -> None:
    """Keys that were used from the address before go on, however many wrong ones come from it."""
    before = await statuses(limited, 1)
    wrong = [await statuses(limited, 1, headers=a_wrong_key()) for _ in range(A_MINUTE + 2)]

    assert wrong[-1] == [429]
    assert before == await statuses(limited, 1) == [200]


async def test_other_addresses_are_not_locked_out(limited: InternalPort) -> None:
    """Whoever tries keys makes nobody else wait, also not somebody whom the port has never seen."""
    key = await limited.key_with({"read"})
    for _ in range(A_MINUTE + 1):
        await statuses(limited, 1, headers=a_wrong_key())
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.3")
    async with httpx.AsyncClient(transport=transport, trust_env=False) as other:
        answer = await other.get(f"{limited.url}/v1/topics", headers=key)

    assert answer.status_code == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
async def test_forged_headers_are_of_no_use_for_trying(limited: InternalPort, header: str) -> None:
    """The internal port believes no header about where a request comes from."""
    tried = [
        (await statuses(limited, 1, headers={**a_wrong_key(), header: f"for=198.51.100.{n}"}))[0]
        for n in range(A_MINUTE + 1)
    ]

    assert tried == [401] * A_MINUTE + [429]


async def test_request_without_a_key_is_no_try(limited: InternalPort) -> None:
    """A browser that looks at the port has tried nothing."""
    assert await statuses(limited, 8, headers={"authorization": ""}) == [401] * 8


async def test_refusals_are_counted_by_their_reason(limited: InternalPort) -> None:
    """Three reasons, and no label that a stranger could choose."""
    before = refusals()
    for _ in range(A_MINUTE + 2):
        await statuses(limited, 1, headers=a_wrong_key())

    grown = {reason: count - before.get(reason, 0) for reason, count in refusals().items()}
    assert grown == {"wrong_key": A_MINUTE, "too_many_wrong_keys": 2, "too_many_requests": 0}


def refusals() -> dict[str, float]:
    """The counter, by its label."""
    (family,) = (each for each in REGISTRY.collect() if each.name == "redirector_api_refusals")
    return {each.labels["reason"]: each.value for each in family.samples if each.name.endswith("_total")}


# --- the audit

done: list[str] = []


async def forget(request: Request) -> Response:
    """Does something to a person, or fails to, as the test asks."""
    done.append(request.query_params["how"])
    if done[-1] == "unknown":
        raise UnknownLink("there is no such link")
    if done[-1] == "broken":
        raise ZeroDivisionError(PERSON)
    return JSONResponse({}, 202)


async def tidy(_: Request) -> Response:
    """Changes the installation."""
    return JSONResponse({})


PERSON = "reader-17@example.com"
HOW = (Parameter("how", "how it ends"),)
MIGHTY = (
    Operation("GET", "/v1/forget/{name}", forget, "personal", "Forget", {202: Answer("done", ())}, (), parameters=HOW),
    Operation("GET", "/v1/tidy", tidy, "admin", "Tidy", {200: Answer("done", ())}, ()),
)


@asynccontextmanager
async def mighty_port(store_url: str, keys: Keys) -> AsyncIterator[InternalPort]:
    """A port with an operation for each scope that is audited."""
    done.clear()
    async with internal_port(store_url, keys) as port, at_noon(port, (*OPERATIONS, *MIGHTY)) as with_them:
        yield with_them


@pytest.fixture
async def mighty(store_url: str, keys: Keys) -> AsyncIterator[InternalPort]:
    """Such a port over the shared store."""
    async with mighty_port(store_url, keys) as port:
        yield port


async def uses(port: InternalPort) -> list[tuple[str, str, str]]:
    """What the audit has: who, what, and what came of it."""
    return [(use.who, use.action, use.outcome) for use in await port.services.guard.audit.since(0)]


@pytest.mark.parametrize(("how", "status"), [("well", 202), ("unknown", 404), ("broken", 500)])
async def test_use_of_personal_is_audited(mighty: InternalPort, how: str, status: int) -> None:
    """Each use is there once it is answered, with its status, and whose key it was."""
    answer = await mighty.get(f"/v1/forget/{PERSON}?how={how}")

    assert answer.status_code == status
    assert await uses(mighty) == [("tests", "forget", str(status))]
    (use,) = await mighty.services.guard.audit.since(0)
    assert use.key == mighty.key.split("_")[1]


async def test_use_of_admin_is_audited(mighty: InternalPort) -> None:
    """As that of `personal`."""
    await mighty.get("/v1/tidy")

    assert await uses(mighty) == [("tests", "tidy", "200")]


async def test_audit_holds_nobody(mighty: InternalPort) -> None:
    """No part of the request is in the audit: not whom it was about, and not what the error said of them."""
    for how in ("well", "broken"):
        await mighty.get(f"/v1/forget/{PERSON}?how={how}")

    kept = repr(await mighty.services.redis.xrange(mighty.services.keys.audit))
    assert kept.count("forget") == 2
    assert "reader-17" not in kept
    assert mighty.key.split("_")[2] not in kept


async def test_other_scopes_are_not_audited(mighty: InternalPort) -> None:
    """Minting and reading are not in the audit, and neither is a use that the key may not make."""
    await mighty.get("/v1/topics")
    refused = await mighty.http.get(f"/v1/forget/{PERSON}?how=well", headers=await mighty.key_with({"admin", "mint"}))

    assert (refused.status_code, done) == (403, [])
    assert await uses(mighty) == []


async def test_what_cannot_be_audited_does_not_happen(directory: Path, keys: Keys) -> None:
    """When the store takes no more writes, the answer is 503, and nothing was done; what needs no audit goes on."""
    with own_store("valkey", directory) as url:
        async with mighty_port(url, keys) as port, connected(url) as redis:
            await port.get("/v1/topics")
            await redis.config_set("maxmemory", 1)
            refused = await port.get(f"/v1/forget/{PERSON}?how=well")
            reading = await port.get("/v1/topics")

    assert (refused.status_code, done) == (503, [])
    assert refused.headers["retry-after"]
    assert reading.status_code == 200
