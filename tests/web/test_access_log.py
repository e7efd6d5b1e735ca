"""Which requests the access log tells of: those that fail, and no click."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from redirector.access_log import AccessLog
from redirector.facts import NOWHERE
from redirector.store.keys import Keys
from tests.web.ports import Clock, PublicPort, public_port
from tests.web.sockets import exchange, request

HOUR_MS = 3_600_000
SENDER = "127.3.2.1"


class Logged:
    """A public port whose access log tells every address."""

    def __init__(self, port: PublicPort, log: AccessLog, directory: Path) -> None:
        self.port = port
        self._log = log
        self._directory = directory

    async def ask(self, method: str, path: str, *headers: tuple[str, str]) -> list[str]:
        """What the log has after this request and its hour."""
        await exchange(self.port.address, request(method, path, headers), sender=SENDER)
        self.port.clock.now += HOUR_MS
        await self._log.keep()
        files = sorted(self._directory.glob("redirect-0/access/*.log"))
        return [line for file in files for line in file.read_text().splitlines()]


@pytest.fixture
async def logged(store_url: str, keys: Keys, tmp_path: Path) -> AsyncIterator[Logged]:
    """A port with a log of its own."""
    clock = Clock()
    log = AccessLog(tmp_path / "redirect-0", days=1, least=1, network=lambda _: NOWHERE, clock=clock, random=Random(1))
    async with public_port(store_url, keys, access_log=log, clock=clock) as port:
        yield Logged(await port.for_a_test(), log, tmp_path)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/c/unknown", 404, id="unknown code"),
        pytest.param("POST", "/c/{code}", 405, id="method that links do not have"),
        pytest.param("GET", "/c/{gone}", 410, id="link that is disabled"),
        pytest.param("GET", "/d/unknown", 404, id="unknown code of a twin"),
        pytest.param("GET", "/wp-login.php", 404, id="another path"),
        pytest.param("DELETE", "/robots.txt", 405, id="method that pages do not have"),
    ],
)
async def test_request_that_fails_is_told(logged: Logged, method: str, path: str, status: int) -> None:
    """Its hour, its status and its address: no path, no code, no moment."""
    code, gone = (
        logged.port.code(await logged.port.link()),
        logged.port.code(await logged.port.link("https://www.example.com/gone", disabled=True)),
    )
    lines = await logged.ask(method, path.format(code=code, gone=gone))

    assert lines == ["2026-11-23T12 requests 1", f"2026-11-23T12 {status} {SENDER}"]
    assert await logged.port.clicks() == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/c/{code}", "/d/{code}", "/privacy/{code}", "/robots.txt"])
async def test_request_that_succeeds_is_not_told(logged: Logged, method: str, path: str) -> None:
    """A click is on the stream and nowhere else; of its twin, and of looking at a page, nothing is recorded at all."""
    code = logged.port.code(await logged.port.link())

    assert not any(SENDER in line for line in await logged.ask(method, path.format(code=code)))
    assert len(await logged.port.clicks()) == path.startswith("/c/")


@pytest.mark.parametrize("header", ["Sec-GPC", "DNT"])
async def test_who_objects_is_only_counted(logged: Logged, header: str) -> None:
    """A request with GPC or DNT leaves no address."""
    assert await logged.ask("GET", "/c/unknown", (header, "1")) == ["2026-11-23T12 requests 1"]


async def test_click_that_fails_is_told(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw is what such a log is for."""
    code = logged.port.code(await logged.port.link())

    def fail(_: int) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(logged.port.replica, "known", fail)

    assert (await logged.ask("GET", f"/c/{code}"))[1:] == [f"2026-11-23T12 500 {SENDER}"]
