"""The worker role: what counts clicks, and sees that nothing is kept for longer than it may be."""

import asyncio
import gc
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from platform import node
from socket import socket
from typing import Final

from redis.asyncio import Redis

from redirector import gateways, metrics
from redirector.classify import RULES_VERSION
from redirector.count import COUNTING_GROUP, Tally
from redirector.erase import Eraser
from redirector.errors import StoreError
from redirector.judged_by import JudgedBy
from redirector.judging import Judging, Mails
from redirector.repeat import repeating
from redirector.roles.from_settings import DAY_SECONDS, expect_time_to_judge
from redirector.roles.process import asked_to_stop, measured
from redirector.rules import JUDGES
from redirector.settings import Settings
from redirector.store import ages
from redirector.store.audit import Audit
from redirector.store.campaigns import Campaigns
from redirector.store.clicks import ClickStream
from redirector.store.connection import connected
from redirector.store.counters import Counters
from redirector.store.judged_by import note
from redirector.store.keys import Keys
from redirector.store.links import Links
from redirector.store.people import OptOutRetention, People
from redirector.store.retention import Retention
from redirector.store.salts import KEPT_SECONDS
from redirector.web.internal import monitoring_app
from redirector.web.server import serving
from redirector.worker import Worker

SHOWN_EVERY_SECONDS: Final = 15  # what is on the metrics: no dashboard is empty for a minute after each start
TRIM_EVERY_SECONDS: Final = 60
ERASE_EVERY_SECONDS: Final = 5

# The clicks that a consumer holds form no cycles, and Python's collector looked at them again and again.
COLLECT_AFTER: Final = 100_000

log = logging.getLogger(__name__)


async def worker_role(settings: Settings, internal: socket | None) -> None:
    """Counts clicks."""
    expect_time_to_judge(settings)
    gc.set_threshold(COLLECT_AFTER)
    keys = Keys(settings.store_prefix)
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(asked_to_stop())
        await stack.enter_async_context(measured("worker"))
        redis = await stack.enter_async_context(connected(settings.store_url.get_secret_value()))
        worker = _worker_over(redis, keys, settings)
        await stack.enter_async_context(_ending_what_is_kept(redis, keys, settings))
        if internal:
            await stack.enter_async_context(serving(monitoring_app(_no_trouble), internal))
        working = asyncio.create_task(worker.run(), name="worker")
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        worker.stop()
        await working
        stopping.cancel()


def _worker_over(redis: Redis, keys: Keys, settings: Settings) -> Worker:
    # No other process has this name: to the store, two of one name would be one consumer.
    consumer = f"{node() or 'worker'}-{secrets.token_hex(4)}"
    stream = ClickStream(redis, keys, group=COUNTING_GROUP, consumer=consumer)
    known = gateways.known(settings.gateways_file)
    mails = Mails(Campaigns(redis, keys), Links(redis, keys))
    judging = Judging(stream, mails, JUDGES[RULES_VERSION], known, hold_ms=settings.count_hold_ms)
    by = JudgedBy(settings.count_hold_ms, RULES_VERSION, gateways.digest(known))
    return Worker(
        stream,
        judging,
        Tally(stream, Counters(redis, keys), keys).count,
        claim_after_ms=settings.count_claim_after_ms,
        joined=partial(note, redis, keys, by, group=COUNTING_GROUP),
    )


@asynccontextmanager
async def _ending_what_is_kept(redis: Redis, keys: Keys, settings: Settings) -> AsyncIterator[None]:
    """While the block lasts, what has been kept for its time leaves the store, and so does what is to be erased."""
    _note_periods(settings)
    retention = Retention(redis, keys, group=COUNTING_GROUP, seconds=settings.stream_retention_days * DAY_SECONDS)
    opt_outs = OptOutRetention(People(redis, keys), days=settings.privacy_opt_out_days)
    eraser = Eraser(redis, keys, group=COUNTING_GROUP)
    async with (
        repeating(retention.trim, TRIM_EVERY_SECONDS),
        repeating(partial(_trim_audit, Audit(redis, keys), settings.audit_days), TRIM_EVERY_SECONDS),
        repeating(opt_outs.end, SHOWN_EVERY_SECONDS),
        repeating(partial(_note_ages, redis, keys), SHOWN_EVERY_SECONDS),
        repeating(eraser.erase, ERASE_EVERY_SECONDS),
    ):
        yield


async def _trim_audit(audit: Audit, days: int) -> None:
    try:
        await audit.trim(int((time.time() - days * DAY_SECONDS) * 1000))
    except StoreError as error:
        log.debug("the audit is trimmed another time: %s", error)


def _note_periods(settings: Settings) -> None:
    periods = {
        ages.CLICKS: settings.stream_retention_days * DAY_SECONDS,
        ages.SALTS: KEPT_SECONDS,
        ages.OPT_OUTS: settings.privacy_opt_out_days * DAY_SECONDS or None,
    }
    for data, seconds in periods.items():
        if seconds is not None:
            metrics.RETENTION.labels(data).set(seconds)


async def _note_ages(redis: Redis, keys: Keys) -> None:
    try:
        found = await ages.oldest_seconds(redis, keys, int(time.time() * 1000))
    except StoreError as error:
        log.debug("how old the oldest is of what is kept is looked up another time: %s", error)
        return
    for data, seconds in found.items():
        metrics.OLDEST_AGE.labels(data).set(seconds)


async def _no_trouble() -> str:
    return ""
