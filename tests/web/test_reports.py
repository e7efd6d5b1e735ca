"""The numbers over the API."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from redirector.clicks import Click, ClickClass, packed
from redirector.store.clicks import ClickAppender
from redirector.store.keys import Keys
from tests.builders import NOON, a_click
from tests.streams import count_all
from tests.web.ports import InternalPort, internal_port

HOUR_MS = 3_600_000


@pytest.fixture
async def clicked(store_url: str, keys: Keys) -> AsyncIterator[InternalPort]:
    """The internal port after 3 readers clicked on one link, one of them twice, and a bot on another."""
    async with internal_port(store_url, keys) as port:
        await port.post("/v1/campaigns", {"name": "news", "sent": 10})
        one = await port.link("https://www.example.com/1", topics=["solar"], label="button")
        other = await port.link("https://www.example.com/2", topics=["solar", "billing"])
        clicks = [
            a_click(1, link=one["id"], visitor="a"),
            a_click(2, link=one["id"], visitor="b"),
            a_click(3, link=one["id"], visitor="c"),
            a_click(4, link=one["id"], visitor="a", at=NOON + HOUR_MS),
            a_click(5, link=other["id"], topics=("solar", "billing"), class_=ClickClass.BOT, visitor="d"),
        ]
        await counted(port, store_url, clicks)
        yield port


async def counted(port: InternalPort, store_url: str, clicks: list[Click]) -> None:
    """The clicks are in the stream, and in the counters."""
    keys = port.services.keys
    appender = ClickAppender(store_url, keys, deadline_seconds=5)
    await appender.open()
    await appender.append("test-1", 1, [packed(click) for click in clicks])
    await appender.close()
    await count_all(port.services.redis, keys)


async def test_report_of_a_campaign(clicked: InternalPort) -> None:
    """Clicks by class, unique clickers, the rate of those who clicked, and the same by link and by hour."""
    report = (await clicked.get("/v1/campaigns/news/report")).json()

    assert report["sent"] == 10
    assert report["clicks"] == {"human": 4, "bot": 1}
    assert report["figures"] == {"all": 5, "without_certain": 4, "without_certain_and_suspect": 4}
    assert report["unique_clickers"] == 3
    assert report["click_rate"] == 0.3
    assert [(link["label"], link["clicks"], link["unique_clickers"]) for link in report["links"]] == [
        ("button", {"human": 4}, 3),
        ("", {"bot": 1}, 0),
    ]
    assert report["hours"] == [
        {"hour": "2026-11-23T12:00:00Z", "clicks": {"human": 3, "bot": 1}},
        {"hour": "2026-11-23T13:00:00Z", "clicks": {"human": 1}},
    ]


async def test_report_without_clicks(api: InternalPort) -> None:
    """A campaign nobody clicked in has a report of nothing, and no rate while `sent` is not known."""
    link = await api.link()

    report = (await api.get(f"/v1/campaigns/{api.name}/report")).json()

    assert report == {
        "campaign": api.name,
        "sent": None,
        "clicks": {},
        "figures": {"all": 0, "without_certain": 0, "without_certain_and_suspect": 0},
        "unique_clickers": 0,
        "click_rate": None,
        "links": [
            {
                "id": link["id"],
                "destination": link["destination"],
                "label": "",
                "topics": [],
                "clicks": {},
                "figures": {"all": 0, "without_certain": 0, "without_certain_and_suspect": 0},
                "unique_clickers": 0,
            }
        ],
        "honeypot": {},
        "hours": [],
        "breakdowns": dict.fromkeys(["client", "os", "device", "lang", "country"]),
        "min_cell": 10,
    }


async def test_honeypots_are_apart(store_url: str, keys: Keys) -> None:
    """Clicks on links that no reader can see are in the sums, but stand at no link of the marketer's."""
    async with internal_port(store_url, keys) as port:
        seen = await port.link()
        mail = b"<p>"
        answer = await port.send(
            "/v1/rewrite", mail, "text/html", campaign="news", honeypot="https://www.example.com/w"
        )
        hidden = (await port.get("/v1/links", params={"campaign": "news"})).json()["links"][-1]
        scanner = {"class_": ClickClass.SCANNER, "rule": "honeypot-link", "link": hidden["id"], "topics": ()}
        clicks = [a_click(1, link=seen["id"]), a_click(2, **scanner), a_click(3, **scanner)]
        await counted(port, store_url, clicks)
        report = (await port.get("/v1/campaigns/news/report")).json()

    assert answer.content != mail
    assert [(link["id"], link["clicks"]) for link in report["links"]] == [(seen["id"], {"human": 1})]
    assert report["honeypot"] == {"scanner": 2}
    assert report["clicks"] == {"human": 1, "scanner": 2}


async def test_small_cells_of_a_breakdown_are_merged(store_url: str, keys: Keys) -> None:
    """Human clicks by language: what is below the least size is one number, with the smallest cell above it."""
    languages = ["de"] * 6 + ["fr"] * 4 + ["en"] * 3 + ["rm", "tlh", ""]
    async with internal_port(store_url, keys, privacy_min_cell=3) as port:
        link = await port.link()
        clicks = [a_click(n, link=link["id"], campaign="news", lang=lang) for n, lang in enumerate(languages)]
        await counted(port, store_url, [*clicks, a_click(99, class_=ClickClass.BOT, lang="ru")])
        report = (await port.get("/v1/campaigns/news/report")).json()

    assert report["breakdowns"]["lang"] == {"cells": {"de": 6, "fr": 4}, "other": 6}
    assert list(report["breakdowns"]["lang"]["cells"]) == ["de", "fr"]
    assert report["breakdowns"]["country"] == {"cells": {"unknown": 16}, "other": 0}
    assert report["min_cell"] == 3


async def test_systems_and_programs_stand_below_their_devices(store_url: str, keys: Keys) -> None:
    """So that no breakdown tells what another hides: of 46 clicks from desktops, 2 are Linux's, and nobody can tell.

    One list a breakdown would show desktop 46, Windows 30 and Mac 14, whose difference is the hidden cell.
    """
    systems = [("desktop", "Windows")] * 30 + [("desktop", "Mac")] * 14 + [("desktop", "Linux")] * 2
    async with internal_port(store_url, keys, privacy_min_cell=10) as port:
        link = await port.link()
        clicks = [
            a_click(n, link=link["id"], campaign="news", device=device, os=system, client="Firefox")
            for n, (device, system) in enumerate([*systems, *[("phone", "iOS")] * 11])
        ]
        await counted(port, store_url, clicks)
        found = (await port.get("/v1/campaigns/news/report")).json()["breakdowns"]

    assert found["device"] == {"cells": {"desktop": 46, "phone": 11}, "other": 0}
    assert found["os"] == {"cells": {"desktop / Windows": 30}, "other": 27}
    assert found["client"] == {"cells": {"desktop / Windows / Firefox": 30}, "other": 27}
    assert list(found) == ["device", "os", "client", "lang", "country"]


async def test_counters_of_before_and_of_strangers_do_no_harm(store_url: str, keys: Keys) -> None:
    """Fields that are no device with system and program, such as those of an earlier version, are passed over."""
    old: dict[Any, Any] = {"client:Firefox": 40, "os:Windows": 40, "device:desktop": 40, "agent:desktop": 40, "x": 1}
    async with internal_port(store_url, keys, privacy_min_cell=10) as port:
        for name, mapping in {"news": {**old, "agent:phone/iOS/Safari": 20}, "old": old}.items():
            await port.post("/v1/campaigns", {"name": name})
            await port.services.redis.hset(keys.by_reader(name), mapping=mapping)
        found = (await port.get("/v1/campaigns/news/report")).json()["breakdowns"]
        nothing = (await port.get("/v1/campaigns/old/report")).json()["breakdowns"]

    assert found["device"] == {"cells": {"phone": 20}, "other": 0}
    assert found["os"] == {"cells": {"phone / iOS": 20}, "other": 0}
    assert list(nothing.values()) == [None] * 5


async def test_report_of_no_campaign_is_not_found(api: InternalPort) -> None:
    """404 that names it."""
    answer = await api.get("/v1/campaigns/never%20made/report")

    assert answer.status_code == 404
    assert answer.json()["errors"][0]["part"] == "never made"


async def test_topics(clicked: InternalPort) -> None:
    """Every topic with its clicks by class; a click on two topics is one click in the total."""
    answer = (await clicked.get("/v1/topics")).json()

    assert {topic["topic"]: topic["clicks"] for topic in answer["topics"]} == {
        "solar": {"human": 4, "bot": 1},
        "billing": {"bot": 1},
    }
    assert answer["clicks"] == {"human": 4, "bot": 1}
