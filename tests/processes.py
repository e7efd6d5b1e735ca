"""The program as its users run it: separate processes, started, killed and looked at from outside."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Self
from urllib.parse import urlsplit

from redirector.installation import Running, running_in
from redirector.settings import without_settings

PATIENCE_SECONDS = 60.0
CLICKS_A_CONNECTION = 50
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
BROWSER = MappingProxyType({"User-Agent": FIREFOX, "Accept-Language": "en"})


@contextmanager
def serving(
    data_dir: Path,
    *arguments: str,
    variables: Mapping[str, str] = MappingProxyType({}),
    log: IO[str] | None = None,
    **settings: Any,
) -> Iterator[Running]:
    """`redirector serve` over the directory, ready, with settings by name; ended by SIGTERM if it still runs.

    What it says goes to `log`, or where this process's own messages go. Clicks are counted at once, unless a setting
    says how long they are held.
    """
    with starting(data_dir, *arguments, variables=variables, log=log, **settings) as process:
        yield when_ready(process, data_dir)


@contextmanager
def starting(
    data_dir: Path,
    *arguments: str,
    variables: Mapping[str, str] = MappingProxyType({}),
    log: IO[str] | None = None,
    **settings: Any,
) -> Iterator["subprocess.Popen[bytes]"]:
    """The same as soon as it was started."""
    named = {f"REDIRECTOR_{name.upper()}": str(value) for name, value in ({"count_hold_ms": 0} | settings).items()}
    environment = without_settings(os.environ) | dict(variables) | named
    command = [sys.executable, "-m", "redirector.cli.main", "serve", "--data-dir", str(data_dir)]
    process = subprocess.Popen(
        [*command, "--public-port", "0", "--internal-port", "0", *arguments],
        env=environment,
        start_new_session=True,
        stderr=log,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


def when_ready(process: "subprocess.Popen[bytes]", data_dir: Path) -> Running:
    """Where the server is; fails when it ends, or is not ready for long."""
    eventually(lambda: process.poll() is not None or (_running(data_dir, process.pid) is not None))
    running = _running(data_dir, process.pid)
    assert running is not None, f"serve ended with {process.poll()}"
    return running


def _running(data_dir: Path, pid: int) -> Running | None:
    running = running_in(data_dir)
    return running if running and running.pid == pid else None


def eventually(condition: Callable[[], bool], within_seconds: float = PATIENCE_SECONDS) -> None:
    """Waits until the condition holds; fails when that takes too long."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def descendants(pid: int) -> dict[int, str]:
    """The processes below this one, each with its command line."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: dict[int, str] = {}
    waiting = list(children.get(pid, []))
    while waiting:
        child = waiting.pop()
        found[child] = command_line(child)
        waiting += children.get(child, [])
    return found


def command_line(pid: int) -> str:
    """A process's command line; "" when it is gone, or only waits to be collected."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def is_gone(pid: int) -> bool:
    """Whether the process has ended."""
    return not command_line(pid)


class Crowd:
    """Readers who click, each URL once, and who know which answers they got, and how long the slowest one took.

    Each takes a new connection now and then, as other people would. One whose server is dead goes away; `patient`
    ones come back with the next URL.
    """

    def __init__(
        self,
        urls: Iterable[str],
        readers: int = 8,
        *,
        patient: bool = False,
        clicks_a_connection: int = CLICKS_A_CONNECTION,
    ) -> None:
        self._waiting = iter(urls)
        self._clicks_a_connection = clicks_a_connection
        self._patient = patient
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._read, daemon=True) for _ in range(readers)]
        self.answered: dict[str, tuple[int, str]] = {}  # by URL, the status and where it leads
        self.unanswered: set[str] = set()
        self.slowest_seconds = 0.0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.finish()

    def finish(self) -> None:
        """Waits until every reader has no URL left, or no server."""
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS + 5)
        assert not any(thread.is_alive() for thread in self._threads), "a reader still waits"

    def _read(self) -> None:
        browser: http.client.HTTPConnection | None = None
        clicks = 0
        while not self._stop.is_set() and (url := self._next()):
            if browser and clicks % self._clicks_a_connection == 0:
                browser.close()
                browser = None
            clicks += 1
            try:
                browser = browser or http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_SECONDS)
                self._click(browser, url)
            except (OSError, http.client.HTTPException):  # the server is dead
                self.unanswered.add(url)
                if browser:
                    browser.close()
                browser = None
                if not self._patient:
                    return
                time.sleep(0.02)
        if browser:
            browser.close()

    def _next(self) -> str | None:
        with self._lock:
            return next(self._waiting, None)

    def _click(self, browser: http.client.HTTPConnection, url: str) -> None:
        began = time.monotonic()
        browser.request("GET", url[url.index("/", len("http://")) :], headers=dict(BROWSER))
        response = browser.getresponse()
        response.read()
        took = time.monotonic() - began
        with self._lock:
            self.answered[url] = (response.status, response.headers.get("location", ""))
            self.slowest_seconds = max(self.slowest_seconds, took)
