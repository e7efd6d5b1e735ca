"""`redirector serve` as a whole: one owner, nothing left running, and nothing lost when all of it is killed."""

import os
import signal
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import httpx
from redis import Redis

from redirector.client import Client
from redirector.codes import Codes
from redirector.installation import Running, secret_of
from redirector.store.embedded import socket_path
from tests.conftest import Run
from tests.processes import Crowd, command_line, descendants, eventually, is_gone, serving

DESTINATION = "https://www.example.com/offer?a=1&b=2"


def individual_urls(running: Running, count: int, campaign: str = "news") -> list[str]:
    """A tracked URL of one link for each of `count` recipients, so that each click can be found again."""
    with Client(running.internal_url, running.api_key) as client:
        client.create_campaign(campaign, tracking="individual", consent="sign-up form 3")
        link = client.create_link(DESTINATION, campaign, ["solar"])
        return [each.url for each in client.urls(link.id, [f"{campaign}-{number}" for number in range(count)])]


def human_clicks(running: Running) -> int:
    """How many human clicks were counted."""
    with Client(running.internal_url, running.api_key) as client:
        return client.topics().clicks.get("human", 0)


def entries(data_dir: Path) -> list[dict[str, str]]:
    """Everything in the click stream of the embedded store."""
    with Redis(unix_socket_path=str(socket_path(data_dir)), decode_responses=True) as redis:
        return [fields for _, fields in redis.xrange("redirector:{0}:clicks")]


def processes_of(running: Running) -> dict[int, str]:
    """The server's processes, its own included."""
    return {running.pid: command_line(running.pid), **descendants(running.pid)}


def pid_of(running: Running, words: str) -> int:
    """The process among the server's whose command line has these words."""
    (pid,) = (pid for pid, command in descendants(running.pid).items() if words in command)
    return pid


def click(urls: list[str]) -> bool:
    """Clicks on each URL, and sees that each reader arrives."""
    with Crowd(urls) as crowd:
        crowd.finish()
    return crowd.answered == dict.fromkeys(urls, (302, DESTINATION))


def ready(running: Running) -> bool:
    """Whether the API has its store."""
    return httpx.get(running.internal_url + "/readyz").status_code == 200


def kill(*pids: int) -> None:
    """Kills processes at once, as a crash or the system would."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_second_server_over_the_same_directory_is_refused(directory: Path, run: Run) -> None:
    """A data directory has one owner; the second one is told who it is, and changes nothing."""
    with serving(directory) as running:
        second = run("serve", "--data-dir", str(directory), "--public-port", "0", "--internal-port", "0")

        assert second.returncode == 1
        assert f"in use by process {running.pid}" in second.stderr
        assert "choose another directory" in second.stderr
        assert human_clicks(running) == 0


def test_everything_is_there_after_a_restart(directory: Path) -> None:
    """Links, campaigns, topics, counters and codes outlive the program's end."""
    with serving(directory) as running, Client(running.internal_url, running.api_key) as client:
        link = client.create_link(DESTINATION, "news", ["solar"], label="top")
        with Crowd([link.url]) as crowd:
            crowd.finish()
        eventually(lambda: human_clicks(running) == 1)

    with serving(directory) as again, Client(again.internal_url, again.api_key) as client:
        assert client.create_link(DESTINATION, "news", ["solar"], label="top").code == link.code
        assert client.report("news").clicks == {"human": 1}
        with Crowd([f"{again.public_url}/c/{link.code}"]) as crowd:
            crowd.finish()
        assert list(crowd.answered.values()) == [(302, DESTINATION)]


def test_sigterm_leaves_nothing_running(directory: Path) -> None:
    """After SIGTERM every process of the server is gone, and so is the file that announces it."""
    with serving(directory) as running:
        pids = processes_of(running)

    assert all(is_gone(pid) for pid in pids)
    assert not (directory / "running.json").exists()


def test_sigkill_of_the_supervisor_leaves_nothing_running(directory: Path) -> None:
    """When the supervisor is killed, its roles and its store die with it."""
    with serving(directory) as running:
        pids = processes_of(running)
        assert any("valkey-server" in command for command in pids.values())

        kill(running.pid)
        eventually(lambda: all(is_gone(pid) for pid in pids if pid != running.pid))


def test_killed_role_is_started_again(directory: Path) -> None:
    """A redirect process that is killed comes back, and answers on the same port."""
    with serving(directory) as running:
        urls = individual_urls(running, 20)
        kill(pid_of(running, "run redirect"))

        with Crowd(urls, readers=1) as crowd:
            crowd.finish()

        assert set(crowd.answered.values()) == {(302, DESTINATION)}
        assert len(crowd.answered) == 20


def test_killed_store_is_started_again(directory: Path) -> None:
    """A store that is killed comes back with all it had acknowledged, and clicks are recorded and counted again."""
    with serving(directory) as running:
        before, between, after = (individual_urls(running, 50, name) for name in ("before", "between", "after"))
        click(before)
        eventually(lambda: human_clicks(running) == len(before))

        kill(pid_of(running, "valkey-server"))
        knocking = iter(between)
        eventually(lambda: click([next(knocking)]) and ready(running) and human_clicks(running) > len(before))
        counted = human_clicks(running)
        click(after)

        eventually(lambda: human_clicks(running) == counted + len(after))
        times = Counter(entry["recipient"] for entry in entries(directory))
        assert times.total() == counted + len(after)
        assert set(times.values()) == {1}


def test_sigkill_of_everything_while_clicking_loses_and_doubles_nothing(directory: Path) -> None:
    """Every click that was answered is in the stream once, and the counters equal the stream, though all is killed."""
    answered: set[str] = set()
    for name in ("first", "second", "third"):
        with serving(directory) as running:
            urls = individual_urls(running, 5_000, name)
            with Crowd(urls) as crowd:
                eventually(lambda crowd=crowd: len(crowd.answered) > 400)  # type: ignore[misc] # bound here
                kill(*processes_of(running))
            assert 400 < len(crowd.answered) < len(urls)
            assert set(crowd.answered.values()) == {(302, DESTINATION)}
            answered |= {recipient_of(url, directory) for url in crowd.answered}

    with serving(directory) as running:
        eventually(lambda: answered <= {entry["recipient"] for entry in entries(directory)})
        recorded = entries(directory)
        eventually(lambda: human_clicks(running) == len(recorded))
        times = Counter(entry["recipient"] for entry in recorded)

        assert set(times.values()) == {1}
        assert report_sums(running, ("first", "second", "third")) == len(recorded)


def recipient_of(url: str, data_dir: Path) -> str:
    """The recipient's token in a tracked URL, as it stands in the stream."""
    decoded = Codes(secret_of(data_dir).get_secret_value()).decode(url.rpartition("/")[2])
    assert decoded is not None
    return str(decoded.recipient)


def report_sums(running: Running, campaigns: Iterable[str]) -> int:
    """All clicks of the campaigns' reports, by their links and by their hours alike."""
    with Client(running.internal_url, running.api_key) as client:
        reports = [client.report(name) for name in campaigns]
    by_link = sum(sum(link.clicks.values()) for report in reports for link in report.links)
    by_hour = sum(sum(hour.clicks.values()) for report in reports for hour in report.hours)
    assert by_link == by_hour
    return by_link
