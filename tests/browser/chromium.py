"""Debian's Chromium without a window, driven over its DevTools pipe.

The protocol: https://chromedevtools.github.io/devtools-protocol/. One JSON message after another, each ended by a NUL;
the browser reads them from its descriptor 3 and writes to 4 (`--remote-debugging-pipe`).
"""

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from tests.conftest import needed, short_directory

PATIENCE_SECONDS: Final = 30.0

# It asks nobody for anything: names of hosts lead nowhere.
FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """A browser that runs; `reading` and `writing` are the ends of its pipe."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        self._received = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def ask(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """The answer to a command; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        os.write(self._writing, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def await_event(self, method: str, session: str) -> dict[str, Any]:
        """The next event of this kind, which is then gone from `events`."""
        while True:
            for event in self.events:
                if event.get("method") == method and event.get("sessionId") == session:
                    self.events.remove(event)
                    found: dict[str, Any] = event["params"]
                    return found
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._reading], [], [], max(0, deadline - time.monotonic()))
            assert ready, "the browser says nothing"
            received = os.read(self._reading, 1_048_576)
            assert received, "the browser has ended"
            self._received += received
        message, _, self._received = self._received.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


class Tab:
    """A page of its own, which remembers what it asked for, and what it complained of."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        context = browser.ask("Target.createBrowserContext")["browserContextId"]
        target = browser.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        self._session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command about this page."""
        return self._browser.ask(method, self._session, **parameters)

    def open(self, url: str) -> None:
        """Goes to an address, and returns when the page was loaded."""
        self.ask("Page.navigate", url=url)
        self.loaded()

    def loaded(self) -> None:
        """Returns when the page that is on its way was loaded."""
        self._browser.await_event("Page.loadEventFired", self._session)

    def run(self, script: str) -> Any:
        """What a script of ours, which no policy of the page concerns, comes to."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """A key on the keyboard, by its name and its number."""
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": "\r"} if key == "Enter" else {}))
        self.ask("Input.dispatchKeyEvent", type="keyUp", **common)

    def sized(self, width: int, height: int = 800) -> None:
        """The window in CSS pixels."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, scheme: str) -> None:
        """The reader prefers `light` or `dark`."""
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def heard(self, *methods: str) -> list[dict[str, Any]]:
        """The events of these kinds so far."""
        self.run("0")  # whatever came before the answer has arrived
        return [
            event["params"]
            for event in self._browser.events
            if event.get("sessionId") == self._session and event["method"] in methods
        ]

    @property
    def complaints(self) -> list[str]:
        """What stands in the browser's console: errors, warnings, and violations of the page's policy."""
        methods = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [json.dumps(event) for event in self.heard(*methods)]

    @property
    def requests(self) -> list[str]:
        """Every address that the page asked for."""
        return [event["request"]["url"] for event in self.heard("Network.requestWillBeSent")]

    @property
    def cookies(self) -> list[dict[str, Any]]:
        """Every cookie that the browser has for the page."""
        found: list[dict[str, Any]] = self.ask("Network.getCookies")["cookies"]
        return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with a fresh profile for as long as the block lasts."""
    program = needed("chromium")
    with short_directory() as profile:
        to_browser, writing = os.pipe()
        reading, from_browser = os.pipe()
        # The shell puts the pipes where the browser looks for them, which `subprocess` cannot. The browser gives way to
        # others: tests beside it measure how long readers wait.
        command = f'exec nice "$@" 3<&{to_browser} 4>&{from_browser}'
        with (profile / "log").open("w") as log:
            process = subprocess.Popen(
                [needed("bash"), "-c", command, "bash", program, *FLAGS, f"--user-data-dir={profile / 'profile'}"],
                pass_fds=(to_browser, from_browser),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        os.close(to_browser)
        os.close(from_browser)
        try:
            yield Browser(reading, writing)
        finally:
            os.close(writing)  # it ends when nobody can tell it anything any more
            os.close(reading)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()
