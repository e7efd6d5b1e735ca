"""Every query that is shipped has an answer: a real Prometheus scrapes a real server under traffic."""

import math
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from redirector.client import Client
from redirector.installation import Running
from tests.conftest import needed, short_directory
from tests.ops.shipped import (
    PROMETHEUS,
    Query,
    alerts,
    annotation_queries,
    dashboards,
    panel_queries,
    read_yaml,
    recordings,
    runbook_queries,
)
from tests.ports import held_port
from tests.processes import FIREFOX, eventually, serving

SCRAPE_SECONDS = 1

# Two scrapes see a click in two states, and two evaluations its recorded series; a rate of that takes another one.
SEEN_WITHIN_SECONDS = 45.0
BOT = "Googlebot/2.1 (+http://www.google.com/bot.html)"


@dataclass(frozen=True, slots=True)
class Monitored:
    """A server that is scraped, and the Prometheus that scrapes it."""

    running: Running
    prometheus: httpx.Client

    def ask(self, path: str, **parameters: object) -> Any:
        """What the API of Prometheus answers; fails when the query was refused."""
        answer = self.prometheus.get(path, params=dict(parameters)).json()  # type: ignore[arg-type]
        assert answer["status"] == "success", answer["error"]
        return answer["data"]

    def result(self, query: Query) -> list[Any]:
        """The series that Grafana would get for the query, those that end with a number."""
        expr = substituted(query)
        now = time.time()
        if query.instant:
            data = self.ask("/api/v1/query", query=expr, time=now)
        else:
            data = self.ask("/api/v1/query_range", query=expr, start=now - 10, end=now, step=1)
        result: list[Any] = data["result"]
        return [series for series in result if not math.isnan(last_value(series))]


def last_value(series: dict[str, Any]) -> float:
    """The newest value of a series; an instant query has no other."""
    return float((series.get("values") or [series["value"]])[-1][1])


def substituted(query: Query) -> str:
    """The query as Grafana sends it: every installation, every topic, fifteen minutes, a point every scrape."""
    values = {
        "$__rate_interval": f"{4 * SCRAPE_SECONDS}s",
        "$__range": "15m",
        "$__interval": query.interval or f"{SCRAPE_SECONDS}s",
        "$job": ".*",
        "$topic": ".*",
    }
    expr = query.expr
    for variable, value in values.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr
    return expr


@pytest.fixture(scope="module")
def monitored() -> Iterator[Monitored]:
    """Readers and robots click for as long as the tests of this module run."""
    with (
        short_directory() as directory,
        serving(directory / "data", record_deadline_ms=10_000) as running,  # on a busy machine, 50 ms can be too short
        scraping(running, directory) as prometheus,
        traffic(running),
    ):
        yield Monitored(running, prometheus)


@contextmanager
def scraping(running: Running, directory: Path) -> Iterator[httpx.Client]:
    """A Prometheus with the shipped configuration and rules; only target and intervals are others."""
    program = needed("prometheus")
    configuration = read_yaml(PROMETHEUS / "prometheus.yml")
    configuration["global"] |= {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"}
    configuration["rule_files"] = [str(PROMETHEUS / path) for path in configuration["rule_files"]]
    (job,) = configuration["scrape_configs"]
    (static,) = job["static_configs"]
    static["targets"] = [running.internal_url.removeprefix("http://")]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    command = [program, f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/tsdb"]
    with held_port() as port:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"], start_new_session=True
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
                eventually(lambda: process.poll() is not None or is_ready(client))
                assert process.poll() is None
                yield client
        finally:
            process.terminate()
            process.wait(30)


def is_ready(client: httpx.Client) -> bool:
    """Whether this Prometheus answers queries."""
    try:
        return client.get("/-/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@contextmanager
def traffic(running: Running) -> Iterator[None]:
    """Sends, and clicks on two topics by people and a bot, again and again until the block is left."""
    over = threading.Event()
    with Client(running.internal_url, running.api_key) as client:
        links = [
            client.create_link(f"https://www.example.com/{topic}", campaign="news", topics=[topic]).url
            for topic in ("solar", "billing")
        ]

    def go_on() -> None:
        with Client(running.internal_url, running.api_key) as client, httpx.Client(trust_env=False) as browser:
            sent = 0
            while not over.wait(0.1):
                sent += 10
                client.update_campaign("news", sent=sent)
                for url in links:
                    for agent in (FIREFOX, FIREFOX, BOT):
                        browser.get(url, headers={"user-agent": agent, "accept-language": "en"})

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def seen(condition: Callable[[], object]) -> None:
    """Waits until Prometheus has seen enough for the condition to hold."""
    eventually(lambda: bool(condition()), SEEN_WITHIN_SECONDS)


@pytest.mark.parametrize("query", panel_queries(), ids=lambda query: query.place)
def test_panel_shows_something(monitored: Monitored, query: Query) -> None:
    """Under traffic, no panel is empty."""
    seen(lambda: monitored.result(query))


@pytest.mark.parametrize("query", annotation_queries(), ids=lambda query: query.place)
def test_annotation_is_understood(monitored: Monitored, query: Query) -> None:
    """Prometheus knows what is asked; when nothing happens, nothing is the answer."""
    assert isinstance(monitored.result(query), list)


@pytest.mark.parametrize("query", runbook_queries(), ids=lambda query: query.place)
def test_query_of_a_runbook_is_understood(monitored: Monitored, query: Query) -> None:
    """What an operator is told to ask at night has an answer, or is about an exporter that is not there."""
    if re.search(r"\b(probe|node|kubelet)_", query.expr):
        assert monitored.result(query) == []
    else:
        seen(lambda: monitored.result(query))


@pytest.mark.parametrize("name", recordings())
def test_rule_records_something(monitored: Monitored, name: str) -> None:
    """Its query has an answer, and so has what it records."""
    seen(lambda: monitored.result(Query(name, recordings()[name]["expr"], instant=True)))
    seen(lambda: monitored.result(Query(name, name, instant=True)))


@pytest.mark.parametrize("name", alerts())
def test_alert_can_be_evaluated(monitored: Monitored, name: str) -> None:
    """Prometheus has asked what the alert asks, and found nothing wrong with the question."""

    def health() -> str:
        groups = monitored.ask("/api/v1/rules", type="alert")["groups"]
        (rule,) = [rule for group in groups for rule in group["rules"] if rule["name"] == name]
        return f"{rule['health']} {rule.get('lastError', '')}".strip()

    seen(lambda: health() != "unknown")

    assert health() == "ok"


def test_no_alert_is_up_while_all_is_well(monitored: Monitored) -> None:
    """A server that does its work gives nobody a reason to get up."""
    alerts_up = monitored.ask("/api/v1/alerts")["alerts"]

    assert [alert["labels"] for alert in alerts_up if alert["state"] == "firing"] == []


def test_variables_find_installation_and_topics(monitored: Monitored) -> None:
    """What the dashboards offer to choose from is there."""
    seen(lambda: len(labels(monitored, "redirector_topic_clicks_total", "topic")) == 2)

    definitions = {
        variable["definition"]
        for dashboard in dashboards().values()
        for variable in dashboard["templating"]["list"]
        if variable["type"] == "query"
    }
    assert definitions == {
        "label_values(redirector_build_info, job)",
        'label_values(redirector_topic_clicks_total{job=~"$job"}, topic)',
    }
    assert labels(monitored, "redirector_build_info", "job") == ["redirector"]
    assert labels(monitored, "redirector_topic_clicks_total", "topic") == ["billing", "solar"]


def labels(monitored: Monitored, metric: str, label: str) -> list[str]:
    """The values of a label of a metric, as `label_values` of Grafana gives them."""
    values: list[str] = monitored.ask(f"/api/v1/label/{label}/values", **{"match[]": metric})
    return values


def test_counters_come_without_the_moment_they_were_made(monitored: Monitored) -> None:
    """Series that say nothing are not kept."""
    names = monitored.ask("/api/v1/label/__name__/values")

    assert "redirector_clicks_lost_total" in names
    assert [name for name in names if name.endswith("_created")] == []


def test_sums_are_those_of_the_report(monitored: Monitored) -> None:
    """What is recorded over all replicas is what the API said before, or says after."""

    def recorded() -> dict[str, float]:
        result = monitored.result(Query("", "redirector:clicks:max", instant=True))
        return {each["metric"]["class"]: float(each["value"][1]) for each in result}

    with Client(monitored.running.internal_url, monitored.running.api_key) as client:
        before = client.topics().clicks
        seen(lambda: all(recorded().get(of, 0) >= count for of, count in before.items()))
        shown = recorded()
        after = client.topics().clicks

    assert shown.keys() == after.keys()
    assert [of for of, count in shown.items() if count > after[of]] == []
