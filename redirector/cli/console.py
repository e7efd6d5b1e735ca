"""How the command line speaks: results on stdout, words on stderr, errors as one instruction."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO

from pydantic import BaseModel
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from redirector.cli import logs
from redirector.errors import InvalidInput, RedirectorError

FAILED: Final = 1
WRONG_INPUT: Final = 2

BAR_CELLS: Final = 24

# A pipe has no width: what reads it wants whole lines.
_PIPE_WIDTH: Final = 10_000

log = logging.getLogger(__name__)


def results() -> Console:
    """Where results go."""
    return _console(sys.stdout)


def words() -> Console:
    """Where everything else goes."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    return Console(file=stream, width=None if stream.isatty() else _PIPE_WIDTH, highlight=False)


def say(sentence: str) -> None:
    """A sentence for the person at the terminal; where the log is JSON, a line of it."""
    if logs.is_json():
        log.info(sentence)
    else:
        words().print(Text(sentence))


def print_json(value: BaseModel | list[Any] | dict[str, Any]) -> None:
    """A result for a program: one JSON value."""
    if isinstance(value, BaseModel):
        sys.stdout.write(value.model_dump_json(indent=2) + "\n")
    else:
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def table(*columns: str, title: str | None = None, numbers: tuple[str, ...] = (), whole: tuple[str, ...] = ()) -> Table:
    """A table: columns named in `numbers` are aligned to the right, those in `whole` never folded, "" holds bars."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(
            column,
            justify="right" if column in numbers else "left",
            overflow="fold",
            no_wrap=column in numbers or column in whole,
            max_width=None if column else BAR_CELLS,
        )
    return made


@contextmanager
def progress(what: str) -> Iterator[Any]:
    """A bar on a terminal, and nothing elsewhere; gives what takes its changes."""
    with Progress(console=words(), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda **changes: bar.update(task, **changes)


def fail(error: RedirectorError) -> int:
    """Says what is wrong and what to do; returns the exit code."""
    speak = words()
    for each in (error, *error.others):
        if logs.is_json():
            log.critical(str(each))
            continue
        where = f"{each.field}: " if each.field else ""
        part = f" ({each.part!r})" if each.part else ""
        speak.print(Text.assemble(("error: ", "bold red"), f"{where}{each.detail}{part}"))
        if each.remedy:
            speak.print(Text.assemble(("  try: ", "bold"), each.remedy))
    return WRONG_INPUT if isinstance(error, InvalidInput) else FAILED
