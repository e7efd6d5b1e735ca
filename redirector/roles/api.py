"""The api role: what answers tooling and monitoring."""

import time
from contextlib import AsyncExitStack
from socket import socket
from typing import Final

from redis.asyncio import Redis

from redirector.ask import Asker
from redirector.check import Checker
from redirector.mint import TrackedURLs
from redirector.places import expect_places, policy_of
from redirector.roles.from_settings import api_keys_of, codes_of
from redirector.roles.process import asked_to_stop, measured
from redirector.settings import Settings
from redirector.store.audit import Audit
from redirector.store.campaigns import Campaigns
from redirector.store.connection import connected
from redirector.store.counters import Counters
from redirector.store.keys import Keys
from redirector.store.links import Links
from redirector.web.guard import guard_of
from redirector.web.internal import internal_app
from redirector.web.server import serving
from redirector.web.services import Services

LONGEST_WAIT_OF_A_CHECK_SECONDS: Final = 60.0


async def api_role(settings: Settings, internal: socket, *, version: str) -> None:
    """Answers tooling and monitoring on the internal port."""
    expect_places(settings)
    keys = Keys(settings.store_prefix)
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(asked_to_stop())
        await stack.enter_async_context(measured("api"))
        redis = await stack.enter_async_context(connected(settings.store_url.get_secret_value()))
        app = internal_app(services_of(settings, redis, keys), version=version)
        await stack.enter_async_context(serving(app, internal))
        await stop.wait()


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
