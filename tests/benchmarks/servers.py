"""`python -m tests.benchmarks.servers`: HTTP servers under a bare application that answers 302, to choose among them.

CPU by request in turns, when a head that stalls is closed, and memory over minutes of load. granian is not one of the
program's packages: whoever wants it here installs it beside them.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any, Final

import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from redirector.web.server import listening, serving
from redirector.web.short_way import SendHead
from tests.benchmarks.figures import Figures
from tests.benchmarks.load import load
from tests.benchmarks.measured import cpu_seconds, memory_mb, tree
from tests.ports import held_port, is_listening
from tests.processes import eventually

LOCATION: Final = "https://www.example.com/offer?a=1&b=2"
HEAD: Final = f"HTTP/1.1 302 Found\r\nlocation: {LOCATION}\r\ncontent-length: 0\r\n".encode()
ROUNDS: Final = 5
ROUND_SECONDS: Final = 2
TRICKLE_SECONDS: Final = 1.0
STALLED_AT_MOST_SECONDS: Final = 60.0
ME: Final = "tests.benchmarks.servers"
GRANIAN: Final = ("granian", "--host", "127.0.0.1", "--workers", "1", "--loop", "uvloop", "--no-access-log")

# Each command without its port, which comes last.
SERVERS: Final = {
    "this program's": (ME, "--serve"),
    "this program's, its short way": (ME, "--short", "--serve"),
    "uvicorn": ("uvicorn", f"{ME}:app", "--no-access-log", "--log-level", "error", "--lifespan", "off", "--port"),
    "granian, ASGI": (*GRANIAN, "--interface", "asginl", f"{ME}:app", "--port"),
    "granian, its own interface": (*GRANIAN, "--interface", "rsgi", f"{ME}:rsgi", "--port"),
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers 302, whatever is asked."""
    headers = [(b"location", LOCATION.encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 302, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


class Short:
    """The same by the short way of this program's server."""

    def take(self, _: Scope, send_head: SendHead) -> bool:
        """Takes whatever is asked."""
        asyncio.get_running_loop().call_soon(send_head, HEAD)
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What cannot be taken."""
        await app(scope, receive, send)


async def rsgi(scope: object, protocol: Any) -> None:
    """The same for granian's own interface."""
    protocol.response_empty(302, [("location", LOCATION)])


def main() -> None:
    """Measures, prints a table, and everything as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="how long the memory is watched, of all together")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--short", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(Short() if arguments.short else app, arguments.serve))
        return
    names = [name for name in SERVERS if find_spec(SERVERS[name][0].partition(".")[0])]
    if len(names) < len(SERVERS):
        sys.stderr.write("granian is not measured: to have it, run `pip install granian` in the virtual environment\n")
    with ExitStack() as stack:
        paths = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "paths"
        paths.write_text("/c/3Yb9\n", encoding="ascii")
        running = {name: stack.enter_context(_server(SERVERS[name])) for name in names}
        _measure(running, paths, arguments.minutes)


def _measure(running: dict[str, tuple[str, int]], paths: Path, minutes: float) -> None:
    figures = Figures()
    cpu: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(ROUNDS):
        for name, (url, pid) in running.items():
            cpu[name].append(_cpu_us(url, pid, paths))
    closed = {name: _closed_after(url) for name, (url, _) in running.items()}
    memory = {name: [memory_mb(tree(pid))] for name, (_, pid) in running.items()}
    ends = time.monotonic() + 60 * minutes
    while time.monotonic() < ends:
        for name, (url, pid) in running.items():
            load(url, paths, seconds=ROUND_SECONDS, connections=16)
            memory[name].append(memory_mb(tree(pid)))
    rows = {
        name: [median(cpu[name]), closed[name], grown[0], grown[len(grown) // 10], grown[-1]]
        for name, grown in memory.items()
    }
    figures.table(
        f"A bare 302: medians of {ROUNDS} rounds; memory before and within {minutes:g} minutes of load",
        ("", "CPU us", "a stalled head is closed after s", "MB before", "MB after a tenth", "MB at the end"),
        rows,
    )
    numbers = {name: [value if isfinite(value) else None for value in row] for name, row in rows.items()}
    sys.stdout.write(json.dumps(numbers) + "\n")


def _cpu_us(url: str, pid: int, paths: Path) -> float:
    before = cpu_seconds(tree(pid))
    seen = load(url, paths, seconds=ROUND_SECONDS)
    return (cpu_seconds(tree(pid)) - before) / seen.requests * 1e6


def _closed_after(url: str) -> float:
    """When a server closes a connection on which a head comes byte by byte and never ends; infinite if it does not."""
    host, _, port = url.removeprefix("http://").partition(":")
    began = time.monotonic()
    with socket.create_connection((host, int(port))) as stalled:
        stalled.sendall(b"GET /c/3Yb9 HTTP/1.1\r\nhost: localhost\r\nx-slow: ")
        stalled.settimeout(TRICKLE_SECONDS)
        while time.monotonic() - began < STALLED_AT_MOST_SECONDS:
            try:
                stalled.sendall(b"a")
                if stalled.recv(1_000) == b"":
                    return time.monotonic() - began
            except TimeoutError:
                continue
            except OSError:
                return time.monotonic() - began
    return float("inf")


@contextmanager
def _server(command: Sequence[str]) -> Iterator[tuple[str, int]]:
    """A server with one worker on a free port; yields its URL and process id."""
    with held_port() as port:
        process = subprocess.Popen([sys.executable, "-m", *command, str(port)], start_new_session=True)
        try:
            eventually(lambda: is_listening(port))
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


async def _serve(app: ASGIApp, port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with listening("public", "127.0.0.1", port) as listener:
        async with serving(app, listener):
            await stop.wait()


if __name__ == "__main__":
    main()
