"""Campaigns over the API: made once, changed in part, and the same to whoever asks again."""

from urllib.parse import quote

import pytest
from prometheus_client import REGISTRY

from tests.web.ports import InternalPort

EVERYTHING = {
    "tracking": "individual",
    "consent": "crm:newsletter-2026",
    "sent": 120_000,
    "sent_at": "2026-11-23T08:00:00Z",
    "fallback_url": "https://www.example.com/{over}",
    "base_url": "https://news.example.com",
    "expires_at": "2026-12-31T23:59:59.001Z",
}


async def test_campaign_is_created_with_defaults(api: InternalPort) -> None:
    """A name is enough: it counts in aggregate, and nothing else is known of it."""
    answer = await api.post("/v1/campaigns", {"name": api.name})

    assert answer.status_code == 201
    assert answer.json() == {
        "name": api.name,
        "tracking": "aggregate",
        "consent": "",
        "sent": None,
        "sent_at": None,
        "fallback_url": None,
        "expires_at": None,
        "base_url": "https://news.example.com",
    }


async def test_campaign_keeps_its_properties(api: InternalPort) -> None:
    """What was given comes back to the letter and to the millisecond."""
    answer = await api.post("/v1/campaigns", {"name": api.name, **EVERYTHING})

    assert answer.json() == {"name": api.name, **EVERYTHING, "expires_at": "2026-12-31T23:59:59.001000Z"}


async def test_same_campaign_again_is_there_already(api: InternalPort) -> None:
    """The same body again answers 200 with the same campaign."""
    body = {"name": api.name, **EVERYTHING}
    first = await api.post("/v1/campaigns", body)

    again = await api.post("/v1/campaigns", body)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()


async def test_mails_that_are_sent_are_on_the_metrics(api: InternalPort) -> None:
    """What a campaign is told to be sent with counts once, and then what it grows by; nothing is taken back."""
    before = mails_sent()
    body = {"name": api.name, "sent": 100}
    for again in (body, body):
        await api.post("/v1/campaigns", again)
    for sent in (250, 250, None, 50):
        await api.patch(f"/v1/campaigns/{api.name}", {"sent": sent})

    assert mails_sent() - before == 100 + 150 + 50


def mails_sent() -> float:
    """The counter in this process."""
    return REGISTRY.get_sample_value("redirector_mails_sent_total") or 0.0


async def test_what_a_body_leaves_out_may_be_anything(api: InternalPort) -> None:
    """A body that names only the campaign fits it, whatever its properties are: 200, and nothing is changed."""
    made = await api.campaign(**EVERYTHING)

    again = await api.post("/v1/campaigns", {"name": api.name})

    assert (again.status_code, again.json()) == (200, made)


async def test_first_body_after_a_change_is_a_conflict(api: InternalPort) -> None:
    """A body is compared with the campaign as it is now, not with the body that made it: 409, and the PATCH stays."""
    await api.campaign(sent=5)
    await api.patch(f"/v1/campaigns/{api.name}", {"sent": 9})

    again = await api.post("/v1/campaigns", {"name": api.name, "sent": 5})

    assert (again.status_code, again.json()["errors"][0]["pointer"]) == (409, "/sent")
    assert (await api.post("/v1/campaigns", {"name": api.name, "sent": 9})).status_code == 200


@pytest.mark.parametrize("change", [{"sent": 2}, {"fallback_url": None}, {"expires_at": None}], ids=str)
async def test_other_campaign_of_the_name_is_a_conflict(api: InternalPort, change: dict[str, object]) -> None:
    """The same name with another property answers 409 that points at the property, and changes nothing."""
    body = {"name": api.name, **EVERYTHING}
    await api.post("/v1/campaigns", body)

    answer = await api.post("/v1/campaigns", {**body, **change})

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:redirector:problem:campaign_exists"
    assert answer.json()["errors"][0]["pointer"] == "/" + next(iter(change))
    assert (await api.post("/v1/campaigns", body)).status_code == 200


async def test_campaign_that_a_link_made_can_be_completed(api: InternalPort) -> None:
    """A campaign that came into being with a link is the same as one with its name alone."""
    await api.link()

    assert (await api.post("/v1/campaigns", {"name": api.name})).status_code == 200


REFUSED = {
    "no name": ({}, "/name"),
    "individual without consent": ({"name": "a", "tracking": "individual"}, "/consent"),
    "individual with blank consent": ({"name": "a", "tracking": "individual", "consent": "  "}, "/consent"),
    "unknown tracking": ({"name": "a", "tracking": "both"}, "/tracking"),
    "sent below zero": ({"name": "a", "sent": -1}, "/sent"),
    "sent a fraction": ({"name": "a", "sent": 1.5}, "/sent"),
    "sent text": ({"name": "a", "sent": "100"}, "/sent"),
    "sent true": ({"name": "a", "sent": True}, "/sent"),
    "sent 10^400": ({"name": "a", "sent": 10**400}, "/sent"),
    "fallback of our own": ({"name": "a", "fallback_url": "https://news.example.com/"}, "/fallback_url"),
    "name with a slash": ({"name": "a/b"}, "/name"),
    "name of dots": ({"name": ".."}, "/name"),
    "name with space around": ({"name": " a"}, "/name"),
    "name too long": ({"name": "a" * 101}, "/name"),
    "name with a NUL": ({"name": "a\0"}, "/name"),
    "name turned around": ({"name": "a\u202eb"}, "/name"),
    "expiry without offset": ({"name": "a", "expires_at": "2026-12-31T23:59:59"}, "/expires_at"),
}


@pytest.mark.parametrize(("body", "pointer"), REFUSED.values(), ids=REFUSED.keys())
async def test_wrong_campaign_is_refused(api: InternalPort, body: dict[str, object], pointer: str) -> None:
    """422 that points at what is wrong."""
    answer = await api.post("/v1/campaigns", body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_patch_changes_what_it_names(api: InternalPort) -> None:
    """What is absent from a patch stays."""
    before = await api.campaign(**EVERYTHING)

    answer = await api.patch(f"/v1/campaigns/{api.name}", {"sent": 5})

    assert answer.status_code == 200
    assert answer.json() == {**before, "sent": 5}


@pytest.mark.parametrize("field", ["sent", "fallback_url", "expires_at"])
async def test_patch_with_null_takes_away(api: InternalPort, field: str) -> None:
    """null takes a property away, and leaves the others."""
    before = await api.campaign(**EVERYTHING)

    answer = await api.patch(f"/v1/campaigns/{api.name}", {field: None})

    assert answer.json() == {**before, field: None}


async def test_empty_patch_changes_nothing(api: InternalPort) -> None:
    """A patch that names nothing answers with the campaign as it is."""
    before = await api.campaign(**EVERYTHING)

    assert (await api.patch(f"/v1/campaigns/{api.name}", {})).json() == before


@pytest.mark.parametrize("field", ["name", "tracking", "consent", "colour"])
async def test_patch_of_what_never_changes_is_refused(api: InternalPort, field: str) -> None:
    """A campaign's name, mode and consent are for ever: 422 that points at the field."""
    await api.campaign()

    answer = await api.patch(f"/v1/campaigns/{api.name}", {field: "other"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == f"/{field}"


async def test_patch_of_no_campaign_is_not_found(api: InternalPort) -> None:
    """404 that names what was asked for."""
    answer = await api.patch("/v1/campaigns/never%20made", {"sent": 1})

    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:redirector:problem:unknown_campaign"
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["part"]) == ("name", "never made")
    assert error["remedy"] == "create it with POST /v1/campaigns"


@pytest.mark.parametrize(
    "name", ["November news", "Grüße 🌞", "100% off", "50%25", "a+b", "a?b#c", "a&b=c;d", "~_.-", "{0}", "A" * 100]
)
async def test_name_may_be_almost_anything(api: InternalPort, name: str) -> None:
    """Spaces, Unicode, percent signs: a campaign is found under its escaped name."""
    name = f"{name[:90]} {api.name[-6:]}"
    await api.post("/v1/campaigns", {"name": name})

    answer = await api.patch(f"/v1/campaigns/{quote(name, safe='')}", {"sent": 7})
    report = await api.get(f"/v1/campaigns/{quote(name, safe='')}/report")

    assert (answer.status_code, answer.json()["name"]) == (200, name)
    assert (report.json()["campaign"], report.json()["sent"]) == (name, 7)
