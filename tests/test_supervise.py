"""A supervised process: started again when it ends, stopped in order, and killed when it will not stop."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pytest

from redirector.errors import ServerError
from redirector.supervise import Program, keep_running, pause_after
from tests.processes import is_gone
from tests.store.stores import until


def a_program(code: str, *, handed_down: Sequence[int] = (), stop_within_seconds: float = 30) -> Program:
    """A Python program."""
    return Program("test", (sys.executable, "-c", code), dict(os.environ), handed_down, stop_within_seconds)


@asynccontextmanager
async def started(fifo: Path) -> AsyncIterator[tuple[int, TextIO]]:
    """The process id that a program writes into the FIFO, and what it writes after that."""
    output = await asyncio.to_thread(fifo.open)
    with output:
        yield int(await asyncio.to_thread(output.readline)), output


def speaking(fifo: Path) -> str:
    """The beginning of a program that says through the FIFO that it has started."""
    return (
        "import os, signal, sys, time\n"
        f"out = os.open({str(fifo)!r}, os.O_WRONLY)\n"
        "def say(word): os.write(out, f'{word}\\n'.encode())\n"
    )


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A named pipe."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


async def test_program_that_ends_is_started_again_after_growing_pauses(tmp_path: Path) -> None:
    """Each start is another process and waits longer than the one before; whoever asked is told of each end."""
    told = tmp_path / "told"
    code = f"import os; open({str(told)!r}, 'a').write(f'{{os.getpid()}}\\n'); raise SystemExit(1)"
    moments: list[float] = []
    enough = asyncio.Event()

    def when_ended() -> None:
        moments.append(time.monotonic())
        if len(moments) == 4:
            enough.set()

    task = asyncio.create_task(keep_running(a_program(code), when_ended))
    await enough.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert len(set(told.read_text().split()[:4])) == 4
    assert moments[1] - moments[0] >= 0.1
    assert moments[2] - moments[1] >= 0.2
    assert moments[3] - moments[2] >= 0.4


@pytest.mark.parametrize(
    ("last_pause", "lived_seconds", "pause"),
    [(0.05, 0.0, 0.1), (0.1, 0.0, 0.2), (4.0, 0.0, 5.0), (5.0, 10.0, 5.0), (5.0, 10.1, 0.1)],
    ids=["first", "doubled", "bounded", "lived 10 s", "lived longer"],
)
def test_pause_grows_until_a_process_lives_long(last_pause: float, lived_seconds: float, pause: float) -> None:
    """Pauses double up to five seconds, and begin anew after a process that lived for more than ten."""
    assert pause_after(last_pause, lived_seconds=lived_seconds) == pause


async def test_program_with_wrong_settings_is_not_started_again() -> None:
    """Exit code 2 means that it would only end again: that ends the supervision too."""
    ended: list[float] = []

    with pytest.raises(ServerError, match="the test process cannot run like this"):
        await keep_running(a_program("raise SystemExit(2)"), lambda: ended.append(time.monotonic()))

    assert len(ended) == 1


async def test_program_that_cannot_be_started_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """A system that has no room for one more process does not end the supervision."""
    impossible = replace(a_program(""), environment={"TOO_LONG": "a" * 10_000_000})
    task = asyncio.create_task(keep_running(impossible, lambda: None))

    await until(lambda: len(caplog.records) > 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert task.cancelled()
    assert "the test process cannot be started now: " in caplog.text


async def test_cancelling_stops_the_program_in_order(fifo: Path) -> None:
    """Cancelled, it asks the program to end, and waits until it has finished what it wanted to finish."""
    code = speaking(fifo) + (
        "def finish(*_): say('finished'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, finish); say(os.getpid())\nwhile True: signal.pause()"
    )
    task = asyncio.create_task(keep_running(a_program(code), lambda: None))
    async with started(fifo) as (pid, output):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert task.cancelled()
        assert is_gone(pid)
        assert output.read() == "finished\n"


async def test_program_that_will_not_stop_is_killed(fifo: Path) -> None:
    """A program that ignores the request is killed after its time."""
    code = (
        speaking(fifo) + "signal.signal(signal.SIGTERM, signal.SIG_IGN); say(os.getpid())\nwhile True: signal.pause()"
    )
    task = asyncio.create_task(keep_running(a_program(code, stop_within_seconds=0.1), lambda: None))
    async with started(fifo) as (pid, output):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert is_gone(pid)
        assert output.read() == ""


async def test_program_gets_its_descriptors_and_no_input(fifo: Path) -> None:
    """Descriptors are handed down under their own numbers, and there is nothing to read on stdin."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        code = speaking(fifo) + (
            f"say(os.getpid()); say(os.fstat({listener.fileno()}).st_ino); say(repr(sys.stdin.read()))\nsignal.pause()"
        )
        task = asyncio.create_task(keep_running(a_program(code, handed_down=[listener.fileno()]), lambda: None))
        async with started(fifo) as (_, output):
            handed_down = int(await asyncio.to_thread(output.readline))
            on_stdin = await asyncio.to_thread(output.readline)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        assert handed_down == os.fstat(listener.fileno()).st_ino
        assert on_stdin == "''\n"
