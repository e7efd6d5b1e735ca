"""The demo: it adds up, shows what happened, and leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from random import Random

import httpx
import pytest

from redirector.demo import journey
from redirector.demo.crowd import CROWD, visits
from redirector.errors import ServerUnavailable
from redirector.installation import Running, running_in
from redirector.settings import without_settings
from redirector.store.embedded import ownership
from tests.builders import topic_out, topics_out
from tests.processes import command_line

PROGRAM = [sys.executable, "-m", "redirector.cli.main", "demo"]
WITHIN_SECONDS = 20
DOCUMENTATION = ip_network("2001:db8::/32")  # RFC 3849


@contextmanager
def demo(temporary: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """The demo as its own process, whose temporary files go into this directory."""
    environment = without_settings(os.environ) | {"TMPDIR": str(temporary), "http_proxy": "http://127.0.0.1:1"}
    with subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def left_behind(directory: Path) -> list[str]:
    """What is still there of a demo: its files, and processes that name them."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [str(path) for path in directory.iterdir()] + [
        line for pid in pids if str(directory) in (line := command_line(pid))
    ]


def table(output: str, head: str) -> list[list[str]]:
    """The rows of the table that begins with this head, without bars."""
    lines = output.splitlines()
    rows = lines[next(number for number, line in enumerate(lines) if line.startswith(head)) :]
    end = next((number for number, line in enumerate(rows) if not line.strip()), len(rows))
    return [re.split(r"\s{2,}", row.strip()) for row in rows[:end]]


def adds_up(output: str, clicks: int) -> bool:
    """Whether the tables' sums and the last word are this number of clicks."""
    crowd = sum(int(row[1].replace(",", "")) for row in table(output, "who clicked")[1:])
    head, *rows, total = table(output, "topic ")
    by_class = [int(number) for number in total[1:]]
    return (
        crowd == clicks
        and all(sum(int(row[column]) for row in rows) >= total for column, total in enumerate(by_class, 1))
        and by_class[-1] == sum(by_class[:-1]) == clicks
        and head[len(by_class)] == "all"
        and f"{clicks} clicks sent, {clicks} redirected, {clicks} counted." in output
    )


@pytest.mark.parametrize("clicks", [None, 1, 37], ids=["as it is", "1 click", "37 clicks"])
def test_demo_adds_up_and_leaves_nothing_behind(directory: Path, clicks: int | None) -> None:
    """Every click that was sent is redirected and counted; no process and no file stays."""
    with demo(directory, *(["--clicks", str(clicks)] if clicks else [])) as process:
        output, words = process.communicate()

    assert process.returncode == 0, words
    assert adds_up(output, clicks or journey.CLICKS)
    assert "\x1b" not in output + words
    assert left_behind(directory) == []


def test_demo_shows_what_happened(directory: Path) -> None:
    """In 20 s it prints the links with their fate, an answer with the contract's headers, and how to go on."""
    began = time.monotonic()
    with demo(directory, "--clicks", "5") as process:
        output, _ = process.communicate()
    took = time.monotonic() - began

    fates = Counter(row[0] for row in table(output, "what "))
    answer = output.partition("$ curl -si ")[2].partition("\n\n")[0].splitlines()
    assert took < WITHIN_SECONDS
    assert (fates["tracked"], fates["skipped"]) == (17, 11)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/c/\w+", answer[0])
    assert answer[1] == "HTTP/1.1 302 Found"
    assert {"cache-control: no-store", "referrer-policy: no-referrer", "x-robots-tag: noindex, nofollow"} <= set(answer)
    assert "redirector demo --keep" in output


def test_second_demo_over_the_same_directory_adds_up(directory: Path) -> None:
    """A given directory is kept; what was counted before is not taken for clicks of the new demo."""
    data = directory / "data"
    for clicks in (30, 20):
        with demo(directory, "--data-dir", str(data), "--clicks", str(clicks)) as process:
            output, words = process.communicate()

        assert process.returncode == 0, output + words + (data / "serve.log").read_text()
        assert adds_up(output, clicks)
    assert {"secret", "valkey", "serve.log"} <= {path.name for path in data.iterdir()}
    assert data.stat().st_mode & 0o777 == 0o700
    assert running_in(data) is None
    assert left_behind(directory) == [str(data)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_kept_servers_can_be_tried(directory: Path, number: signal.Signals) -> None:
    """With --keep the printed addresses work until Ctrl-C, which is a good end."""
    with demo(directory, "--clicks", "10", "--keep") as process:
        assert process.stderr is not None
        assert process.stdout is not None
        while "The servers stay up" not in (line := process.stderr.readline()):
            assert line, "it ended"
        output = ""
        while "redirector report" not in output:
            output += process.stdout.readline()
        (url,) = re.findall(r"^curl -si (\S+)", output, re.MULTILINE)
        (metrics,) = re.findall(r"curl -s (\S+/metrics)", output)
        (docs,) = re.findall(r"^(\S+/docs)", output, re.MULTILINE)
        report = re.search(r"REDIRECTOR_URL=(\S+) REDIRECTOR_API_KEY=(\S+) redirector report '(.+)'", output)
        assert report is not None
        click = httpx.get(url, trust_env=False)
        exposition = httpx.get(metrics, trust_env=False).text
        page = httpx.get(docs, trust_env=False)
        asked = subprocess.run(
            [*PROGRAM[:-1], "report", report[3]],
            env={**os.environ, "REDIRECTOR_URL": report[1], "REDIRECTOR_API_KEY": report[2]},
            capture_output=True,
            text=True,
            check=True,
        )
        process.send_signal(number)
        process.communicate()

    assert click.status_code == 302
    assert "redirector_topic_clicks_total{" in exposition
    assert page.status_code == 200
    assert asked.stdout.startswith(journey.CAMPAIGN)
    assert process.returncode == 0
    assert left_behind(directory) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("step", ["Starting", "Rewriting"])
def test_demo_that_is_interrupted_leaves_nothing_behind(directory: Path, number: signal.Signals, step: str) -> None:
    """Ctrl-C in the middle stops the servers and clears everything away, without a traceback."""
    with demo(directory, "--clicks", "100000") as process:
        assert process.stderr is not None
        while step not in (line := process.stderr.readline()):
            assert line, "it ended"
        process.send_signal(number)
        _, words = process.communicate()

    assert process.returncode == 130
    assert "Traceback" not in words
    assert left_behind(directory) == []


def test_directory_that_is_taken_is_told(directory: Path) -> None:
    """A data directory that another process owns is refused, and neither a log is left there nor one overwritten."""
    with ownership(directory):
        for there in (False, True):
            if there:
                (directory / "serve.log").write_text("of the other one")
            with demo(directory, "--data-dir", str(directory), "--clicks", "1") as process:
                output, words = process.communicate()
            assert (process.returncode, output) == (1, "")
            assert f"--data-dir: the data directory is in use by process {os.getpid()}" in words
            assert (directory / "serve.log").exists() is there

    assert (directory / "serve.log").read_text() == "of the other one"


def test_demo_as_json(directory: Path) -> None:
    """--json prints one JSON value with everything that the tables show, and it adds up."""
    with demo(directory, "--clicks", "40", "--json") as process:
        output, words = process.communicate()

    shown = json.loads(output)
    by_topic = sum((Counter(topic["clicks"]) for topic in shown["topics"]), Counter(shown["without_topic"]))
    assert process.returncode == 0, words
    assert sum(shown["sent"].values()) == shown["redirected"] == sum(shown["clicks"].values()) == 40
    assert by_topic >= Counter(shown["clicks"])  # a link about two topics is in both
    assert Counter(link["action"] for link in shown["links"]) == {"tracked": 17, "skipped": 11}
    assert shown["tracked"].startswith(shown["public_url"] + "/c/")


def test_home_directory_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ~ that the shell left is the home directory, for the demo as for the server that it starts."""
    monkeypatch.setenv("HOME", "/home/somebody")

    with journey.data_directory(Path("~/clicks")) as data:
        assert data == Path("/home/somebody/clicks")


def test_server_that_does_not_start_is_told(directory: Path) -> None:
    """What the server said before it ended comes out as the error."""
    (directory / "valkey").write_text("in the way")

    with pytest.raises(ServerUnavailable, match="the server did not start: error: "), journey.served(directory):
        pass


def test_crowd_is_the_same_each_time() -> None:
    """The same seed makes the same visits; every kind of visitor comes."""
    urls = ["http://a", "http://b"]

    first, second = (list(visits(urls, 1_000, Random(2))) for _ in range(2))

    assert first == second
    assert sum(len(visit.urls) for visit in first) == 1_000
    assert {visit.persona.name for visit in first} == {persona.name for persona in CROWD}
    assert len({ip_network(f"{visit.address}/64", strict=False) for visit in first}) == len(first)
    assert all(ip_address(visit.address) in DOCUMENTATION for visit in first)
    assert Counter(url for visit in first for url in visit.urls).most_common()[0][0] == "http://a"


def test_crowd_makes_as_many_clicks_as_wanted() -> None:
    """A visit that would make too many does not come, and each of a visit's links is another one."""
    urls = [f"http://{number}" for number in range(20)]
    for clicks in range(1, 60):
        crowd = list(visits(urls, clicks, Random(clicks)))

        assert sum(len(visit.urls) for visit in crowd) == clicks
        assert all(len(visit.urls) == len(set(visit.urls)) == min(visit.persona.links, 20) for visit in crowd)


def test_classes_are_told_apart(directory: Path) -> None:
    """Each kind of visitor gets the class that it deserves, by what it sends or by what it does."""
    with journey.served(directory) as running:
        travelled = journey.travel(running, journey.CLICKS, Random(2), lambda _: None)

    sent = travelled.sent
    assert travelled.topics.clicks == {
        "human": sent["reader"] + sent["reader who objects to tracking"],
        "suspect": sent["reader who opens three tabs at once"],
        "scanner": sent["mail gateway in a browser's clothes"] + sent["mail gateway that says so"],
        "bot": sent["crawler"] + sent["previewer"],
        "prefetch": sent["prefetching browser"],
        "probe": sent["mail gateway that only asks"],
    }
    assert min(travelled.topics.clicks.values()) > 0


BEFORE = topics_out(topic_out("solar", 3, human=5, bot=2), human=5, bot=2)
NOW = topics_out(topic_out("solar", 4, human=8, bot=2), topic_out("billing", 1, human=1), human=9, bot=2)


def test_only_new_clicks_are_the_demos() -> None:
    """What stood in the counters before is taken off, for each topic and class."""
    found = journey.since(BEFORE, NOW)

    assert found.clicks == {"human": 4}
    assert [(topic.topic, topic.clicks) for topic in found.topics] == [
        ("solar", {"human": 3}),
        ("billing", {"human": 1}),
    ]


@pytest.mark.parametrize(
    ("statuses", "counted", "verdict"),
    [({302: 4}, 4, True), ({302: 3, 503: 1}, 4, False), ({302: 4}, 3, False), ({302: 4}, 5, False), ({}, 0, False)],
)
def test_demo_that_does_not_add_up_says_so(
    server: Running, statuses: dict[int, int], counted: int, verdict: bool
) -> None:
    """A click that was not redirected, or not counted, or counted twice, fails the demo."""
    travelled = journey.travel(server, 1, Random(2), lambda _: None)
    topics = topics_out(**({"human": counted} if counted else {}))

    changed = replace(travelled, sent=Counter(reader=4), statuses=Counter(statuses), topics=topics)

    assert travelled.adds_up
    assert changed.adds_up is verdict
