"""Every metric has a name, help and labels as monitoring expects them."""

import os
import signal
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from redirector import __version__
from redirector.follow import Outcome
from redirector.installation import Running
from redirector.losses import LOST_REASONS
from redirector.metrics import ProcessorTime, exposition
from tests.processes import descendants, eventually, serving

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
ROLES = ("redirect", "api", "worker")
COUNTED = ({("solar", "human"): 3, ('odd "\\\n', "bot"): 1}, {"human": 3, "bot": 1})


def ours() -> list[str]:
    """The families of the program in this process."""
    return [family.name for family in REGISTRY.collect() if family.name.startswith("redirector_")]


@pytest.mark.parametrize("name", ours())
def test_metric_has_help(name: str) -> None:
    """A sentence says what is counted."""
    (family,) = [family for family in REGISTRY.collect() if family.name == name]

    assert family.documentation.endswith(".")


@pytest.mark.parametrize(
    ("accept", "parse"), [("text/plain", parse_text), (OPENMETRICS, parse_openmetrics)], ids=["text", "openmetrics"]
)
def test_stores_counters_are_written_exactly(accept: str, parse: object) -> None:
    """What was counted in the store comes out in either format, whatever stands in a label."""
    assert callable(parse)
    body, _ = exposition(accept, COUNTED)

    families = {family.name: family for family in parse(body.decode())}
    assert {
        (sample.labels["topic"], sample.labels["class"]): sample.value
        for sample in families["redirector_topic_clicks"].samples
    } == COUNTED[0]
    assert {sample.labels["class"]: sample.value for sample in families["redirector_clicks"].samples} == COUNTED[1]


def test_counters_that_are_not_known_are_absent() -> None:
    """A gap is true where a zero would not be."""
    body, _ = exposition("", None)

    assert b"redirector_clicks_total" not in body
    assert b"redirector_topic_clicks_total" not in body


def test_no_clicks_yet_is_no_gap() -> None:
    """A store without clicks has the families, with nothing in them."""
    body, _ = exposition("", ({}, {}))

    assert b"# TYPE redirector_clicks_total counter" in body
    assert b"\nredirector_clicks_total" not in body


@pytest.mark.parametrize("version", ["a", "1.x", "é"])
@pytest.mark.parametrize("media_type", ["application/openmetrics-text", "text/plain"])
def test_version_that_is_none_gets_plain_text(media_type: str, version: str) -> None:
    """An Accept header cannot make the metrics fail."""
    _, content_type = exposition(f"{media_type};version={version}", None)

    assert content_type == "text/plain; version=0.0.4; charset=utf-8"


def test_server_says_what_runs_and_that_its_store_is_up(server: Running) -> None:
    """The metrics of a whole server: every process's together, with its version and the state of its store."""
    text = httpx.get(f"{server.internal_url}/metrics", trust_env=False).text

    samples = {
        (sample.name, *sample.labels.values()): sample.value for family in parse_text(text) for sample in family.samples
    }
    assert samples["redirector_build_info", __version__] == 1
    assert samples[("redirector_store_up",)] == 1
    assert {samples["redirector_clicks_lost_total", reason] for reason in LOST_REASONS} == {0}
    assert {name[1] for name in samples if name[0] == "redirector_redirects_total"} == set(Outcome)


def test_server_says_who_plays_which_role(server: Running) -> None:
    """One process each, and each has used some processor time."""
    assert {role: scraped(server, "redirector_processes", role) for role in ROLES} == dict.fromkeys(ROLES, 1)
    assert [role for role in ROLES if not scraped(server, "redirector_cpu_seconds_total", role)] == []


def test_process_that_was_killed_is_counted_no_more(directory: Path) -> None:
    """Its successor takes its place; the processor time that it had used stays."""
    with serving(directory / "data") as running:
        used = scraped(running, "redirector_cpu_seconds_total", "redirect") or 0
        (killed,) = redirect_processes(running)
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: redirect_processes(running) not in ([], [killed]))
        httpx.get(f"{running.public_url}/robots.txt", trust_env=False, timeout=60)  # its successor answers

        assert scraped(running, "redirector_processes", "redirect") == 1
        assert (scraped(running, "redirector_cpu_seconds_total", "redirect") or 0) > used > 0


def redirect_processes(running: Running) -> list[int]:
    """The processes that answer readers."""
    return [pid for pid, command in descendants(running.pid).items() if "run redirect" in command]


def test_processor_time_is_that_of_the_process() -> None:
    """Handed on now and then, it adds up to what the system says."""
    processor_time = ProcessorTime("test")
    for _ in range(3):
        processor_time.hand_on()

    seconds = REGISTRY.get_sample_value("redirector_cpu_seconds_total", {"role": "test"})
    assert seconds == pytest.approx(time.process_time(), abs=1)


def test_embedded_store_keeps_everything(server: Running) -> None:
    """It says that it loses neither writes nor keys, and how much memory it has used; it has no limit."""
    assert scraped(server, "redirector_store_keeps", "writes") == 1
    assert scraped(server, "redirector_store_keeps", "keys") == 1
    assert (scraped(server, "redirector_store_memory_bytes", "used") or 0) > 500_000
    assert scraped(server, "redirector_store_memory_bytes", "limit") is None


def scraped(server: Running, name: str, label: str) -> float | None:
    """A sample of the server's metrics, by the value of its one label."""
    text = httpx.get(f"{server.internal_url}/metrics", trust_env=False).text
    samples = (sample for family in parse_text(text) for sample in family.samples)
    return next((sample.value for sample in samples if (sample.name, *sample.labels.values()) == (name, label)), None)
