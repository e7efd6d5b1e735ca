"""Metrics stay few whatever topics somebody invents: they are a bounded set, and labels come from it alone."""

import secrets
from typing import Any

from prometheus_client.parser import text_string_to_metric_families as parse_text

from redirector.clicks import ClickClass
from redirector.store.keys import Keys
from tests.web.ports import internal_port

TOPICS_MAX = 200


async def test_ten_thousand_topics_are_a_bounded_number_of_series(store_url: str) -> None:
    """Of 10,000 topics 200 are registered; the others' links are refused, and no series tells of them."""
    keys = Keys(f"test-{secrets.token_hex(6)}")
    rows = [
        {
            "destination": f"https://www.example.com/{row}",
            "campaign": "flood",
            "topics": [f"topic-{row * 10 + each}" for each in range(10)],
        }
        for row in range(1_000)
    ]
    async with internal_port(store_url, keys, topics_max=TOPICS_MAX) as api:
        minted = (await api.post("/v1/links", rows)).json()["links"]
        topics = (await api.get("/v1/topics")).json()["topics"]
        clicked: dict[Any, Any] = {
            f"{topic}:{each}": 1 for link in minted for topic in link.get("topics", ()) for each in ClickClass
        }
        await api.services.redis.hset(keys.by_topic(), mapping=clicked)  # as counting does for each link's clicks
        families = list(parse_text((await api.get("/metrics")).text))

    refused = [row for row in minted if "errors" in row]
    series = [sample for family in families for sample in family.samples if "topic" in sample.labels]
    assert len(topics) == TOPICS_MAX
    assert len(refused) == 1_000 - TOPICS_MAX // 10
    assert {error["code"] for row in refused for error in row["errors"]} == {"too_many_topics"}
    assert {sample.labels["topic"] for sample in series} == {of["topic"] for of in topics}
    assert len([sample for sample in series if sample.name.endswith("_total")]) == TOPICS_MAX * len(ClickClass)
