"""The whole journey with the real program: a newsletter goes in, and the interest in each topic stands on /metrics."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from redirector.client import Client
from redirector.demo.journey import newsletter
from redirector.installation import Running
from tests.conftest import Run, needed, store_server
from tests.processes import eventually, serving

FIREFOX = {
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "accept-language": "en",
}
SLACK = {"user-agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"}
PREFETCH = {**FIREFOX, "sec-purpose": "prefetch"}


@pytest.fixture(params=["embedded Valkey", "Redis of one's own"])
def journey(request: pytest.FixtureRequest, directory: Path) -> Iterator[tuple[Running, str]]:
    """A server and the URL of its store."""
    if request.param == "embedded Valkey":
        with serving(directory) as running:
            yield running, f"unix://{directory / 'valkey.sock'}"
        return
    (directory / "redis").mkdir()
    with (
        store_server(needed("redis-server"), directory / "redis") as url,
        serving(directory, "--store-url", url) as running,
    ):
        yield running, url


def test_from_a_newsletter_to_interest_on_metrics(journey: tuple[Running, str], directory: Path, run: Run) -> None:
    """serve, keys create, rewrite, clicks, topics, report and /metrics agree with each other to the last click."""
    running, store_url = journey
    mail, tracked_mail = directory / "mail.html", directory / "tracked.html"
    mail.write_bytes(newsletter())
    own_store = [] if "redis" not in store_url else ["--store-url", store_url]
    key = run(
        "keys", "create", "tooling", "--scope", "mint", "--scope", "read", "--data-dir", str(directory), *own_store
    )
    there = {"REDIRECTOR_URL": running.internal_url, "REDIRECTOR_API_KEY": key.stdout.strip()}

    rewritten = run("rewrite", str(mail), "--campaign", "November news", "-o", str(tracked_mail), **there)
    assert rewritten.returncode == 0, rewritten.stderr
    urls = re.findall(rb"https?://127\.0\.0\.1:\d+/c/\w+", tracked_mail.read_bytes())
    assert f"{len(urls)} links tracked" in rewritten.stderr
    for url in urls:
        assert httpx.get(url.decode(), headers=FIREFOX).status_code == 302
    solar = json.loads(run("links", "list", "-c", "November news", "--json", **there).stdout)
    (calculator,) = (link for link in solar if link["topics"] == ["solar"] and "calculator" in link["destination"])
    assert httpx.head(calculator["url"]).headers["location"] == calculator["destination"]
    assert httpx.get(calculator["url"], headers=SLACK).status_code == 302
    assert httpx.get(calculator["url"], headers=PREFETCH).status_code == 302
    clicks = len(urls) + 3

    def topics() -> dict[str, dict[str, int]]:
        answer = json.loads(run("topics", "--json", **there).stdout)
        return {"all": answer["clicks"]} | {each["topic"]: each["clicks"] for each in answer["topics"]}

    eventually(lambda: sum(topics()["all"].values()) == clicks)
    assert topics()["all"] == {"human": len(urls), "bot": 1, "prefetch": 1, "probe": 1}
    assert topics()["solar"] == {"human": 2, "bot": 1, "prefetch": 1, "probe": 1}
    assert topics() == exported(running)
    report = json.loads(run("report", "November news", "--json", **there).stdout)
    assert sum(report["clicks"].values()) == clicks
    assert report["unique_clickers"] == 1
    with Redis.from_url(store_url) as redis:
        assert redis.xlen("redirector:{0}:clicks") == clicks


def test_a_scanner_that_follows_the_honeypot(directory: Path, run: Run) -> None:
    """Who follows the link that nobody can see is a scanner, with what they clicked before it; another reader is not.

    Nothing is planted unless it is asked for.
    """
    mail, tracked = directory / "mail.html", directory / "tracked.html"
    mail.write_bytes(newsletter())
    with serving(directory, count_hold_ms=2_000) as running:
        with Client(running.internal_url, running.api_key) as client:
            client.create_campaign("club", tracking="individual", consent="the form of 2026")
        there = {"REDIRECTOR_URL": running.internal_url, "REDIRECTOR_API_KEY": running.api_key}

        def rewritten(recipient: str, *options: str) -> list[dict[str, str]]:
            how = ("--campaign", "club", "--recipient", recipient, "-o", str(tracked), "--json", *options)
            links: list[dict[str, str]] = json.loads(run("rewrite", str(mail), *how, **there).stdout)["links"]
            return [link for link in links if link["url"]]

        plain = rewritten("reader-1")
        assert {link["action"] for link in plain} == {"tracked"}
        assert b"aria-hidden" not in tracked.read_bytes()
        *seen, hidden = rewritten("gateway-2", "--honeypot", "https://www.example.com/welcome")
        assert hidden["action"] == "planted"
        assert hidden["url"].encode() in tracked.read_bytes()

        assert httpx.get(plain[0]["url"], headers=FIREFOX).status_code == 302
        for url in (seen[0]["url"], seen[1]["url"], hidden["url"]):
            assert httpx.get(url, headers=FIREFOX).status_code == 302

        def report() -> dict[str, dict[str, int]]:
            found: dict[str, dict[str, int]] = json.loads(run("report", "club", "--json", **there).stdout)
            return found

        eventually(lambda: sum(report()["clicks"].values()) == 4)
        assert report()["clicks"] == {"human": 1, "scanner": 3}
        assert report()["honeypot"] == {"scanner": 1}
        recount = ("recount", "club", "--dry-run", "--json", "--data-dir", str(directory))
        judged = json.loads(run(*recount, REDIRECTOR_COUNT_HOLD_MS="2000").stdout)

    assert judged["decided"] == {"no-sign": 1, "with-honeypot": 2, "honeypot-link": 1}
    assert (judged["moved"], judged["differs_from_worker"]) == (0, [])


def exported(running: Running) -> dict[str, dict[str, int]]:
    """Topic -> class -> clicks as Prometheus would read them; `all` for every click."""
    counted: dict[str, dict[str, int]] = {"all": {}}
    for family in text_string_to_metric_families(httpx.get(running.internal_url + "/metrics").text):
        for sample in family.samples:
            if sample.name == "redirector_topic_clicks_total":
                counted.setdefault(sample.labels["topic"], {})[sample.labels["class"]] = int(sample.value)
            if sample.name == "redirector_clicks_total":
                counted["all"][sample.labels["class"]] = int(sample.value)
    return counted
