"""Roles at play: in this process, or in one of their own."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from pydantic import SecretStr
from redis.asyncio import Redis

from redirector.links import Link
from redirector.settings import Settings, without_settings
from redirector.store.keys import Keys
from redirector.store.links import Links
from tests.builders import SECRET, a_link, minted

WITHIN_SECONDS = 20


def settings_for(store_url: str, keys: Keys, **others: Any) -> Settings:
    """Settings of an installation over this store."""
    known = {"store_url": SecretStr(store_url), "store_prefix": keys.prefix, "secret": SecretStr(SECRET)}
    return Settings(**{**known, "record_deadline_ms": 2_000, "count_hold_ms": 0, **others})


def url_of(listener: socket.socket) -> str:
    """Where the listener is reached."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Asks until it holds; fails when that takes too long."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while not await holds():
            pass


@asynccontextmanager
async def playing(role: Coroutine[Any, Any, None], url: str) -> AsyncIterator[httpx.AsyncClient]:
    """The role in this process, ready, with a client of its internal port; ended by SIGTERM."""
    task = asyncio.create_task(role)
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        try:
            assert (await http.get("/readyz")).status_code == 200
            yield http
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(task, WITHIN_SECONDS)


async def a_minted_link(redis: Redis, keys: Keys) -> Link:
    """A link in the store."""
    return (await minted(Links(redis, keys), a_link())).link


def run_role(*arguments: str, **settings: str) -> subprocess.Popen[str]:
    """`redirector run ...` as a process of its own, with these settings and no other."""
    environment = without_settings(os.environ) | {f"REDIRECTOR_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "redirector.cli.main", "run", *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@contextmanager
def a_role(*arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """The role's process; killed at the end if it still runs."""
    process = run_role(*arguments, **settings)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
