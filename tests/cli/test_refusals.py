"""What the operating system refuses, a full disk or another user's files, is told in a sentence, and breaks nothing."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from redirector.installation import secret_of
from redirector.settings import without_settings
from tests.cli.conftest import Command
from tests.conftest import needed
from tests.processes import serving

PROGRAM = (sys.executable, "-m", "redirector.cli.main")


def refused(command: Sequence[str], **more: object) -> "subprocess.CompletedProcess[str]":
    """What a command that cannot be done says."""
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [*command],
        env=without_settings(os.environ),
        text=True,
        stderr=subprocess.PIPE,
        check=False,
        **{"stdout": subprocess.PIPE, **more},
    )


def without_privileges() -> list[str]:
    """What a command begins with to be refused what others are; root is refused nothing otherwise."""
    return [needed("setpriv"), "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]


def test_full_disk_takes_no_backup(directory: Path, tmp_path: Path) -> None:
    """A backup that the disk does not take whole is not there at all, and the one before stays."""
    file = tmp_path / "links.backup"
    file.write_bytes(b"yesterday's")
    with serving(directory):
        full = [needed("prlimit"), "--fsize=100", *PROGRAM, "backup", str(file), "--data-dir", str(directory)]
        outcome = refused(full)

    assert outcome.returncode == 2
    assert "FILE: the file cannot be written: File too large" in outcome.stderr
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.read_bytes() == b"yesterday's"


@pytest.mark.parametrize("arguments", [["--version"], ["config", "explain"], ["config", "explain", "--json"]])
def test_result_that_cannot_be_written(directory: Path, arguments: list[str]) -> None:
    """Whoever's result was lost in a full disk is told so, by the exit code too."""
    with Path("/dev/full").open("w", encoding="ascii") as full:
        outcome = refused([*PROGRAM, *arguments], stdout=full, cwd=directory)

    assert outcome.returncode == 1
    assert outcome.stderr.splitlines()[0] == "error: the system refuses it: No space left on device"


@pytest.mark.parametrize(
    "arguments",
    [["doctor"], ["topics"], ["backup", "links.backup"], ["export-redirects", "--format", "json"]],
    ids=lambda arguments: arguments[0],
)
def test_directory_of_another_user(directory: Path, arguments: list[str]) -> None:
    """A command over files that it may not read says whose turn it is, and not that nothing is there."""
    secret_of(directory)
    for name in ("secret", "running.json"):
        (directory / name).touch()
        (directory / name).chmod(0)

    outcome = refused([*without_privileges(), *PROGRAM, *arguments, "--data-dir", str(directory)], cwd=directory)

    assert outcome.returncode == 2
    assert "in it cannot be read: Permission denied" in outcome.stderr
    assert "try: run this as the user that the server runs as" in outcome.stderr


def test_directory_that_may_not_be_made(directory: Path) -> None:
    """The error names the directory and the remedy, and has no traceback in it."""
    closed = directory / "closed"
    closed.mkdir(mode=0o500)
    key = ["keys", "create", "tooling", "--scope", "mint", "--data-dir", str(closed / "data")]

    outcome = refused([*without_privileges(), *PROGRAM, *key])

    assert outcome.returncode == 1
    assert outcome.stderr.startswith(f"error: the system refuses it: Permission denied ('{closed}/data')\n  try: see ")


@pytest.mark.parametrize("arguments", [["backup", "links.backup"], ["export-redirects", "--format", "nginx"]])
def test_directory_of_a_later_version(command: Command, directory: Path, arguments: list[str]) -> None:
    """No command starts its store over files that it may not understand."""
    secret_of(directory)
    (directory / "format").write_text("99\n")

    outcome = command(*arguments, "--data-dir", str(directory))

    assert (outcome.code, outcome.stdout) == (2, b"")
    assert "format '99'" in outcome.stderr
