"""One line a message, whatever it holds; as JSON, every line of a server's has the same fields."""

import json
import logging
import signal
import subprocess
import sys
from pathlib import Path

from redirector.cli.logs import JSONLines, TextLines
from redirector.installation import running_in
from tests.conftest import Run
from tests.processes import eventually

FIELDS = {"time", "level", "logger", "pid", "message"}


def a_record(message: str) -> logging.LogRecord:
    """What a logger hands to a formatter."""
    return logging.LogRecord("redirector.test", logging.WARNING, __file__, 1, "%s", (message,), None)


HOSTILE = "a\r\nFAKE 2026 line\x1b[31m\x00\x9b\u2028end"


def test_text_is_one_line_without_anything_that_steers_a_terminal() -> None:
    """Whoever gets text into a log forges no line and sends no command to the terminal that shows it."""
    line = TextLines().format(a_record(HOSTILE))

    assert line.endswith("WARNING redirector.test: a\\x0d\\x0aFAKE 2026 line\\x1b[31m\\x00\\x9b\\u2028end")
    assert line.isprintable()


def test_json_is_one_line() -> None:
    """The message comes back as it was; the line itself is ASCII."""
    line = JSONLines().format(a_record(HOSTILE))

    assert line.isprintable()
    assert json.loads(line)["message"] == HOSTILE
    assert json.loads(line).keys() == FIELDS


def test_traceback_is_in_the_line() -> None:
    """What an exception brings along does not break the schema."""
    record = a_record("it failed")
    record.exc_info = (ValueError, ValueError("broken"), None)

    assert "ValueError: broken" in json.loads(JSONLines().format(record))["traceback"]


def test_traceback_forges_no_line() -> None:
    """What an exception says is indented below its line, and steers no terminal; as JSON it is in the line."""
    record = a_record("it failed")
    record.exc_info = (ValueError, ValueError(HOSTILE + "\n2026-11-23 ERROR redirector: FAKE"), None)
    first, *others = TextLines().format(record).split("\n")

    assert first.endswith("WARNING redirector.test: it failed")
    assert others
    assert all(line.startswith("    ") and line.isprintable() for line in others)
    assert JSONLines().format(record).isprintable()


def test_every_line_of_a_server_is_json(directory: Path, tmp_path: Path) -> None:
    """Of all its processes, from its start until it was told to stop; that it is ready is a line too."""
    errors = tmp_path / "stderr"
    command = [sys.executable, "-m", "redirector.cli.main", "serve", "--data-dir", str(directory)]
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [*command, "--public-port", "0", "--internal-port", "0"],
            stderr=stderr,
            env={"REDIRECTOR_LOG_FORMAT": "json", "REDIRECTOR_LOG_LEVEL": "debug", "PATH": "/usr/bin:/bin"},
        )
        eventually(lambda: process.poll() is not None or running_in(directory) is not None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

    lines = [json.loads(line) for line in errors.read_text().splitlines()]
    assert all(line.keys() == FIELDS for line in lines)
    assert any(line["message"].startswith("Redirects: http://") for line in lines)


def test_last_words_are_json_too(run: Run) -> None:
    """What ended the program stands in the log where programs read it."""
    outcome = run("run", "worker", REDIRECTOR_LOG_FORMAT="json")

    (line,) = map(json.loads, outcome.stderr.splitlines())
    assert (outcome.returncode, line["level"]) == (2, "critical")
    assert "--store-url" in line["message"]
