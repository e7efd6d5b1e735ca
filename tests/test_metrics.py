"""Every metric has a name, help and labels as monitoring expects them."""

import os
import shlex
import signal
import subprocess
import sys
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
from redirector.metrics import MULTIPROCESS_DIRECTORY, ProcessorTime, exposition
from tests.conftest import IN_CI, needed
from tests.processes import descendants, eventually, serving

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
ROLES = ("redirect", "api", "worker")
COUNTED = ({("solar", "human"): 3, ('odd "\\\n', "bot"): 1}, {"human": 3, "bot": 1})

# Uses every metric with every label that it may have.
EVERY_NUMBER = """
from redirector.follow import Outcome
from redirector.metrics import *
from redirector.losses import LOST_REASONS

for outcome in Outcome:
    REDIRECTS.count(outcome, 0.1)
for reason in LOST_REASONS:
    CLICKS_LOST.labels(reason).inc()
BUILD_INFO.labels("1.0").set(1)
CONSUMER_LAG.labels("redirector").set(1)
assert exposition("", None)
"""


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


def test_processes_of_one_machine_answer_together(tmp_path: Path) -> None:
    """With a directory to share, what one process counted is in what another one shows."""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    counts = "from redirector.metrics import LINKS_MINTED; LINKS_MINTED.inc(5)"
    shows = "from redirector.metrics import exposition; print(exposition('', ({}, {'human': 2}))[0].decode())"

    for _ in range(2):
        subprocess.run([sys.executable, "-c", counts], env=environment, check=True)
    shown = subprocess.run([sys.executable, "-c", shows], env=environment, check=True, capture_output=True, text=True)

    lines = shown.stdout.splitlines()
    assert "redirector_links_minted_total 10.0" in lines
    assert 'redirector_clicks_total{class="human"} 2.0' in lines


def in_own_mounts(commands: str) -> "subprocess.CompletedProcess[str]":
    """What these commands come to in a shell whose mounts nobody else sees."""
    return subprocess.run(
        [needed("unshare"), "--mount", "sh", "-c", commands], capture_output=True, text=True, check=False
    )


def test_no_number_waits_for_room_on_the_disk(tmp_path: Path) -> None:
    """The files that processes share have all their room from the start: a mapped hole kills on a full disk."""
    environment = os.environ | {MULTIPROCESS_DIRECTORY: str(tmp_path)}
    subprocess.run([sys.executable, "-c", EVERY_NUMBER], env=environment, check=True)

    for file in tmp_path.iterdir():
        assert file.stat().st_blocks * 512 >= file.stat().st_size, file.name


@pytest.mark.parametrize("room", [0, 20], ids=["no room", "room for one file"])
def test_full_disk_costs_a_process_its_metrics_only(tmp_path: Path, room: int) -> None:
    """On a disk that is full a process says so, lives, and leaves no file behind that others would stumble over."""
    mount = f"mount -t tmpfs -o size=64k none {tmp_path} && head -c $((64 - {room}))k /dev/zero > {tmp_path}/filling"
    if (tried := in_own_mounts(mount)).returncode:
        assert not IN_CI, tried.stderr
        pytest.skip(f"a small disk cannot be mounted here: {tried.stderr}")
    program = f"{shlex.quote(sys.executable)} -c {shlex.quote(EVERY_NUMBER)}"

    ended = in_own_mounts(f"{mount}; export {MULTIPROCESS_DIRECTORY}={tmp_path}; {program} && ls {tmp_path}")

    assert ended.returncode == 0, ended.stderr
    assert "No space left on device" in ended.stderr
    assert ended.stdout.splitlines()[-1] == "filling"


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
