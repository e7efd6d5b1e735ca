"""Tracked URLs for recipients: a line each, in their order, streamed."""

import asyncio
import json
from typing import Any

import pytest

from tests.web.ports import BASE_URL, InternalPort


async def personal_link(api: InternalPort) -> dict[str, Any]:
    """A link of a campaign that tells its recipients apart."""
    await api.campaign(tracking="individual", consent="crm:newsletter-2026")
    return await api.link()


async def test_each_recipient_gets_a_line(api: InternalPort) -> None:
    """NDJSON, in the order of the request; a recipient who comes twice gets the same URL twice."""
    link = await personal_link(api)
    recipients = ["reader-2", "reader-1", 'Leser 🌞 "x"\n', "reader-2"]

    answer = await api.post(f"/v1/links/{link['id']}/urls", {"recipients": recipients})

    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.removesuffix("\n").split("\n")]
    assert [line["recipient"] for line in lines] == recipients
    assert lines[0]["url"] == lines[3]["url"] != lines[1]["url"]


async def test_url_is_the_links_and_the_recipients(api: InternalPort) -> None:
    """The code decodes to the link and to the recipient's token, and the recipient's id is not in it."""
    link = await personal_link(api)

    answer = await api.post(f"/v1/links/{link['id']}/urls", {"recipients": ["reader-1"]})

    url = answer.json()["url"]
    codes = api.services.urls.codes
    decoded = codes.decode(url.removeprefix(f"{BASE_URL}/c/"))
    assert decoded is not None
    assert (decoded.link, decoded.recipient) == (link["id"], codes.recipient_token("reader-1"))
    assert "reader-1" not in url


async def test_others_are_answered_while_urls_are_made(api: InternalPort) -> None:
    """200,000 recipients take a moment; a request that comes meanwhile does not wait for the last of them."""
    link = await personal_link(api)
    recipients = [f"reader-{number}" for number in range(200_000)]
    lines_before_the_other = 0
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            assert (await api.get("/livez")).status_code == 200
            others += 1

    lines = []
    asking = None
    async with api.http.stream("POST", f"/v1/links/{link['id']}/urls", json={"recipients": recipients}) as answer:
        async for line in answer.aiter_lines():
            asking = asking or asyncio.create_task(other())
            lines.append(line)
            lines_before_the_other += others == 0
    assert asking is not None
    asking.cancel()

    assert [json.loads(line)["recipient"] for line in lines] == recipients
    assert others > 10
    assert lines_before_the_other < 100_000


async def test_aggregate_campaign_has_no_recipients(api: InternalPort) -> None:
    """409: the campaign has one URL a link, the same for everybody."""
    link = await api.link()

    answer = await api.post(f"/v1/links/{link['id']}/urls", {"recipients": ["reader-1"]})

    assert answer.status_code == 409
    (error,) = answer.json()["errors"]
    assert (error["code"], error["pointer"]) == ("recipients_not_allowed", "/recipients")


async def test_missing_link_has_no_urls(api: InternalPort) -> None:
    """404 before anything is made."""
    assert (await api.post("/v1/links/123456789/urls", {"recipients": ["a"]})).status_code == 404


REFUSED: dict[str, tuple[object, str]] = {
    "none": ({}, "/recipients"),
    "empty list": ({"recipients": []}, "/recipients"),
    "null": ({"recipients": None}, "/recipients"),
    "text": ({"recipients": "reader-1"}, "/recipients"),
    "number in it": ({"recipients": ["a", 2]}, "/recipients/1"),
    "empty one in it": ({"recipients": ["a", "b", ""]}, "/recipients/2"),
    "long one in it": ({"recipients": ["a" * 257]}, "/recipients/0"),
    "a list alone": (["a"], ""),
}


@pytest.mark.parametrize(("body", "pointer"), REFUSED.values(), ids=REFUSED.keys())
async def test_wrong_recipients_are_refused(api: InternalPort, body: object, pointer: str) -> None:
    """422 that points at the recipient."""
    link = await personal_link(api)

    answer = await api.post(f"/v1/links/{link['id']}/urls", body)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_more_than_a_million_recipients_are_refused(api: InternalPort) -> None:
    """422 that points at the list."""
    body = b'{"recipients":["' + b'a","' * 1_000_000 + b'a"]}'

    answer = await api.send("/v1/links/1/urls", body)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/recipients"]
