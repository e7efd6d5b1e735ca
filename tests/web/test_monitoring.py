"""Metrics and health, as monitoring asks for them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from redirector.clicks import ClickClass, packed
from redirector.store.clicks import ClickAppender
from redirector.store.keys import Keys
from redirector.web.internal import monitoring_app
from redirector.web.server import listening, serving
from tests.builders import a_click
from tests.store.stores import asked, on_both_stores, own_store
from tests.streams import count_all
from tests.web.ports import InternalPort, internal_port
from tests.web.sockets import exchange, parsed, request

# DESIGN.md, section 3.
CONTRACT = {
    "redirector_topic_clicks",
    "redirector_clicks",
    "redirector_redirects",
    "redirector_redirect_duration_seconds",
    "redirector_record_duration_seconds",
    "redirector_record_batch_clicks",
    "redirector_clicks_spooled",
    "redirector_clicks_replayed",
    "redirector_spool_clicks",
    "redirector_clicks_lost",
    "redirector_links_minted",
    "redirector_consumer_lag_clicks",
    "redirector_store_up",
    "redirector_build_info",
    # Beyond it:
    "redirector_api_refusals",
    "redirector_mails_sent",
    "redirector_store_keeps",
    "redirector_store_memory_bytes",
    "redirector_processes",
    "redirector_cpu_seconds",
    "redirector_clicks_held",
}


@pytest.fixture
async def counting(store_url: str, keys: Keys) -> AsyncIterator[InternalPort]:
    """The internal port over clicks of its own: 3 human ones on solar, 2 bots on solar and billing, 1 on nothing."""
    clicks = [
        *(a_click(number, topics=("solar",)) for number in range(3)),
        *(a_click(number, topics=("solar", "billing"), class_=ClickClass.BOT) for number in range(3, 5)),
        a_click(5, topics=(), class_=ClickClass.PROBE),
    ]
    async with internal_port(store_url, keys) as port:
        appender = ClickAppender(store_url, keys, deadline_seconds=5)
        await appender.open()
        await appender.append("test-1", 1, [packed(click) for click in clicks])
        await appender.close()
        await count_all(port.services.redis, keys)
        yield port


def samples(families: dict[str, Metric], name: str) -> dict[tuple[str, ...], float]:
    """A family's totals by the values of its labels, the topic before the class."""
    return {
        tuple(sample.labels[label] for label in sorted(sample.labels, reverse=True)): sample.value
        for sample in families[name].samples
        if not sample.name.endswith("_created")
    }


EXPECTED_BY_TOPIC = {("solar", "human"): 3, ("solar", "bot"): 2, ("billing", "bot"): 2}
EXPECTED = {("human",): 3, ("bot",): 2, ("probe",): 1}


async def test_prometheus_text_has_the_exact_counters(counting: InternalPort) -> None:
    """Without a wish in Accept the metrics come as Prometheus text, with what was counted in the store."""
    answer = await counting.get("/metrics")

    families = {family.name: family for family in parse_text(answer.text)}
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert samples(families, "redirector_topic_clicks") == EXPECTED_BY_TOPIC
    assert samples(families, "redirector_clicks") == EXPECTED


async def test_openmetrics_has_the_exact_counters(counting: InternalPort) -> None:
    """Asked for OpenMetrics, the same numbers come as OpenMetrics."""
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"

    answer = await counting.get("/metrics", headers={"accept": accept})

    families = {family.name: family for family in parse_openmetrics(answer.text)}  # type: ignore[no-untyped-call]
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert samples(families, "redirector_topic_clicks") == EXPECTED_BY_TOPIC
    assert samples(families, "redirector_clicks") == EXPECTED


ODD_ACCEPTS = ["", "*/*", "application/json", "application/openmetrics-text;version=a.b", "text/plain;version=é", ";;,"]


@pytest.mark.parametrize("accept", ODD_ACCEPTS)
async def test_odd_wishes_get_prometheus_text(api: InternalPort, accept: str) -> None:
    """An Accept header that means nothing is as good as none."""
    answer = await api.get("/metrics", headers={b"accept": accept.encode()})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_every_metric_of_the_contract_has_help(counting: InternalPort) -> None:
    """Each is there, with a sentence that says what it counts."""
    families = {family.name: family for family in parse_text((await counting.get("/metrics")).text)}

    assert families.keys() >= CONTRACT
    assert [name for name in CONTRACT if not families[name].documentation.endswith(".")] == []


async def test_labels_are_bounded(counting: InternalPort) -> None:
    """The program's metrics have these labels and no other: never a link, a code, a recipient or a URL."""
    families = parse_text((await counting.get("/metrics")).text)

    allowed = {"topic", "class", "outcome", "reason", "consumer", "version", "le", "what", "of", "role", "data", "kind"}
    labels = {
        label
        for family in families
        if family.name.startswith("redirector_")
        for sample in family.samples
        for label in sample.labels
    }
    assert labels <= allowed


async def test_store_is_up_while_it_answers(api: InternalPort) -> None:
    """`redirector_store_up` is 1 in the role that asks it for the counters."""
    families = {family.name: family for family in parse_text((await api.get("/metrics")).text)}

    assert samples(families, "redirector_store_up") == {(): 1}


@on_both_stores
@pytest.mark.parametrize(
    ("setup", "expected"),
    [
        pytest.param({}, {("writes",): 1, ("keys",): 1}, id="everything"),
        pytest.param({"appendonly": "no"}, {("writes",): 0, ("keys",): 1}, id="not its writes"),
        pytest.param({"maxmemory-policy": "allkeys-lru"}, {("writes",): 1, ("keys",): 0}, id="not its keys"),
    ],
)
async def test_what_the_store_keeps_can_be_seen(
    kind: str, directory: Path, keys: Keys, setup: dict[str, str], expected: dict[tuple[str], float]
) -> None:
    """A store that may lose writes or keys says so on the metrics, beside its memory and the limit of that."""
    with own_store(kind, directory, "--maxmemory", "100mb") as url:
        with asked(url) as admin:
            for name, value in setup.items():
                admin.config_set(name, value)
        async with internal_port(url, keys) as port:
            families = {family.name: family for family in parse_text((await port.get("/metrics")).text)}

    assert samples(families, "redirector_store_keeps") == expected
    assert samples(families, "redirector_store_memory_bytes")[("limit",)] == 100 * 1024 * 1024
    assert samples(families, "redirector_store_memory_bytes")[("used",)] > 500_000


async def test_store_that_does_not_tell_of_itself_has_its_counters_shown(directory: Path, keys: Keys) -> None:
    """Where INFO is forbidden, all other metrics are there."""
    with own_store("valkey", directory) as url:
        with asked(url) as admin:
            admin.execute_command("ACL", "SETUSER", "default", "-info")
        async with internal_port(url, keys) as port:
            families = {family.name: family for family in parse_text((await port.get("/metrics")).text)}

    assert "redirector_clicks" in families
    assert samples(families, "redirector_store_up") == {(): 1}


async def test_health_is_json(api: InternalPort) -> None:
    """Both say so in the same shape."""
    for path in ("/livez", "/readyz"):
        answer = await api.get(path)

        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json() == {"status": "ok", "reason": ""}


async def test_role_without_an_api_has_monitoring_only() -> None:
    """Its internal port answers metrics and health, and nothing else."""
    troubles = iter(["not yet", ""])

    async def readiness() -> str:
        return next(troubles)

    listener = listening("internal", "127.0.0.1", 0)
    address = listener.getsockname()[:2]
    async with serving(monitoring_app(readiness), listener):
        paths = ("/readyz", "/readyz", "/livez", "/metrics", "/v1/topics", "/openapi.json", "/docs")
        statuses = [parsed(await exchange(address, request("GET", path))).status for path in paths]

    assert statuses == [503, 200, 200, 200, 404, 404, 404]
