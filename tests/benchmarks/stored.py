"""What lies in the store, and what it takes to count it."""

import asyncio
import os
import secrets
import subprocess
import sys
import time
from typing import Final

from redis import Redis as SyncRedis

from redirector.clicks import Click, packed
from redirector.settings import without_settings
from redirector.store.clicks import ClickAppender
from redirector.store.keys import Keys
from tests.benchmarks.figures import Figures
from tests.benchmarks.measured import cpu_seconds
from tests.benchmarks.site import Site
from tests.builders import SECRET, a_click
from tests.processes import eventually

APPENDED_TOGETHER: Final = 64
ROWS_LINKS: Final = 30


def bytes_per_click(site: Site, figures: Figures) -> None:
    """Of the clicks that the load has just made, with everything that their stream costs."""
    key = site.keys.clicks()
    figures.add("store_clicks", float(site.store.xlen(key)))
    figures.add("store_bytes_per_click", (site.store.memory_usage(key, samples=0) or 0) / site.store.xlen(key))


def rows_of_a_mailing(site: Site, figures: Figures, recipients: int) -> None:
    """Stored links before and after a mailing with a code for each of its recipients."""
    before = site.store.hlen(site.keys.links)
    numbers = site.mint(ROWS_LINKS, "renewal-2026")
    site.paths("mailing", numbers, recipients=recipients)
    figures.add(f"store_rows_{ROWS_LINKS}_links", float(site.store.hlen(site.keys.links) - before))
    figures.add("store_rows_codes", float(ROWS_LINKS * recipients))


def fill(url: str, keys: Keys, clicks: int) -> None:
    """Appends so many clicks, as a recorder does."""
    asyncio.run(_fill(url, keys, clicks))


async def _fill(url: str, keys: Keys, clicks: int) -> None:
    appender = ClickAppender(url, keys, deadline_seconds=10)
    await appender.open()
    recorder = f"benchmark-{secrets.token_hex(4)}"  # the store takes a batch once
    batch: list[bytes] = []
    for number in range(1, clicks + 1):
        batch.append(packed(click_number(number, int(time.time() * 1000))))
        if len(batch) == APPENDED_TOGETHER or number == clicks:
            await appender.append(recorder, number, batch)
            batch = []
    await appender.close()


def click_number(number: int, now: int) -> Click:
    """A click on one of a hundred links. Of fifty, ten are a scanner's, and seven readers click twice."""
    block, place = divmod(number, 50)
    clicker = 50 * block + (0 if place < 10 else place if place < 43 else place - 33)
    return a_click(
        number, id=str(2**61 + number), at=now, link=1 + number % 100, campaign="spring-2026", topics=("solar",),
        visitor=str(2**61 + clicker), client="Firefox", os="Windows", device="desktop", lang="en",
    )  # fmt: skip


def consume(url: str, keys: Keys, clicks: int, *, hold_ms: int) -> float:
    """Clicks per CPU second of the worker role's process: a backlog, which it reads, holds, judges and counts."""
    environment = without_settings(os.environ) | {
        "REDIRECTOR_SECRET": SECRET, "REDIRECTOR_COUNT_HOLD_MS": str(hold_ms),
    }  # fmt: skip
    command = [sys.executable, "-m", "redirector.cli.main", "run", "worker", "--supervised", "--store-url", url]
    fill(url, keys, clicks)
    with SyncRedis.from_url(url) as store:
        consumers, already = _consumers(store, keys), _counted(store, keys)
        process = subprocess.Popen(command, env=environment)
        try:
            eventually(lambda: _consumers(store, keys) > consumers, 60)  # its start is not measured
            began = cpu_seconds([process.pid])
            eventually(lambda: _counted(store, keys) - already >= clicks, 600)
            return clicks / (cpu_seconds([process.pid]) - began)
        finally:
            process.terminate()
            process.wait()


def _consumers(store: SyncRedis, keys: Keys) -> int:
    groups = store.xinfo_groups(keys.clicks()) if store.exists(keys.clicks()) else []
    return sum(group["consumers"] for group in groups)


def _counted(store: SyncRedis, keys: Keys) -> int:
    return sum(map(int, store.hvals(keys.totals())))
