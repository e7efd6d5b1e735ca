"""Keeps a process running: started again when it ends, and stopped in order when it is no longer wanted."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from redirector.errors import ServerError
from redirector.store.leash import leashed

# A process that ends with this code would end so again: its settings are wrong.
WRONG_SETTINGS: Final = 2

FIRST_PAUSE_SECONDS: Final = 0.1
LAST_PAUSE_SECONDS: Final = 5.0
LIVED_LONG_SECONDS: Final = 10.0
STOP_WITHIN_SECONDS: Final = 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: an absolute path with its arguments, the environment, and descriptors to hand down.

    Asked to stop, it has `stop_within_seconds` before it is killed.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    handed_down: Sequence[int] = ()
    stop_within_seconds: float = STOP_WITHIN_SECONDS


async def keep_running(program: Program, when_ended: Callable[[], None]) -> None:
    """Runs the program, and again whenever it ends, until cancelled; then stops it and waits for its end.

    `when_ended` is called after each end. Raises ServerError when it would only end again.
    """
    pause = FIRST_PAUSE_SECONDS / 2
    while True:
        began = time.monotonic()
        try:
            async with _running(program) as process:
                code = await process.wait()
        except OSError as error:  # no memory, no room for one more process, the program being replaced by a newer one
            log.error("the %s process cannot be started now: %s", program.name, error)
        else:
            when_ended()
            if code == WRONG_SETTINGS:
                raise ServerError(f"the {program.name} process cannot run like this", remedy="its message says why")
            log.warning("the %s process ended with code %d; it is started again", program.name, code)
        pause = pause_after(pause, lived_seconds=time.monotonic() - began)
        await asyncio.sleep(pause)


def pause_after(last_pause: float, *, lived_seconds: float) -> float:
    """How long to wait before the next start: twice as long as the last time, unless the process lived long."""
    return FIRST_PAUSE_SECONDS if lived_seconds > LIVED_LONG_SECONDS else min(2 * last_pause, LAST_PAUSE_SECONDS)


@asynccontextmanager
async def _running(program: Program) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *leashed(*program.command),
        env=dict(program.environment),
        pass_fds=tuple(program.handed_down),
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the supervisor, which stops its processes in order
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            await stop(process, program.stop_within_seconds)


async def stop(process: asyncio.subprocess.Process, within_seconds: float) -> None:
    """Asks a process to end, and makes it when it does not."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), within_seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
