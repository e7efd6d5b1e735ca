"""Campaigns made for one of several hosts: what is minted for them points there."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from redirector.roles.api import services_of
from redirector.store.keys import Keys
from tests.web.ports import BASE_URL, InternalPort, internal_port, settings_for

GO = "https://go.example.org"


@pytest.fixture(scope="module")
async def hosted(store_url: str) -> AsyncIterator[InternalPort]:
    """An internal port of an installation with two hosts."""
    async with internal_port(store_url, Keys(f"test-{secrets.token_hex(6)}"), hosts=({"base_url": GO},)) as port:
        yield port


@pytest.fixture
def api(hosted: InternalPort) -> InternalPort:
    """The same with a campaign of the test's own."""
    return hosted.for_a_test()


async def rewritten(api: InternalPort, mail: str, **params: Any) -> dict[str, Any]:
    """A rewritten mail with its links."""
    answer = await api.http.post(
        "/v1/rewrite",
        params={"campaign": api.name, **params},
        content=mail.encode(),
        headers={"content-type": "text/html; charset=utf-8", "accept": "application/json"},
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_campaigns_links_point_to_its_host(api: InternalPort) -> None:
    """Every answer with a URL of the campaign's has its host: minted, listed, looked up, changed, and of a list."""
    campaign = await api.campaign(base_url=GO + "/")
    link = await api.link()
    path = f"/v1/links/{link['id']}"
    listed = (await api.get("/v1/links", params={"campaign": api.name})).json()["links"]
    looked_up, changed = (await api.get(path)).json(), (await api.patch(path, {"disabled": False})).json()
    other = {"destination": "https://www.example.com/b", "campaign": api.name + "-2"}
    rows = (await api.post("/v1/links", [{**other, "campaign": api.name}, other])).json()["links"]

    assert campaign["base_url"] == GO
    assert {each["url"] for each in (link, *listed, looked_up, changed)} == {f"{GO}/c/{link['code']}"}
    assert [row["url"].removesuffix(row["code"]) for row in rows] == [f"{GO}/c/", f"{BASE_URL}/c/"]


async def test_recipients_urls_point_to_its_host(api: InternalPort) -> None:
    """A URL for each recipient has the campaign's host."""
    await api.campaign(base_url=GO, tracking="individual", consent="CRM 7")
    link = await api.link()

    answer = await api.post(f"/v1/links/{link['id']}/urls", {"recipients": ["a"]})

    assert answer.json()["url"].startswith(f"{GO}/c/")


@pytest.mark.parametrize("dry_run", ["true", "false"])
async def test_mails_links_point_to_its_host(api: InternalPort, dry_run: str) -> None:
    """A mail is rewritten to the campaign's host; what is tracked already, at whichever host, is left alone."""
    await api.campaign(base_url=GO)
    mail = f'<a href="https://www.example.com/">a</a><a href="{BASE_URL}/c/x">b</a><a href="{GO.upper()}/c/x">c</a>'

    found = await rewritten(api, mail, dry_run=dry_run)

    assert f'<a href="{GO}/c/' in found["html"]
    assert [link["reason"] for link in found["links"]] == ["", "already-tracked", "already-tracked"]


async def test_campaign_is_the_main_hosts_unless_told(api: InternalPort) -> None:
    """Without a host, and with the main one, a campaign is the same."""
    first = await api.campaign()
    again = await api.post("/v1/campaigns", {"name": api.name, "base_url": BASE_URL})
    other = await api.post("/v1/campaigns", {"name": api.name, "base_url": GO})

    assert first["base_url"] == BASE_URL
    assert (again.status_code, other.status_code) == (200, 409)
    assert "base_url" in other.json()["detail"]


async def test_host_of_a_campaign_can_be_changed(api: InternalPort) -> None:
    """URLs that are made from then on point to the new one, and null is the main one."""
    await api.campaign()
    moved = await api.patch(f"/v1/campaigns/{api.name}", {"base_url": GO})
    link = await api.link()
    back = await api.patch(f"/v1/campaigns/{api.name}", {"base_url": None})

    assert (moved.json()["base_url"], back.json()["base_url"]) == (GO, BASE_URL)
    assert link["url"].startswith(GO)
    assert (await api.link())["url"].startswith(BASE_URL)


@pytest.mark.parametrize(
    "base_url", ["https://evil.example", "http://go.example.org", "https://go.example.org:81", "go.example.org", "\0"]
)
async def test_other_host_is_refused(api: InternalPort, base_url: str) -> None:
    """Only a host that is configured can be a campaign's; the refusal names those that are."""
    answer = await api.post("/v1/campaigns", {"name": api.name, "base_url": base_url})

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["pointer"]) == (422, "/base_url")
    assert BASE_URL in error["remedy"]
    assert GO in error["remedy"]


async def test_host_that_is_configured_no_more_is_the_main_one(api: InternalPort, store_url: str) -> None:
    """A campaign whose host was taken out of the settings goes on with the main one."""
    await api.campaign(base_url=GO)
    known = api.services
    settings = settings_for(store_url, known.keys, hosts=({"base_url": "https://b.example"},))

    urls = await services_of(settings, known.redis, known.keys).urls_of(api.name)

    assert urls[api.name].base_url == BASE_URL
