"""The redirect role: what answers readers, and records their clicks."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from itertools import count as counting
from pathlib import Path
from socket import socket
from typing import Final

from redis.asyncio import Redis

from redirector import agents, gateways, metrics, quarantine
from redirector.access_log import AccessLog
from redirector.errors import SpoolFailed, StoreError
from redirector.inherit import LINKS_FILE, inherit_links
from redirector.limits import Limiter
from redirector.losses import Losses
from redirector.networks import Networks
from redirector.places import hosts_of
from redirector.record import Recorder
from redirector.repeat import repeating
from redirector.replica import Replica
from redirector.roles.from_settings import DAY_SECONDS, codes_of, networks_of, proxies_of
from redirector.roles.process import asked_to_stop, measured
from redirector.settings import Settings, set_aside_days
from redirector.slots import abandoned_journals, own_slot
from redirector.spool import Spool
from redirector.store.campaigns import Campaigns
from redirector.store.changes import Changes
from redirector.store.clicks import ClickAppender
from redirector.store.connection import connected
from redirector.store.erasures import Erasures
from redirector.store.keys import Keys
from redirector.store.links import Links
from redirector.store.people import People
from redirector.store.salts import DailySalt
from redirector.web.internal import monitoring_app
from redirector.web.public import PublicServices, public_app
from redirector.web.server import serving

SALT_EVERY_SECONDS: Final = 20
NETWORKS_EVERY_SECONDS: Final = 60
ACCESS_LOG_EVERY_SECONDS: Final = 60
SET_ASIDE_EVERY_SECONDS: Final = 3600
METRICS_EVERY_SECONDS: Final = 0.25

# Nobody waits for clicks that come from the disk.
REPLAY_DEADLINE_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


async def redirect_role(settings: Settings, public: socket, internal: socket | None) -> None:
    """Answers readers on the public port, and records their clicks."""
    agents.warm_up()
    codes, hosts = codes_of(settings), hosts_of(settings)
    keys = Keys(settings.store_prefix)
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(asked_to_stop())
        await stack.enter_async_context(measured("redirect"))
        await stack.enter_async_context(repeating(_hand_on_metrics, METRICS_EVERY_SECONDS))
        redis = await stack.enter_async_context(connected(settings.store_url.get_secret_value()))
        salt = DailySalt(redis, keys)
        await stack.enter_async_context(repeating(partial(_refresh_salt, salt), SALT_EVERY_SECONDS))
        networks = networks_of(settings)
        await stack.enter_async_context(repeating(partial(asyncio.to_thread, networks.renew), NETWORKS_EVERY_SECONDS))
        slot = stack.enter_context(own_slot(settings.data_dir))
        inherit_links(slot)
        access_log = await stack.enter_async_context(_kept_access_log(slot, networks, settings))
        forget_set_aside = partial(_forget_set_aside, settings)
        await forget_set_aside()
        await stack.enter_async_context(repeating(forget_set_aside, SET_ASIDE_EVERY_SECONDS))
        replica = _replica_of(redis, keys, slot / LINKS_FILE, settings)
        stack.push_async_callback(replica.stop)
        losses = Losses()
        spool = stack.enter_context(_opened_spool(slot / "spool", losses, settings))
        recorder = _recorder_over(spool, losses, keys, settings)
        stack.push_async_callback(recorder.stop)
        # At once, because a store that hangs keeps each of them waiting.
        await asyncio.gather(replica.start(), recorder.start(), _refresh_salt(salt))
        services = PublicServices(
            codes=codes,
            replica=replica,
            recorder=recorder,
            salt=salt,
            networks=networks,
            people=People(redis, keys),
            erasures=Erasures(redis, keys),
            gateways=gateways.known(settings.gateways_file),
            click_ids=_click_ids(),
            codes_in_memory=settings.links_in_memory,
            settings=settings,
            proxies=proxies_of(settings),
            unknown_codes=_a_minute(settings.unknown_codes_per_minute),
            privacy_requests=_a_minute(settings.privacy_requests_per_minute),
            hosts=hosts,
            access_log=access_log if settings.access_log_days else None,
        )
        if internal:
            await stack.enter_async_context(serving(monitoring_app(partial(_replica_trouble, replica)), internal))
        await stack.enter_async_context(serving(public_app(services), public))
        # A process whose replica or recorder has died is worth less than a new one.
        ends = {asyncio.create_task(end) for end in (stop.wait(), replica.ended(), recorder.ended())}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)


def _click_ids() -> Callable[[], str]:
    # Decimal, because the store keeps that as an integer, in 10 bytes. Two processes that begin at random below 2**62
    # never meet, for as many clicks as anybody will ever have.
    return map(str, counting(secrets.randbits(62))).__next__


@asynccontextmanager
async def _kept_access_log(slot: Path, networks: Networks, settings: Settings) -> AsyncIterator[AccessLog]:
    access_log = AccessLog(slot, days=settings.access_log_days, least=settings.privacy_min_cell, network=networks.of)
    metrics.RETENTION.labels("access_log").set(settings.access_log_days * DAY_SECONDS)

    async def keep() -> None:
        metrics.OLDEST_AGE.labels("access_log").set(await access_log.keep())

    try:
        async with repeating(keep, ACCESS_LOG_EVERY_SECONDS):
            yield access_log
    finally:
        await access_log.keep()  # what is due at the end; what is not is forgotten


def _replica_of(redis: Redis, keys: Keys, path: Path, settings: Settings) -> Replica:
    return Replica(
        Links(redis, keys),
        Campaigns(redis, keys),
        People(redis, keys),
        Changes(redis, keys),
        path,
        links_in_memory=settings.links_in_memory,
        deadline_seconds=settings.record_deadline_ms / 1000,
    )


def _recorder_over(spool: Spool, losses: Losses, keys: Keys, settings: Settings) -> Recorder:
    url = settings.store_url.get_secret_value()
    return Recorder(
        ClickAppender(url, keys, deadline_seconds=settings.record_deadline_ms / 1000),
        ClickAppender(url, keys, deadline_seconds=REPLAY_DEADLINE_SECONDS),
        spool,
        losses=losses,
        producer=secrets.token_hex(6),
        waiting_max=settings.record_waiting_max,
    )


@contextmanager
def _opened_spool(directory: Path, losses: Losses, settings: Settings) -> Iterator[Spool]:
    """This process's spool, with what processes that are gone left in theirs."""
    spool = Spool(
        directory,
        max_bytes=settings.spool_max_bytes,
        max_age_seconds=settings.spool_max_age_days * DAY_SECONDS,
        lost=losses.add_from_thread,
    )
    _adopt(spool, settings.data_dir)
    try:
        spool.open()
    except SpoolFailed as error:
        log.error("while the store is away, clicks will be lost: %s", error)
    metrics.SPOOL_CLICKS.set(spool.clicks)
    if spool.clicks:
        log.info("%d clicks wait on the disk from an earlier run", spool.clicks)
    try:
        yield spool
    finally:
        spool.close()


def _adopt(spool: Spool, data_dir: Path) -> None:
    with abandoned_journals(data_dir) as journals:
        for journal in journals:
            try:
                spool.adopt(journal)
            except SpoolFailed as error:
                log.warning("what is in %s waits for another start: %s", journal, error)


def _a_minute(most: int) -> Limiter | None:
    """As many a minute, by address; any number if it is 0."""
    return Limiter(per_second=most / 60, burst=most) if most else None


async def _refresh_salt(salt: DailySalt) -> None:
    try:
        await salt.refresh(int(time.time() * 1000), lambda: secrets.token_bytes(32))
    except StoreError as error:
        log.debug("no salt for today: visitors cannot be told apart: %s", error)


async def _forget_set_aside(settings: Settings) -> None:
    before = time.time() - set_aside_days(settings) * DAY_SECONDS
    await asyncio.to_thread(quarantine.forget, settings.data_dir, before=before)


async def _hand_on_metrics() -> None:
    metrics.hand_on()


async def _replica_trouble(replica: Replica) -> str:
    return "" if replica.ready else "no link is known yet: the store has not been reached"
