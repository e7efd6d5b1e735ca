"""Where a key's links may lead: where the installation allows it and the key does."""

import secrets
from collections.abc import AsyncIterator

import httpx
import pytest

from redirector.store.keys import Keys
from tests.builders import NOON
from tests.web.ports import InternalPort, internal_port

ALLOWED = "https://shop.example.org/offer"
OTHER = "https://www.example.org/"
OFF_THE_LIST = "https://www.example.com/"


@pytest.fixture(scope="module")
async def listed(store_url: str) -> AsyncIterator[InternalPort]:
    """An internal port of an installation that allows example.org."""
    keys = Keys(f"test-{secrets.token_hex(6)}")
    async with internal_port(store_url, keys, destinations_allowed="example.org") as port:
        yield port


@pytest.fixture
async def bound(listed: InternalPort) -> AsyncIterator[InternalPort]:
    """The same as the holder of a key that is bound to shop.example.org."""
    key = await listed.services.guard.api_keys.create(
        f"shop {secrets.token_hex(4)}",
        ["mint", "read"],
        now=NOON,
        entropy=secrets.token_bytes(26),
        destinations=["shop.example.org"],
    )
    port = listed.for_a_test()
    port.http = httpx.AsyncClient(
        base_url=listed.url, headers={"authorization": f"Bearer {key}"}, trust_env=False, timeout=30
    )
    async with port.http:
        yield port


def refused(answer: httpx.Response) -> tuple[str, str, str]:
    """The field, the reason and the host of the first refusal."""
    error = answer.json()["errors"][0]
    assert error["remedy"]
    return error["pointer"], error["reason"], error["part"]


@pytest.mark.parametrize(("destination", "reason"), [(OTHER, "not_allowed_to_key"), (OFF_THE_LIST, "not_allowed")])
async def test_key_cannot_mint_elsewhere(bound: InternalPort, destination: str, reason: str) -> None:
    """A destination must be allowed by the installation and by the key."""
    host = httpx.URL(destination).host
    rows = [{"destination": each, "campaign": bound.name} for each in (ALLOWED, destination)]

    one = await bound.post("/v1/links", rows[1])
    both = (await bound.post("/v1/links", rows)).json()["links"]

    assert (one.status_code, refused(one)) == (422, ("/destination", reason, host))
    assert both[0]["destination"] == ALLOWED
    assert both[1]["errors"][0]["pointer"] == "/1/destination"


async def test_key_cannot_lead_a_link_elsewhere(bound: InternalPort) -> None:
    """What cannot be minted cannot be made by a change either, nor as a fallback."""
    link = await bound.link(ALLOWED)

    patched = await bound.patch(f"/v1/links/{link['id']}", {"destination": OTHER})
    campaign = await bound.patch(f"/v1/campaigns/{bound.name}", {"fallback_url": OTHER})

    assert (patched.status_code, refused(patched)) == (422, ("/destination", "not_allowed_to_key", "www.example.org"))
    assert (campaign.status_code, refused(campaign)[1]) == (422, "not_allowed_to_key")
    assert (await bound.get(f"/v1/links/{link['id']}")).json()["destination"] == ALLOWED


async def test_rewrite_leaves_what_the_key_may_not(bound: InternalPort) -> None:
    """In a mail, links that the key may not lead to stay as they are, each with the reason."""
    mail = f'<a href="{ALLOWED}">a</a><a href="{OTHER}">b</a>'.encode()

    answer = await bound.http.post(
        "/v1/rewrite",
        params={"campaign": bound.name},
        content=mail,
        headers={"content-type": "text/html", "accept": "application/json"},
    )

    assert [(link["action"], link["reason"]) for link in answer.json()["links"]] == [
        ("tracked", ""),
        ("refused", "not_allowed_to_key"),
    ]


async def test_key_that_is_bound_to_nothing_goes_by_the_list(listed: InternalPort) -> None:
    """Other keys are bound by the installation's list alone."""
    port = listed.for_a_test()

    assert (await port.post("/v1/links", {"destination": OTHER, "campaign": port.name})).status_code == 201
