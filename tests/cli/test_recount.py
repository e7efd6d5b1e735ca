"""`redirector recount`: from a data directory with a running server, or without one."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from redirector.client import Client
from tests.cli.conftest import Command
from tests.conftest import short_directory
from tests.processes import BROWSER, FIREFOX, eventually, serving

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
