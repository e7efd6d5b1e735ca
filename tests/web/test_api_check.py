"""Minting with `check=true`: the api process asks the destinations before it mints."""

import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from redirector.ask import Asker
from redirector.check import Checker
from redirector.store.keys import Keys
from redirector.wire import MAX_CHECKED_A_REQUEST
from tests.sites import Names, Site, here, site
from tests.web.ports import InternalPort, internal_port


async def no_sleep(_: float) -> None:
    """Time is not what these tests are about."""


@pytest.fixture(scope="module")
async def checking_port(store_url: str) -> AsyncIterator[InternalPort]:
    """An internal port whose checks reach the tests' sites."""
    names = Names({"www.example.com": [["127.0.0.1"]]})
    checker = Checker(Asker(names, may_connect=here), sleep=no_sleep)
    async with internal_port(store_url, Keys(f"test-{secrets.token_hex(6)}"), checker=checker) as port:
        yield port


@pytest.fixture
def checking(checking_port: InternalPort) -> InternalPort:
    """The same with a campaign of the test's own."""
    return checking_port.for_a_test()


@pytest.fixture
def shop() -> Iterator[Site]:
    """A site with one page."""
    with site() as found:
        found.answers("/offer")
        yield found


async def test_destination_that_answers_is_minted(checking: InternalPort, shop: Site) -> None:
    """The destination is asked, and then the link minted."""
    body = {"destination": shop.url("/offer"), "campaign": checking.name}

    answer = await checking.post("/v1/links", body, params={"check": "true"})

    assert answer.status_code == 201, answer.text
    assert shop.lines == ["HEAD /offer"]


async def test_broken_destination_is_refused(checking: InternalPort, shop: Site) -> None:
    """The refusal names the field, the status and the remedy, and nothing is minted."""
    body = {"destination": shop.url("/gone"), "campaign": checking.name}

    answer = await checking.post("/v1/links", body, params={"check": "true"})

    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "urn:redirector:problem:broken_destination")
    (mend,) = problem["errors"]
    assert (mend["pointer"], mend["reason"], mend["part"]) == ("/destination", "status", shop.url("/gone"))
    assert mend["detail"] == "it answers 404"
    assert mend["remedy"].startswith("open it in a browser")
    assert (await checking.get("/v1/links", params={"campaign": checking.name})).status_code == 404


async def test_broken_row_does_not_spoil_the_others(checking: InternalPort, shop: Site) -> None:
    """Of a list, what answers is minted; what a policy refuses is not asked."""
    destinations = [shop.url("/gone"), shop.url("/offer"), "http://127.0.0.1/", shop.url("/offer")]
    rows = [
        {"destination": destination, "campaign": checking.name, "label": str(row)}
        for row, destination in enumerate(destinations)
    ]

    answer = await checking.post("/v1/links", rows, params={"check": "true"})

    gone, offer, private, again = answer.json()["links"]
    assert answer.status_code == 207
    assert gone["errors"][0]["pointer"] == "/0/destination"
    assert private["errors"][0]["reason"] == "private_address"
    assert (offer["label"], again["label"]) == ("1", "3")
    assert sorted(shop.lines) == ["GET /gone", "HEAD /gone", "HEAD /offer"]


async def test_without_check_nobody_is_asked(checking: InternalPort, shop: Site) -> None:
    """Minting asks no destination unless it is told to."""
    answer = await checking.post("/v1/links", {"destination": shop.url("/gone"), "campaign": checking.name})

    assert answer.status_code == 201
    assert shop.asked == []


async def test_many_are_not_checked_at_once(checking: InternalPort) -> None:
    """A request that would take minutes is refused, with what to do instead."""
    row = {"destination": "https://www.example.com/", "campaign": checking.name}

    answer = await checking.post("/v1/links", [row] * (MAX_CHECKED_A_REQUEST + 1), params={"check": "true"})

    assert answer.status_code == 413
    assert "redirector links check" in answer.json()["errors"][0]["remedy"]


async def test_all_links_are_listed_without_a_campaign(checking: InternalPort) -> None:
    """Without a campaign, pages go through the links of all of them; an empty name is a mistake."""
    for name in ("a", "b", "a"):
        body = {"destination": f"https://www.example.com/{secrets.token_hex(4)}", "campaign": checking.name + name}
        assert (await checking.post("/v1/links", body)).status_code == 201

    listed: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next_after": 0}
    while page["next_after"] is not None:
        page = (await checking.get("/v1/links", params={"after": page["next_after"], "limit": 2})).json()
        listed += page["links"]

    assert [link["id"] for link in listed] == sorted({link["id"] for link in listed})
    assert [link["campaign"] for link in listed][-3:] == [checking.name + name for name in ("a", "b", "a")]
    assert (await checking.get("/v1/links", params={"campaign": ""})).status_code == 422
