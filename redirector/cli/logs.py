"""Log lines: one a message, whatever it holds, as text for people or as JSON for programs."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

# What ends a line, or steers a terminal. Tabs and letters of every script stay.
_STEERING: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(9), *range(10, 32), *range(127, 160))},
    **{code: f"\\u{code:04x}" for code in (0x2028, 0x2029)},
}


class TextLines(logging.Formatter):
    """2026-11-23 12:00:00,000 WARNING redirector.record: clicks go to the disk ...; a traceback takes more lines."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name and type
        """The traceback, each line of it indented: an exception's words may come from anybody, and make no line."""
        return "\n".join("    " + line.translate(_STEERING) for line in super().formatException(ei).split("\n"))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line, with what steers a terminal made visible."""
        return super().formatMessage(record).translate(_STEERING)


class JSONLines(logging.Formatter):
    """An object a line with `time` (UTC), `level`, `logger`, `pid`, `message`, and perhaps `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


_handler: Final = logging.StreamHandler()


def log_to_stderr() -> None:
    """Sends log lines to stderr, as text until `write_as` says otherwise."""
    _handler.stream = sys.stderr  # not by its method, which flushes the one before, closed or not
    write_as("text")
    logging.basicConfig(handlers=[_handler])


def write_as(form: str) -> None:
    """From now on, lines are `text` or `json`."""
    _handler.setFormatter(JSONLines() if form == "json" else TextLines())


def is_json() -> bool:
    """Whether lines are JSON."""
    return isinstance(_handler.formatter, JSONLines)
