"""Readers who click, each tracked URL once, and who know what they were answered, and when."""

import http.client
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Self

from tests.processes import FIREFOX

GIVE_UP_SECONDS = 60.0


@dataclass(slots=True)
class Answers:
    """What a crowd was answered: by path, the status, where it leads, and how long it took in seconds."""

    answered: dict[str, tuple[int, str]] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    slowest_seconds: float = 0.0


class Load:
    """So many readers, who click on paths of one server until they are told to stop."""

    def __init__(self, netloc: str, paths: deque[str], readers: int = 4) -> None:
        self._netloc = netloc
        self._paths = paths
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._read, daemon=True) for _ in range(readers)]
        self.answers = Answers()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(GIVE_UP_SECONDS + 5)
        assert not any(thread.is_alive() for thread in self._threads), "a reader still waits"

    def _read(self) -> None:
        browser: http.client.HTTPConnection | None = None
        while not self._stop.is_set():
            with self._lock:
                path = self._paths.popleft()
            try:
                browser = browser or http.client.HTTPConnection(self._netloc, timeout=GIVE_UP_SECONDS)
                self._click(browser, path)
            except (OSError, http.client.HTTPException):
                with self._lock:
                    self.answers.unanswered.add(path)
                if browser:
                    browser.close()
                browser = None
                time.sleep(0.02)
        if browser:
            browser.close()

    def _click(self, browser: http.client.HTTPConnection, path: str) -> None:
        began = time.monotonic()
        browser.request("GET", path, headers={"User-Agent": FIREFOX})
        response = browser.getresponse()
        response.read()
        took = time.monotonic() - began
        with self._lock:
            self.answers.answered[path] = (response.status, response.headers.get("location", ""))
            self.answers.slowest_seconds = max(self.answers.slowest_seconds, took)
