"""The demo, step by step: serve, rewrite, click, count, and show."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Final

import httpx

from redirector.client import Client
from redirector.demo.crowd import Visit, visits
from redirector.errors import ServerUnavailable
from redirector.installation import Running, running_in
from redirector.settings import without_settings
from redirector.store.leash import leashed
from redirector.wire import ReportOut, RewriteOut, TopicsOut

CAMPAIGN: Final = "Lakeshore Energy News, November"
MAILS_SENT: Final = 1_200
CLICKS: Final = 400
AT_ONCE: Final = 16
READY_WITHIN_SECONDS: Final = 60.0
COUNTED_WITHIN_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Journey:
    """What the demo did and what came of it."""

    rewritten: RewriteOut
    sent: Counter[str]
    statuses: Counter[int]
    topics: TopicsOut
    report: ReportOut

    @property
    def adds_up(self) -> bool:
        """Whether every click that was sent was answered with a redirect, and counted."""
        sent = self.sent.total()
        return self.statuses == {302: sent} and sum(self.topics.clicks.values()) == sent


def newsletter() -> bytes:
    """The mail that the demo rewrites: a fictitious utility's newsletter, with the traps that real ones contain."""
    return files("redirector.demo").joinpath("lakeshore-energy-news.html").read_bytes()


@contextmanager
def data_directory(given: Path | None) -> Iterator[Path]:
    """The directory that was given, or else a fresh one that is removed afterwards."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="redirector-demo-", ignore_cleanup_errors=True) as fresh:
        yield Path(fresh)


@contextmanager
def served(data_dir: Path) -> Iterator[Running]:
    """A real server over the directory, as its own processes, for as long as the block lasts."""
    # On a machine that is busy with other things, 50 ms can be too short; here no reader is waiting.
    environment = without_settings(os.environ) | {"REDIRECTOR_RECORD_DEADLINE_MS": "2000"}
    command = (sys.executable, "-m", "redirector.cli.main", "serve", "--data-dir", str(data_dir))
    log = data_dir / "serve.log"
    data_dir.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            leashed(*command, "--public-port", "0", "--internal-port", "0"),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield _when_running(process, data_dir, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        process.wait()


def _when_running(process: subprocess.Popen[bytes], data_dir: Path, log: Path) -> Running:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        running = running_in(data_dir)
        if running and running.pid == process.pid:
            return running
        time.sleep(0.02)
    words = log.read_text(encoding="utf-8", errors="replace").strip()
    raise ServerUnavailable(f"the server did not start: {words}", remedy="mend that, and try again")


def travel(running: Running, clicks: int, random: Random, progress: Callable[[int], None]) -> Journey:
    """The whole way. `progress` is told after each click how many were made."""
    with Client(running.internal_url, running.api_key) as client:
        client.create_campaign(CAMPAIGN, sent=MAILS_SENT)
        rewritten = client.explain_rewrite(newsletter(), CAMPAIGN, dry_run=False)
        urls = list(dict.fromkeys(link.url for link in rewritten.links if link.url))
        crowd = list(visits(urls, clicks, random))
        statuses = asyncio.run(_click(crowd, progress))
        topics = _when_counted(client, clicks)
        sent = Counter(visit.persona.name for visit in crowd)
        return Journey(rewritten, sent, statuses, topics, client.report(CAMPAIGN))


async def _click(crowd: Sequence[Visit], progress: Callable[[int], None]) -> Counter[int]:
    """Makes the visits, some at a time, each from its own address; returns how often each status came back."""
    statuses: Counter[int] = Counter()
    waiting = iter(crowd)
    async with AsyncExitStack() as stack:
        browsers: dict[str, httpx.AsyncClient] = {}

        async def click() -> None:
            for visit in waiting:
                if visit.address not in browsers:
                    browsers[visit.address] = await stack.enter_async_context(_browser(visit.address))
                browser, persona = browsers[visit.address], visit.persona
                response = await browser.request(persona.method, visit.url, headers=dict(persona.headers))
                statuses[response.status_code] += 1
                progress(statuses.total())

        await asyncio.gather(*(click() for _ in range(AT_ONCE)))
    return statuses


def _browser(address: str) -> httpx.AsyncClient:
    """A client that comes from one of this machine's own addresses; only Linux has more than one on loopback."""
    local = address if sys.platform == "linux" else None
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address=local, verify=False), timeout=30)


def _when_counted(client: Client, clicks: int) -> TopicsOut:
    """The topics once all clicks were counted, or after some seconds as they are."""
    deadline = time.monotonic() + COUNTED_WITHIN_SECONDS
    while True:
        topics = client.topics()
        if sum(topics.clicks.values()) >= clicks or time.monotonic() > deadline:
            return topics
        time.sleep(0.05)
