"""The three roles, wired: what answers readers, what answers tooling, and what counts.

A role runs until its process is asked to stop, and then finishes what it has begun.
"""

import asyncio
import contextlib
import gc
import logging
import secrets
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count as counting
from pathlib import Path
from platform import node
from socket import socket
from typing import Final

from redis.asyncio import Redis

from redirector import agents, gateways, metrics
from redirector.access_log import AccessLog
from redirector.app_links import app_links_in
from redirector.ask import Asker
from redirector.check import Checker
from redirector.classify import RULES_VERSION
from redirector.codes import Codes
from redirector.count import Tally
from redirector.destinations import DestinationPolicy
from redirector.erase import Eraser
from redirector.errors import InvalidDestination, InvalidSetting, SpoolFailed, StoreError
from redirector.forwarded import Proxies, network
from redirector.hosts import HostAnswers, Hosts, PublicHost, host_of
from redirector.inherit import LINKS_FILE, inherit_links
from redirector.judging import Judging, Mails
from redirector.limits import Limiter
from redirector.metrics import REDIRECTS
from redirector.mint import TrackedURLs
from redirector.networks import Networks
from redirector.record import Recorder
from redirector.repeat import repeating
from redirector.replica import Replica
from redirector.rules import JUDGES
from redirector.settings import Settings
from redirector.slots import abandoned_journals, own_slot
from redirector.spool import Spool
from redirector.store import ages
from redirector.store.api_keys import ApiKeys
from redirector.store.audit import Audit
from redirector.store.campaigns import Campaigns
from redirector.store.changes import Changes
from redirector.store.clicks import ClickAppender, ClickStream
from redirector.store.connection import connected
from redirector.store.counters import Counters
from redirector.store.erasures import Erasures
from redirector.store.keys import Keys
from redirector.store.links import Links
from redirector.store.people import OptOutRetention, People
from redirector.store.retention import Retention
from redirector.store.salts import KEPT_SECONDS, DailySalt
from redirector.store.suitability import findings
from redirector.suffixes import expect_registrable
from redirector.web.api import Services
from redirector.web.guard import guard_of
from redirector.web.internal import internal_app, monitoring_app
from redirector.web.public import public_app
from redirector.web.server import serving
from redirector.worker import Worker

# The consumer group that feeds the counters; other programs read the stream with groups of their own.
COUNTING_GROUP: Final = "redirector"

SALT_EVERY_SECONDS: Final = 20
NETWORKS_EVERY_SECONDS: Final = 60
ACCESS_LOG_EVERY_SECONDS: Final = 60
AGES_EVERY_SECONDS: Final = 15
METRICS_EVERY_SECONDS: Final = 0.25
PROCESSOR_TIME_EVERY_SECONDS: Final = 1
DAY_SECONDS: Final = 24 * 3600
LONGEST_WAIT_OF_A_CHECK_SECONDS: Final = 60.0
TRIM_EVERY_SECONDS: Final = 60
ERASE_EVERY_SECONDS: Final = 5

# The clicks that a consumer holds form no cycles, and Python's collector looked at them again and again.
COLLECT_AFTER: Final = 100_000

# Nobody waits for clicks that come from the disk.
REPLAY_DEADLINE_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


def codes_of(settings: Settings) -> Codes:
    """The codes of this installation. Raises InvalidSetting when it has no secret."""
    if not settings.secret.get_secret_value():
        raise InvalidSetting(
            "every role of an installation needs the same secret, and none is set",
            field="REDIRECTOR_SECRET",
            remedy="make one with `openssl rand -hex 32`, and keep a copy: without it, mails already sent die",
        )
    return Codes(settings.secret.get_secret_value(), [key.get_secret_value() for key in settings.signing_keys])


def networks_of(settings: Settings) -> Networks:
    """What is known of addresses. Raises InvalidSetting when a file cannot be used."""
    return Networks(country=settings.country_database, isp=settings.isp_database)


def proxies_of(settings: Settings) -> Proxies | None:
    """The proxies that are trusted to say where requests come from, if any are."""
    return Proxies(map(network, settings.trusted_proxies)) if settings.trusted_proxies else None


def _a_minute(most: int) -> Limiter | None:
    """As many a minute, by address; any number if it is 0."""
    return Limiter(per_second=most / 60, burst=most) if most else None


def api_keys_of(settings: Settings, redis: Redis, keys: Keys) -> ApiKeys:
    """The API keys of this installation."""
    return ApiKeys(redis, keys, pepper=settings.secret.get_secret_value().encode())


async def redirect_role(settings: Settings, public: socket, internal: socket | None) -> None:
    """Answers readers on the public port, and records their clicks."""
    agents.warm_up()
    keys = Keys(settings.store_prefix)
    codes = codes_of(settings)
    hosts = hosts_of(settings)
    url = settings.store_url.get_secret_value()
    producer = secrets.token_hex(6)
    # Decimal, because the store keeps that as an integer, in 10 bytes. Two processes that begin at random below 2**62
    # never meet, for as many clicks as anybody will ever have.
    click_numbers = counting(secrets.randbits(62))
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(_asked_to_stop())
        await stack.enter_async_context(_measured("redirect"))
        redis = await stack.enter_async_context(connected(url))
        salt = DailySalt(redis, keys)
        await stack.enter_async_context(repeating(partial(_refresh_salt, salt), SALT_EVERY_SECONDS))
        await stack.enter_async_context(repeating(_hand_on_metrics, METRICS_EVERY_SECONDS))
        networks = networks_of(settings)
        await stack.enter_async_context(repeating(partial(asyncio.to_thread, networks.renew), NETWORKS_EVERY_SECONDS))
        slot = stack.enter_context(own_slot(settings.data_dir))
        inherit_links(slot)
        access_log = AccessLog(
            slot, days=settings.access_log_days, least=settings.privacy_min_cell, network=networks.of
        )
        metrics.RETENTION.labels("access_log").set(settings.access_log_days * DAY_SECONDS)
        stack.push_async_callback(access_log.keep)  # what is due at the end; what is not is forgotten
        replica = _replica_of(redis, keys, slot / LINKS_FILE, settings)
        stack.push_async_callback(replica.stop)
        recorder = Recorder(
            ClickAppender(url, keys, deadline_seconds=settings.record_deadline_ms / 1000),
            ClickAppender(url, keys, deadline_seconds=REPLAY_DEADLINE_SECONDS),
            stack.enter_context(_opened_spool(slot / "spool", settings)),
            producer=producer,
            waiting_max=settings.record_waiting_max,
        )
        stack.push_async_callback(recorder.stop)
        # At once, because a store that hangs keeps each of them waiting.
        await asyncio.gather(replica.start(), recorder.start(), _refresh_salt(salt))
        app = public_app(
            codes=codes,
            replica=replica,
            recorder=recorder,
            salt=salt,
            networks=networks,
            people=People(redis, keys),
            erasures=Erasures(redis, keys),
            gateways=gateways.known(settings.gateways_file),
            click_ids=lambda: str(next(click_numbers)),
            codes_in_memory=settings.links_in_memory,
            settings=settings,
            proxies=proxies_of(settings),
            unknown_codes=_a_minute(settings.unknown_codes_per_minute),
            privacy_requests=_a_minute(settings.privacy_requests_per_minute),
            hosts=hosts,
            access_log=access_log if settings.access_log_days else None,
        )
        await stack.enter_async_context(repeating(partial(_keep_access_log, access_log), ACCESS_LOG_EVERY_SECONDS))
        if internal:
            await stack.enter_async_context(serving(monitoring_app(partial(_replica_trouble, replica)), internal))
        await stack.enter_async_context(serving(app, public))
        # A process whose replica or recorder has died is worth less than a new one.
        ends = {asyncio.create_task(end) for end in (stop.wait(), replica.ended(), recorder.ended())}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)


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


@contextlib.contextmanager
def _opened_spool(directory: Path, settings: Settings) -> Iterator[Spool]:
    """This process's spool, with what processes that are gone left in theirs."""
    spool = Spool(
        directory,
        max_bytes=settings.spool_max_bytes,
        max_age_seconds=settings.spool_max_age_days * DAY_SECONDS,
        lost=lambda clicks, reason: metrics.CLICKS_LOST.labels(reason).inc(clicks),
    )
    _adopt(spool, settings.data_dir)
    try:
        spool.open()
    except SpoolFailed as error:
        log.error("while the store is away, clicks will be lost: %s", error)  # noqa: TRY400 - the cause is in it
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


async def api_role(settings: Settings, internal: socket, *, version: str) -> None:
    """Answers tooling and monitoring on the internal port."""
    expect_places(settings)
    keys = Keys(settings.store_prefix)
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(_asked_to_stop())
        await stack.enter_async_context(_measured("api"))
        redis = await stack.enter_async_context(connected(settings.store_url.get_secret_value()))
        app = internal_app(services_of(settings, redis, keys), version=version)
        await stack.enter_async_context(serving(app, internal))
        await stop.wait()


def policy_of(settings: Settings) -> DestinationPolicy:
    """Where links may lead."""
    own_hosts = frozenset(map(host_of, settings.base_urls()))
    return DestinationPolicy(own_hosts=own_hosts, allowed_hosts=settings.destinations_allowed)


def expect_places(settings: Settings) -> None:
    """Raises InvalidSetting when the list of allowed hosts names nobody in particular, or a host is not well set up."""
    expect_registrable(policy_of(settings).allowed_hosts, "destinations_allowed")
    hosts_of(settings)


def hosts_of(settings: Settings) -> Hosts:
    """What each host answers of its own, read now. Raises InvalidSetting."""
    policy = policy_of(settings)
    known = {host_of(host.base_url): _answers_of(host, policy) for host in settings.hosts}
    return Hosts(known.get(host_of(settings.public_base_url()), HostAnswers()), known)


def _answers_of(host: PublicHost, policy: DestinationPolicy) -> HostAnswers:
    field = f"hosts ({host.base_url})"
    try:
        fallback = policy.accept(host.fallback_url, f"{field}.fallback_url") if host.fallback_url else None
    except InvalidDestination as refusal:
        raise InvalidSetting(refusal.detail, field=refusal.field, part=refusal.part, remedy=refusal.remedy) from None
    return HostAnswers(fallback, {path: app_links_in(file, field) for path, file in host.files().items()})


def services_of(settings: Settings, redis: Redis, keys: Keys) -> Services:
    """What the API's endpoints work with."""
    base_url, *others = settings.base_urls()
    return Services(
        redis=redis,
        keys=keys,
        links=Links(redis, keys),
        campaigns=Campaigns(redis, keys),
        counters=Counters(redis, keys),
        guard=guard_of(
            api_keys_of(settings, redis, keys),
            Audit(redis, keys),
            requests_per_second=settings.api_requests_per_second,
            wrong_keys_per_minute=settings.api_wrong_keys_per_minute,
        ),
        policy=policy_of(settings),
        urls=TrackedURLs(base_url, codes_of(settings), frozenset(others)),
        checker=Checker(Asker(), longest_wait=LONGEST_WAIT_OF_A_CHECK_SECONDS),
        topics_max=settings.topics_max,
        body_max_bytes=settings.body_max_bytes,
        min_cell=settings.privacy_min_cell,
        clock=time.time,
    )


async def worker_role(settings: Settings, internal: socket | None) -> None:
    """Counts clicks."""
    gc.set_threshold(COLLECT_AFTER)
    keys = Keys(settings.store_prefix)
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(_asked_to_stop())
        await stack.enter_async_context(_measured("worker"))
        redis = await stack.enter_async_context(connected(settings.store_url.get_secret_value()))
        # No other process has this name: to the store, two of one name would be one consumer.
        consumer = f"{node() or 'worker'}-{secrets.token_hex(4)}"
        stream = ClickStream(redis, keys, group=COUNTING_GROUP, consumer=consumer)
        tally = Tally(stream, Counters(redis, keys), keys)
        judging = Judging(
            stream,
            Mails(Campaigns(redis, keys), Links(redis, keys)),
            JUDGES[RULES_VERSION],
            gateways.known(settings.gateways_file),
            hold_ms=settings.count_hold_ms,
        )
        worker = Worker(stream, judging, tally.count, claim_after_ms=settings.count_claim_after_ms)
        retention = Retention(redis, keys, group=COUNTING_GROUP, seconds=settings.stream_retention_days * DAY_SECONDS)
        await stack.enter_async_context(repeating(retention.trim, TRIM_EVERY_SECONDS))
        trim_audit = partial(_trim_audit, Audit(redis, keys), settings.audit_days)
        await stack.enter_async_context(repeating(trim_audit, TRIM_EVERY_SECONDS))
        opt_outs = OptOutRetention(People(redis, keys), days=settings.privacy_opt_out_days)
        await stack.enter_async_context(repeating(opt_outs.end, TRIM_EVERY_SECONDS))
        _note_periods(settings)
        await stack.enter_async_context(repeating(partial(_note_ages, redis, keys), AGES_EVERY_SECONDS))
        eraser = Eraser(redis, keys, group=COUNTING_GROUP)
        await stack.enter_async_context(repeating(eraser.erase, ERASE_EVERY_SECONDS))
        if internal:
            await stack.enter_async_context(serving(monitoring_app(_no_trouble), internal))
        working = asyncio.create_task(worker.run(), name="worker")
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        worker.stop()
        await working
        stopping.cancel()


async def warn_of_store(settings: Settings) -> None:
    """Logs what speaks against the store, if it can be asked."""
    async with connected(settings.store_url.get_secret_value()) as redis:
        try:
            found = await findings(redis)
        except StoreError as error:
            log.warning("%s", error)
            return
    for finding in found:
        log.warning("%s; remedy: %s", finding.what, finding.remedy)


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[asyncio.Event]:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@asynccontextmanager
async def _measured(role: str) -> AsyncIterator[None]:
    """While the block lasts, this process is on the metrics as one that plays the role, with its processor time."""
    metrics.PROCESSES.labels(role).set(1)
    processor_time = metrics.ProcessorTime(role)

    async def hand_on() -> None:
        processor_time.hand_on()

    await hand_on()
    try:
        async with repeating(hand_on, PROCESSOR_TIME_EVERY_SECONDS):
            yield
    finally:
        await hand_on()
        metrics.PROCESSES.labels(role).set(0)


async def _refresh_salt(salt: DailySalt) -> None:
    try:
        await salt.refresh(int(time.time() * 1000), lambda: secrets.token_bytes(32))
    except StoreError as error:
        log.debug("no salt for today: visitors cannot be told apart: %s", error)


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


async def _keep_access_log(access_log: AccessLog) -> None:
    metrics.OLDEST_AGE.labels("access_log").set(await access_log.keep())


async def _hand_on_metrics() -> None:
    REDIRECTS.hand_on()


async def _replica_trouble(replica: Replica) -> str:
    return "" if replica.ready else "no link is known yet: the store has not been reached"


async def _no_trouble() -> str:
    return ""
