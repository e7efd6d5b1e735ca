"""The worker role: it counts, says what it judges by, and shares the clicks with others."""

import asyncio
import os
import secrets
import signal
from typing import Any

from redis.asyncio import Redis

from redirector import gateways
from redirector.classify import RULES_VERSION
from redirector.clicks import packed
from redirector.count import COUNTING_GROUP
from redirector.judged_by import JudgedBy
from redirector.roles.worker import worker_role
from redirector.store.clicks import ClickAppender
from redirector.store.counters import Counters
from redirector.store.judged_by import noted
from redirector.store.keys import Keys
from redirector.web.server import listening
from tests.builders import SECRET, a_click
from tests.roles.played import WITHIN_SECONDS, a_role, playing, settings_for, until, url_of


async def a_click_appended(store_url: str, keys: Keys) -> None:
    """One more click in the stream."""
    appender = ClickAppender(store_url, keys, deadline_seconds=5)
    await appender.open()
    await appender.append(secrets.token_hex(6), 1, [packed(a_click())])
    await appender.close()


async def test_worker_role_counts(store_url: str, redis: Redis, keys: Keys) -> None:
    """What is in the stream is counted, and how far behind it is can be seen."""
    appender = ClickAppender(store_url, keys, deadline_seconds=5)
    await appender.open()
    await appender.append("test-1", 1, [packed(a_click(number)) for number in range(5)])
    await appender.close()
    internal = listening("internal", "127.0.0.1", 0)
    counters = Counters(redis, keys)

    async with playing(worker_role(settings_for(store_url, keys), internal), url_of(internal)) as http:

        async def is_counted() -> bool:
            return await counters.totals() == {"human": 5}

        async def says_its_lag() -> bool:
            return 'redirector_consumer_lag_clicks{consumer="redirector"}' in (await http.get("/metrics")).text

        await until(is_counted)
        await until(says_its_lag)

    assert (await redis.xpending(keys.clicks(), COUNTING_GROUP))["pending"] == 0


async def test_worker_role_notes_what_it_judges_by(store_url: str, redis: Redis, keys: Keys) -> None:
    """Whoever recounts can compare: the hold, the version of the rules, and the gateways."""
    settings = settings_for(store_url, keys, count_hold_ms=1_234)
    task = asyncio.create_task(worker_role(settings, None))

    async def has_noted() -> bool:
        return await noted(redis, keys, group=COUNTING_GROUP) is not None

    await until(has_noted)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, WITHIN_SECONDS)

    expected = JudgedBy(1_234, RULES_VERSION, gateways.digest(gateways.known()))
    assert await noted(redis, keys, group=COUNTING_GROUP) == expected


async def test_worker_role_under_a_supervisor_has_no_port(store_url: str, redis: Redis, keys: Keys) -> None:
    """`serve` gives it no socket; it stops in order all the same."""
    task = asyncio.create_task(worker_role(settings_for(store_url, keys), None))

    async def has_joined() -> bool:
        return bool(await redis.exists(keys.clicks()))  # its group makes the stream

    await until(has_joined)

    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, WITHIN_SECONDS)

    assert task.exception() is None


async def test_workers_of_one_machine_are_consumers_of_their_own(store_url: str, redis: Redis, keys: Keys) -> None:
    """Two processes share the clicks, so that one can take over what the other leaves."""
    known = {"STORE_URL": store_url, "STORE_PREFIX": keys.prefix, "SECRET": SECRET, "INTERNAL_PORT": "0"}
    with a_role("worker", **known), a_role("worker", **known):

        async def are_two() -> bool:
            await a_click_appended(store_url, keys)  # Redis 7.0 knows a consumer when it was given something
            groups: Any = await redis.xinfo_groups(keys.clicks())
            return [group["consumers"] for group in groups] == [2]

        await until(are_two)
