"""`redirector serve` as a whole: one owner, nothing left running, and nothing lost when all of it is killed."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack, ExitStack, closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from redis import Redis

from redirector.catalog import CatalogFile
from redirector.client import Client
from redirector.codes import Codes
from redirector.installation import Running, running_in, secret_of
from redirector.serve import _Tasks
from redirector.store.embedded import socket_path
from tests.conftest import Run
from tests.processes import (
    Crowd,
    command_line,
    descendants,
    eventually,
    is_gone,
    serving,
    starting,
    when_ready,
)
from tests.store.stores import frozen, own_store
from tests.store.stores import kill as kill_store

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


def knows_a_link(data_dir: Path) -> bool:
    """Whether the copy of the links on this machine has one."""
    with closing(CatalogFile(data_dir / "redirect-0" / "links.sqlite")) as file:
        file.open()
        return file.link(1) is not None


def spoil(data_dir: Path) -> None:
    """Leaves the embedded store with a file that it will not read."""
    (data_dir / "valkey" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")


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


async def test_act_that_swallows_its_cancellation_ends() -> None:
    """redis-py now and then does, and the server ends nevertheless."""
    swallowed = 0

    async def act() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed += 1

    async with asyncio.timeout(20), AsyncExitStack() as tasks:
        _Tasks(tasks).start(act(), asks_store=True)
        await asyncio.sleep(0)

    assert swallowed == 1


@pytest.mark.parametrize("trouble", ["dead", "frozen"])
def test_server_that_starts_without_its_store_redirects(directory: Path, stack: ExitStack, trouble: str) -> None:
    """After a reboot the links of before redirect, whenever the store comes; their clicks are counted once it has."""
    store = directory / "store"
    store.mkdir()
    store_url = stack.enter_context(own_store("valkey", store))
    with serving(directory, store_url=store_url) as running:
        known, later = individual_urls(running, 2)
        port = str(urlsplit(running.public_url).port)
        click([known])
        eventually(lambda: human_clicks(running) == 1 and knows_a_link(directory))
    away = stack.enter_context(ExitStack())
    if trouble == "dead":
        kill_store(store_url)
        away.callback(lambda: stack.enter_context(own_store("valkey", store)))
    else:
        away.enter_context(frozen(store_url))

    with starting(directory, "--public-port", port, store_url=store_url) as process:
        eventually(lambda: click([later]))
        assert running_in(directory) is None
        away.close()
        again = when_ready(process, directory)
        eventually(lambda: human_clicks(again) == 2)


def test_store_that_cannot_be_started_again_ends_nothing(directory: Path) -> None:
    """An error of the disk keeps the store away; links redirect, and the store is there when the disk is mended."""
    with serving(directory) as running:
        before, between = individual_urls(running, 2)
        click([before])
        eventually(lambda: human_clicks(running) == 1)
        (directory / "valkey").rename(directory / "elsewhere")
        (directory / "valkey").touch()
        kill(pid_of(running, "valkey-server"))
        eventually(lambda: not ready(running))

        assert click([between])
        (directory / "valkey").unlink()
        (directory / "elsewhere").rename(directory / "valkey")
        eventually(lambda: ready(running) and human_clicks(running) == 2)


def test_data_that_the_store_refuses_is_told_while_links_redirect(directory: Path) -> None:
    """A server that knows links stays, though its store will not start."""
    with serving(directory) as running:
        (url,) = individual_urls(running, 1)
        port = str(urlsplit(running.public_url).port)
        eventually(lambda: click([url]) and knows_a_link(directory))
    spoil(directory)

    with starting(directory, "--public-port", port) as process:
        eventually(lambda: process.poll() is not None or click([url]))
        assert process.poll() is None
        assert running_in(directory) is None


def test_data_that_the_store_refuses_ends_a_server_that_knows_no_link(directory: Path, run: Run) -> None:
    """Nobody could be answered: it ends, and says what the store said and where."""
    (directory / "valkey" / "appendonlydir").mkdir(parents=True)
    spoil(directory)

    ended = run("serve", "--data-dir", str(directory), "--public-port", "0", "--internal-port", "0")

    assert ended.returncode == 1
    assert "error: the embedded store stopped at once" in ended.stderr
    assert str(directory / "valkey.log") in ended.stderr


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
