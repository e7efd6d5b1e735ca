"""The program's entry point: exit codes, help, and what goes to which stream."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from redirector import __version__
from redirector.cli.main import app, main
from redirector.errors import UnknownLink
from tests.cli.conftest import Command
from tests.conftest import Run

PROGRAM = [sys.executable, "-m", "redirector.cli.main"]

RESULTS = [
    ["topics"], ["report", "streams"], ["links", "list", "-c", "streams"], ["config", "explain"],
    ["links", "create", "https://www.example.com/1", "-c", "streams", "-t", "solar"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", RESULTS, ids=" ".join)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_results_go_to_stdout_alone(
    command: Command, there: dict[str, str], arguments: list[str], as_json: bool
) -> None:
    """A result goes to stdout, and nothing else does; with --json it is one JSON value."""
    command("links", "create", "https://www.example.com/1", "-c", "streams", "-t", "solar", **there)

    outcome = command(*arguments, *(["--json"] if as_json else []), **there)

    assert outcome.code == 0
    assert outcome.stderr == ""
    assert "\x1b" not in outcome.text
    assert json.loads(outcome.stdout) if as_json else outcome.text.strip()


WRONG = [
    (["nosuch"], "No such command"),
    (["topics", "--nosuch"], "No such option"),
    (["report"], "Missing argument"),
    (["rewrite", "mail.html"], "Missing option"),
    (["links", "create", "-c", "news"], "Missing argument"),
    (["demo", "--clicks", "0"], "--clicks"),
    (["serve", "--public-port", "http"], "('http')\n  try: config/redirector.toml explains public_port"),
    (["serve", "--workers", "many"], "--workers: input should be a valid integer"),
    (["run", "api", "--internal-port", "http"], "--internal-port: "),
    (["links", "create", "https://x.example", "-c", "news", "--expires-at", "soon"], "error: --expires-at: "),
    (["serve", "--public-port", "70000"], "--public-port"),
    (["config", "explain", "--store-url", "valkey:6379"], "--store-url"),
    (["config", "explain", "--config", "/nosuch.toml"], "/nosuch.toml"),
    (["keys", "create", "x", "--scope", "all"], "--scope"),
    (["keys", "create", "/x", "--scope", "mint"], "NAME"),
    (["keys", "create", "x"], "--scope"),
]


@pytest.mark.parametrize(("arguments", "named"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_wrong_input_is_exit_code_2(command: Command, arguments: list[str], named: str) -> None:
    """Wrong input is exit code 2, and a message on stderr that names it; there is no traceback."""
    outcome = command(*arguments)

    assert outcome.code == 2
    assert named in outcome.stderr
    assert outcome.stdout == b""
    assert "Traceback" not in outcome.stderr


def test_program_without_a_command_shows_its_help(command: Command) -> None:
    """Who types only the name learns what there is."""
    outcome = command()

    assert outcome.code == 2
    assert "rewrite" in outcome.stderr + outcome.text


def test_version(command: Command) -> None:
    """--version prints the version, alone."""
    outcome = command("--version")

    assert (outcome.code, outcome.text) == (0, f"redirector {__version__}\n")


def test_debug_shows_the_traceback(run: Run) -> None:
    """With --debug the error comes with its traceback; without, it does not."""
    debugged, plain = run("--debug", "topics"), run("topics")

    assert debugged.returncode == plain.returncode == 1
    assert "Traceback" in debugged.stderr
    assert "ServerUnavailable" in debugged.stderr
    assert "Traceback" not in plain.stderr
    assert "error: no server runs over" in plain.stderr
    assert "try: start one with `redirector serve`" in plain.stderr


def test_error_names_every_thing_to_mend(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error with others is told in full: the thing, what is wrong, the value, the remedy."""

    def refuse(*_: object) -> None:
        raise UnknownLink("it is gone", field="/0/id", part="7", remedy="look", others=(UnknownLink("and this"),))

    monkeypatch.setattr("redirector.cli.reports.client_of", refuse)

    outcome = command("topics")

    assert outcome.code == 1
    assert outcome.stderr == "error: /0/id: it is gone ('7')\n  try: look\nerror: and this\n"


def break_down(*_: object) -> None:
    """An error that nobody foresaw."""
    raise RuntimeError("a gear is missing")


def test_unforeseen_error_is_told_without_a_traceback(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of our own making is one sentence too, and says how to see more."""
    monkeypatch.setattr("redirector.cli.reports.client_of", break_down)

    outcome = command("topics")

    assert outcome.code == 1
    assert outcome.stderr.startswith("error: RuntimeError: a gear is missing\n")
    assert "redirector --debug" in outcome.stderr


def test_unforeseen_error_comes_out_with_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --debug it comes as Python shows it."""
    monkeypatch.setattr("redirector.cli.reports.client_of", break_down)
    monkeypatch.setattr(sys, "argv", ["redirector", "--debug", "topics"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setenv("REDIRECTOR_DEBUG", "")

    with pytest.raises(RuntimeError, match="a gear is missing"):
        main()


def test_interrupt_is_exit_code_130(directory: Path) -> None:
    """Ctrl-C ends a command that waits with 130, and without a traceback."""
    waiting = subprocess.Popen(
        [*PROGRAM, "rewrite", "-", "-c", "news"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert waiting.stdin is not None
    assert waiting.stderr is not None
    syscall = Path(f"/proc/{waiting.pid}/syscall")
    while not syscall.read_text().startswith("0 0x0 "):  # read(2) of descriptor 0
        assert waiting.poll() is None

    waiting.send_signal(signal.SIGINT)
    words = waiting.stderr.read()
    waiting.stdin.close()
    waiting.stderr.close()

    assert waiting.wait() == 130
    assert "Traceback" not in words


@pytest.mark.parametrize("arguments", [["config", "explain"], ["config", "explain", "--json"]], ids=["text", "json"])
def test_reader_who_goes_away_is_no_trouble(arguments: list[str]) -> None:
    """A closed pipe (`| head -0`) ends a command without words."""
    read_end, write_end = os.pipe()
    os.close(read_end)

    outcome = subprocess.run([*PROGRAM, *arguments], stdout=write_end, stderr=subprocess.PIPE, check=False)
    os.close(write_end)

    assert outcome.returncode == 1
    assert outcome.stderr == b""


def test_terminal_without_unicode_is_no_trouble(run: Run, there: dict[str, str]) -> None:
    """Bars and names that a stream's charset lacks are shown escaped, not a crash."""
    outcome = run(
        "links", "create", "https://www.example.com/", "-c", "Ölmühle 日本", PYTHONIOENCODING="ascii", **there
    )
    listed = run("report", "Ölmühle 日本", PYTHONIOENCODING="ascii", **there)

    assert (outcome.returncode, listed.returncode) == (0, 0), listed.stderr
    assert "\\xd6lm\\xfchle" in listed.stdout


def commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Every command with its path."""
    found = [(path, group)]
    for name, below in getattr(group, "commands", {}).items():
        found += commands(below, (*path, name))
    return found


COMMANDS = commands(typer.main.get_command(app))


def test_all_commands_of_the_contract_are_there() -> None:
    """The commands that the design promises exist."""
    names = {" ".join(path) for path, _ in COMMANDS}

    assert names >= {
        "serve", "run redirect", "run api", "run worker", "demo", "keys create", "links create", "rewrite", "report",
        "topics", "doctor", "config explain",
    }  # fmt: skip


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS], ids=lambda path: " ".join(path) or "redirector")
def test_help_describes_everything(command: Command, path: tuple[str, ...]) -> None:
    """Every command says what it does, and every option that is shown what it is for."""
    (found,) = (found for at, found in COMMANDS if at == path)
    outcome = command(*path, "--help")

    assert outcome.code == 0
    assert found.help
    assert [each.name for each in found.params if not getattr(each, "hidden", False) and not each.help] == []
    assert "default: (" not in outcome.text
    assert all(name in outcome.text for each in found.params if not each.hidden for name in each.opts if "-" in name)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown(command: Command, shell: str) -> None:
    """The script for a shell's completion is there, for the program's own name."""
    outcome = command("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")

    assert outcome.code == 0
    assert "_REDIRECTOR_COMPLETE" in outcome.text
