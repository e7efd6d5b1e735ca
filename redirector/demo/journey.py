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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Final

import httpx

from redirector.client import Client
from redirector.demo.crowd import Visit, visits
from redirector.errors import DataDirectoryInUse, ServerUnavailable
from redirector.installation import Running, running_in
from redirector.settings import without_settings
from redirector.store.embedded import owner_of
from redirector.store.leash import leashed
from redirector.wire import FiguresOut, ReportOut, RewriteOut, TopicsOut

CAMPAIGN: Final = "Lakeshore Energy News, November"
MAILS_SENT: Final = 1_200
CLICKS: Final = 400
AT_ONCE: Final = 16
TRIES: Final = 20
TRY_AGAIN_AFTER_SECONDS: Final = 0.5
READY_WITHIN_SECONDS: Final = 60.0
COUNTED_WITHIN_SECONDS: Final = 15.0

# Long enough for the rules that look at 2 s around a click; a server that is told nothing holds clicks for 30 s.
HOLD_MS: Final = 2_500


@dataclass(frozen=True, slots=True)
class Journey:
    """What the demo did and what came of it. `answer` is the head of a further answer, that to a GET of `tracked`.

    `without_topic` are the clicks by class on links that name no topic: they stand in no row of `topics`.
    """

    rewritten: RewriteOut
    sent: Counter[str]
    statuses: Counter[int]
    topics: TopicsOut
    without_topic: Mapping[str, int]
    report: ReportOut
    tracked: str
    answer: str

    @property
    def adds_up(self) -> bool:
        """Whether every click that was sent was answered with a redirect, and counted."""
        sent = self.sent.total()
        return self.statuses == {302: sent} and _all(self.topics) == sent


def newsletter() -> bytes:
    """The mail that the demo rewrites: a fictitious utility's newsletter, with the traps that real ones contain."""
    return files("redirector.demo").joinpath("lakeshore-energy-news.html").read_bytes()


@contextmanager
def data_directory(given: Path | None) -> Iterator[Path]:
    """The directory that was given, or else a fresh one that is removed afterwards."""
    if given is not None:
        yield given.expanduser().absolute()
        return
    with tempfile.TemporaryDirectory(prefix="redirector-demo-", ignore_cleanup_errors=True) as fresh:
        yield Path(fresh)


@contextmanager
def served(data_dir: Path, variables: Mapping[str, str] = MappingProxyType({})) -> Iterator[Running]:
    """A real server over the directory, as its own processes, for as long as the block lasts.

    `variables` are settings of it beside its own, as in the environment.
    """
    # On a machine that is busy with other things, 50 ms can be too short; here no reader is waiting. And a batch of
    # clicks whose way to the counters was interrupted need not wait for 15 s: there is only one counter.
    environment = without_settings(os.environ) | {
        "REDIRECTOR_RECORD_DEADLINE_MS": "10000",
        "REDIRECTOR_COUNT_CLAIM_AFTER_MS": "2000",
        "REDIRECTOR_COUNT_HOLD_MS": str(HOLD_MS),
        "REDIRECTOR_TRUSTED_PROXIES": "127.0.0.0/8",  # the crowd comes through a proxy that the demo plays
        **variables,
    }
    command = (sys.executable, "-m", "redirector.cli.main", "serve", "--data-dir", str(data_dir))
    log = data_dir / "serve.log"
    owner = owner_of(data_dir)
    if owner is not None:  # or its log would be overwritten
        raise DataDirectoryInUse(
            f"the data directory is in use by process {owner or 'unknown'}",
            field="--data-dir",
            part=str(data_dir),
            remedy="stop that process, or leave the flag out for a fresh directory",
        )
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        sent = sum((Counter({visit.persona.name: len(visit.urls)}) for visit in crowd), Counter())
        before = client.topics()  # not empty when the data directory has seen clicks before
        without_before = _without_topic(client.report(CAMPAIGN))
        statuses = asyncio.run(_click(crowd, progress))
        topics = since(before, _when_counted(client, _all(before) + clicks))
        report = client.report(CAMPAIGN)
        without_topic = _more(without_before, _without_topic(report))
        answer = _answer(urls[0])
        _when_counted(client, _all(before) + clicks + 1)  # or this one would be among the clicks of the next demo
        return Journey(rewritten, sent, statuses, topics, without_topic, report, urls[0], answer)


def since(before: TopicsOut, now: TopicsOut) -> TopicsOut:
    """The clicks by class that came after `before`; different people cannot be told apart from those of before."""
    known = {topic.topic: topic.clicks for topic in before.topics}
    topics = []
    for topic in now.topics:
        clicks = _more(known.get(topic.topic, {}), topic.clicks)
        topics.append(topic.model_copy(update={"clicks": clicks, "figures": FiguresOut.of(clicks)}))
    clicks = _more(before.clicks, now.clicks)
    return TopicsOut(topics=topics, clicks=clicks, figures=FiguresOut.of(clicks))


def _without_topic(report: ReportOut) -> Counter[str]:
    """The clicks by class on links that name no topic."""
    clicks: Counter[str] = Counter()
    for link in report.links:
        clicks.update({} if link.topics else link.clicks)
    return clicks


def _more(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    return {class_: more for class_, clicks in now.items() if (more := clicks - before.get(class_, 0))}


def _all(topics: TopicsOut) -> int:
    return sum(topics.clicks.values())


async def _click(crowd: Sequence[Visit], progress: Callable[[int], None]) -> Counter[int]:
    """Makes the visits, some at a time, as a proxy passes them on; returns how often each status came back."""
    statuses: Counter[int] = Counter()
    waiting = iter(crowd)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as proxy:
        # A visit's clicks must not be torn apart by one that has to be made again.
        await asyncio.gather(*(_until_known(proxy, url) for url in {url for visit in crowd for url in visit.urls}))

        async def visit_each() -> None:
            for visit in waiting:
                headers = {**visit.persona.headers, "x-forwarded-for": visit.address}
                requests = (proxy.request(visit.persona.method, url, headers=headers) for url in visit.urls)
                statuses.update([answer.status_code for answer in await asyncio.gather(*requests)])
                progress(statuses.total())

        await asyncio.gather(*(visit_each() for _ in range(AT_ONCE)))
    return statuses


async def _until_known(proxy: httpx.AsyncClient, url: str) -> None:
    """Asks for a link's untracked twin, which records nothing: on a busy machine it may not be known for a moment."""
    for _ in range(TRIES):
        response = await proxy.get(url.replace("/c/", "/d/"))
        if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        await asyncio.sleep(TRY_AGAIN_AFTER_SECONDS)


def _answer(url: str) -> str:
    """The head of a real answer, as curl -i shows it."""
    with httpx.Client(trust_env=False) as browser:
        response = browser.get(url, headers={"user-agent": "curl/8"})
    lines = [f"HTTP/1.1 {response.status_code} {response.reason_phrase}"]
    return "\n".join([*lines, *(f"{name}: {value}" for name, value in response.headers.items())])


def _when_counted(client: Client, clicks: int) -> TopicsOut:
    """The topics once so many clicks were counted, or after some seconds as they are."""
    deadline = time.monotonic() + COUNTED_WITHIN_SECONDS
    while True:
        topics = client.topics()
        if _all(topics) >= clicks or time.monotonic() > deadline:
            return topics
        time.sleep(0.05)
