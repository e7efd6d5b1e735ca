"""`redirector recount`: from a data directory with a running server, or without one."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from redis import Redis

from redirector.classify import RULES_VERSION
from redirector.client import Client
from redirector.count import COUNTING_GROUP
from redirector.store.embedded import socket_path
from redirector.store.keys import Keys
from tests.cli.conftest import Command
from tests.conftest import short_directory
from tests.processes import BROWSER, FIREFOX, eventually, serving

SAME = {"REDIRECTOR_COUNT_HOLD_MS": "0"}
BARE = {"User-Agent": FIREFOX}


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """Where a server runs whose campaign `news` has a human click, and one of a browser without its headers."""
    with (
        short_directory() as path,
        serving(path) as running,
        Client(running.internal_url, running.api_key) as client,
    ):
        link = client.create_link("https://www.example.com/judged", "news", ["judged"])
        for headers in (dict(BROWSER), BARE):
            assert httpx.get(link.url, headers=headers).status_code == 302
        eventually(lambda: client.report("news").clicks == {"human": 1, "suspect": 1})
        yield path


def clicks(command: Command, data_dir: Path) -> object:
    """What the report says."""
    return json.loads(command("report", "news", "--json", "--data-dir", str(data_dir)).stdout)["clicks"]


def test_other_rules(command: Command, data_dir: Path) -> None:
    """Version 1 knows no bare browsers; a dry run says so, a recount makes it so, and another takes it back."""
    recount = ("recount", "news", "--data-dir", str(data_dir))
    dry = command(*recount, "--rules", "1", "--dry-run", "--json")
    unchanged = clicks(command, data_dir)
    done = command(*recount, "--rules", "1")
    changed = clicks(command, data_dir)
    back = command(*recount)

    assert (dry.code, unchanged) == (0, {"human": 1, "suspect": 1})
    said = json.loads(dry.stdout)
    assert (said["moved"], said["changed"], said["before"], said["now"]) == (
        1, False, {"human": 1, "suspect": 1}, {"human": 2},
    )  # fmt: skip
    assert (done.code, changed) == (0, {"human": 2})
    assert "1 of 2 clicks are counted in another class than before, by rules 1." in done.stderr
    assert [line.split() for line in done.text.splitlines()] == [
        ["class", "before", "now"], ["human", "1", "2"], ["suspect", "1", "0"],
    ]  # fmt: skip
    assert (back.code, clicks(command, data_dir)) == (0, {"human": 1, "suspect": 1})


def test_settings_of_the_worker(command: Command, data_dir: Path) -> None:
    """Who judges as the worker does is told nothing."""
    recount = command("recount", "news", "--data-dir", str(data_dir), "--json", **SAME)

    assert (recount.code, json.loads(recount.stdout)["differs_from_worker"]) == (0, [])
    assert "warning" not in recount.stderr


def test_another_hold(command: Command, data_dir: Path) -> None:
    """The worker counts at once, and the recount would hold clicks: it says so, with the remedy, and goes on."""
    recount = command("recount", "news", "--data-dir", str(data_dir), "--dry-run", "--json")

    (differs,) = json.loads(recount.stdout)["differs_from_worker"]
    assert (differs["what"], differs["worker"], differs["recount"]) == ("count_hold_ms", "0", "30000")
    assert recount.stderr.startswith("warning: count_hold_ms is 0 where clicks are counted, and 30000 here, ")
    assert "set REDIRECTOR_COUNT_HOLD_MS=0, or name the worker's settings with --config." in recount.stderr


def test_another_list_of_gateways(command: Command, data_dir: Path, directory: Path) -> None:
    """A list of one's own that the worker does not have is named."""
    own = directory / "gateways.toml"
    own.write_text('[networks]\nhosting = ["Acme Datacenters"]\n')
    recount = ("recount", "news", "--data-dir", str(data_dir), "--dry-run")
    outcome = command(*recount, REDIRECTOR_GATEWAYS_FILE=str(own), **SAME)

    assert outcome.code == 0
    assert "warning: the worker that counts has another list of gateways, " in outcome.stderr


def test_worker_of_another_release(command: Command, data_dir: Path) -> None:
    """Its rules are named, unless a version was asked for."""
    recount = ("recount", "news", "--data-dir", str(data_dir), "--dry-run")
    with Redis(unix_socket_path=str(socket_path(data_dir))) as redis:
        redis.hset(Keys().judged_by(COUNTING_GROUP), "rules", RULES_VERSION + 1)
        unasked = command(*recount, **SAME)
        asked = command(*recount, "--rules", "1", **SAME)
        redis.hset(Keys().judged_by(COUNTING_GROUP), "rules", RULES_VERSION)

    differs = f"is {RULES_VERSION + 1} where clicks are counted, and {RULES_VERSION} here"
    assert f"warning: the version of the rules {differs}" in unasked.stderr
    assert (asked.code, "warning" in asked.stderr) == (0, False)


def test_links_that_were_minted_since(command: Command, data_dir: Path) -> None:
    """A recount goes by the links that the campaign has now, and says so: all three are not all four."""
    there = ("--data-dir", str(data_dir))

    def mint(*names: str) -> list[str]:
        urls = [f"https://www.example.com/{name}" for name in names]
        made: list[dict[str, str]] = json.loads(command("links", "create", *urls, "-c", "now", "--json", *there).stdout)
        return [link["url"] for link in made]

    def decided() -> object:
        recount = command("recount", "now", "--dry-run", "--json", *there)
        return json.loads(recount.stdout)["decided"]

    for url in mint("one", "two", "three"):
        assert httpx.get(url, headers=dict(BROWSER)).status_code == 302
    eventually(lambda: decided() == {"all-links": 3})
    mint("four")

    assert decided() == {"several-links": 3}
    told = " ".join(command("recount", "--help").text.split())
    assert "by the moment of sending and the links that the campaign has now" in told


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("never made",), 1, "no such campaign"),
        (("news", "--rules", "99"), 2, "use one of 1, 2"),
        ((), 2, "CAMPAIGN"),
    ],
)
def test_wrong_input(command: Command, data_dir: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    """Each is named, with what to do."""
    outcome = command("recount", *arguments, "--data-dir", str(data_dir))

    assert (outcome.code, outcome.stdout) == (code, b"")
    assert words in outcome.stderr
