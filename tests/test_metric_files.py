"""Files through which processes share their numbers: who is seen, on a full disk too, and after whom."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from redirector.metric_files import DIRECTORY, PROCESS, process_ended
from tests.conftest import IN_CI, needed

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

PYTHON = f"{shlex.quote(sys.executable)} -c"
COUNTS = (
    "from redirector.metrics import LINKS_MINTED, PROCESSES; LINKS_MINTED.inc(5); PROCESSES.labels('redirect').set(1)"
)
SHOWS = "from redirector.metrics import exposition; print(exposition('', ({}, {'human': 2}))[0].decode())"


def run(program: str, directory: Path, process: str = "") -> str:
    """What a process prints that shares its numbers in this directory, under this name if there is one."""
    environment = os.environ | {DIRECTORY: str(directory)} | ({PROCESS: process} if process else {})
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def test_processes_of_one_machine_answer_together(tmp_path: Path) -> None:
    """With a directory to share, what one process counted is in what another one shows."""
    for _ in range(2):
        run(COUNTS, tmp_path)
    lines = run(SHOWS, tmp_path).splitlines()

    assert "redirector_links_minted_total 10.0" in lines
    assert 'redirector_clicks_total{class="human"} 2.0' in lines


def test_who_takes_the_place_of_a_process_counts_on(tmp_path: Path) -> None:
    """However often a process is started again, there are the files of one, and nothing is forgotten."""
    run(COUNTS, tmp_path, "redirect 1")
    files = set(tmp_path.iterdir())

    run(COUNTS, tmp_path, "redirect 1")

    assert set(tmp_path.iterdir()) == files
    assert "redirector_links_minted_total 10.0" in run(SHOWS, tmp_path, "redirect 1").splitlines()


def test_process_that_ended_has_no_gauges(tmp_path: Path) -> None:
    """What it counted stays, and so does the room of its files; others are not touched."""
    run(COUNTS, tmp_path, "redirect 1")
    sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}

    process_ended(tmp_path, "redirect 2")
    before = run(SHOWS, tmp_path, "api").splitlines()
    process_ended(tmp_path, "redirect 1")
    after = run(SHOWS, tmp_path, "api").splitlines()

    assert 'redirector_processes{role="redirect"} 1.0' in before
    assert not [line for line in after if line.startswith("redirector_processes")]
    assert "redirector_links_minted_total 5.0" in after
    assert sizes.items() <= {file.name: file.stat().st_size for file in tmp_path.iterdir()}.items()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:0],
        lambda data: data[:100],
        lambda data: b"\xff" * 4 + data[4:],
        lambda data: b"\x7f" * len(data),
    ],
    ids=["empty", "cut", "a negative length", "rubbish"],
)
def test_damaged_file_is_begun_anew(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """It costs the numbers in it, and not the process."""
    run(COUNTS, tmp_path, "redirect 1")
    file = tmp_path / "counter_redirect 1.db"
    file.write_bytes(damage(file.read_bytes()))

    run(COUNTS, tmp_path, "redirect 1")

    assert "redirector_links_minted_total 5.0" in run(SHOWS, tmp_path, "redirect 1").splitlines()


def in_own_mounts(commands: str) -> "subprocess.CompletedProcess[str]":
    """What these commands come to in a shell whose mounts nobody else sees."""
    return subprocess.run(
        [needed("unshare"), "--mount", "sh", "-c", commands], capture_output=True, text=True, check=False
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> str:
    """Commands that mount a disk of 80 KB. Where that cannot be, the test says so and is skipped; never in CI."""
    mount = f"mount -t tmpfs -o size=80k none {tmp_path}"
    if (tried := in_own_mounts(mount)).returncode:
        assert not IN_CI, tried.stderr
        pytest.skip(f"a small disk cannot be mounted here: {tried.stderr}")
    return f"{mount}; export {DIRECTORY}={tmp_path}; cd {tmp_path}"


def test_no_number_waits_for_room_on_the_disk(tmp_path: Path) -> None:
    """The files that processes share have all their room from the start: a mapped hole kills on a full disk."""
    run(EVERY_NUMBER, tmp_path)

    for file in tmp_path.iterdir():
        assert file.stat().st_blocks * 512 >= file.stat().st_size, file.name


@pytest.mark.parametrize("room", [0, 20], ids=["no room", "room for one file"])
def test_full_disk_costs_a_process_its_metrics_only(small_disk: str, room: int) -> None:
    """On a disk that is full a process says so, lives, and leaves no file behind that others would stumble over."""
    ended = in_own_mounts(
        f"{small_disk}; head -c $((80 - {room}))k /dev/zero > filling; {PYTHON} {shlex.quote(EVERY_NUMBER)} && ls"
    )

    assert ended.returncode == 0, ended.stderr
    assert "No space left on device" in ended.stderr
    assert ended.stdout.splitlines()[-1] == "filling"


def test_who_takes_the_place_of_a_process_on_a_full_disk_is_seen(small_disk: str) -> None:
    """Its room was taken by the one before: what it loses because of the disk is counted where it can be seen."""
    again = f"{PYTHON} {shlex.quote(COUNTS)}"

    ended = in_own_mounts(
        f"{small_disk}; export {PROCESS}='redirect 1'; {again}; cat /dev/zero > filling; {again}; "
        f"{PYTHON} {shlex.quote(SHOWS)}"
    )

    assert "No space left on device" in ended.stderr  # that is the filling
    assert "cannot be seen" not in ended.stderr
    assert "redirector_links_minted_total 10.0" in ended.stdout.splitlines()
