"""Everything on one machine: the owner of the data directory, with the store and a process for each role.

It restarts what dies, and nothing outlives it: its children are on a leash, so that not even a SIGKILL leaves one
behind. The listening sockets are its own, so a reader who clicks while a worker restarts only waits a moment.

Readers come first. The redirect processes start beside the store, not after it, and answer with the links that they
know from earlier; whatever keeps the store away is said, and tried again. One thing ends it: a store of our own that
cannot start where no redirect process ever ran, and so no link is known.
"""

import asyncio
import logging
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any, Final, TypeVar

from pydantic import SecretStr

from redirector import metric_files
from redirector.errors import ServerUnavailable, StoreError, StoreUnavailable
from redirector.installation import Running, announced, expect_format, secret_of
from redirector.places import expect_places
from redirector.roles.from_settings import api_keys_of, expect_time_to_judge, networks_of
from redirector.roles.process import warn_of_store
from redirector.settings import Settings, without_settings
from redirector.store.api_keys import SCOPES
from redirector.store.connection import connected
from redirector.store.embedded import EmbeddedStore, ownership
from redirector.store.keys import Keys
from redirector.store.salts import EndedSalts
from redirector.supervise import FIRST_PAUSE_SECONDS, Program, keep_running, pause_after
from redirector.web.server import listening

READY_WITHIN_SECONDS: Final = 60.0
CANCEL_AGAIN_SECONDS: Final = 0.5
ASK_STORE_EVERY_SECONDS: Final = 0.25
ERASE_EVERY_SECONDS: Final = 600.0
LOCAL_KEY_NAME: Final = "this machine"

T = TypeVar("T")

log = logging.getLogger(__name__)


async def serve(settings: Settings, when_ready: Callable[[Running], None]) -> None:
    """Serves until SIGTERM or SIGINT. Raises RedirectorError when it cannot."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        # Left in the opposite order: the roles end before the store, and the store before the lock is let go.
        lock = stack.enter_context(ownership(settings.data_dir))
        expect_format(settings.data_dir)
        for judged in (expect_places, expect_time_to_judge, networks_of):
            judged(settings)  # what is wrong is said now, and not by a process that is started again and again
        public = stack.enter_context(listening("public", settings.public_host, settings.public_port))
        internal = stack.enter_context(listening("internal", settings.internal_host, settings.internal_port))
        tasks = _Tasks(stack)
        settings = _with_secret(_with_base_url(settings, public))
        own_store = not settings.store_url.get_secret_value()
        if own_store:
            settings = _with_embedded_store(settings, lock, stack, tasks)
        for program in _programs(settings, public, internal):
            ended = partial(metric_files.process_ended, _metrics_dir(settings), program.name)
            tasks.start(keep_running(program, ended))
        running = await tasks.until(_running(settings, _url(public), _url(internal), own_store=own_store), stop)
        if running:
            if own_store:
                tasks.start(_erase_ended_salts(settings), asks_store=True)
            stack.enter_context(announced(running, settings.data_dir))
            when_ready(running)
            await tasks.until(stop.wait(), stop)


class _Tasks:
    """Endless acts beside the main one; each ends when the stack is left, the last one started first."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, act: Coroutine[Any, Any, None], *, asks_store: bool = False) -> None:
        task = asyncio.create_task(act)
        self._tasks.append(task)
        self._stack.push_async_callback(_cancel, task, asks_store=asks_store)

    async def until(self, act: Awaitable[T], stop: asyncio.Event) -> T | None:
        """What `act` comes to, or None when `stop` comes first; raises what one of the endless acts ended with."""
        acting, stopping = asyncio.ensure_future(act), asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({acting, stopping, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        for waiting in (acting, stopping):
            if waiting not in done:
                await _cancel(waiting, asks_store=True)
        for task in done:
            task.result()
        return acting.result() if acting in done else None


async def _cancel(task: asyncio.Future[Any], *, asks_store: bool) -> None:
    """Ends the task, and waits for its end. One that asks the store is told again: redis-py may swallow the first."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_AGAIN_SECONDS if asks_store else None)
    await asyncio.gather(task, return_exceptions=True)


def _with_base_url(settings: Settings, public: socket) -> Settings:
    """Settings whose base URL is known: without one, tracked URLs lead to this machine's own port."""
    return settings if settings.base_url else settings.model_copy(update={"base_url": _url(public)})


def _with_secret(settings: Settings) -> Settings:
    if settings.secret.get_secret_value():
        return settings
    return settings.model_copy(update={"secret": secret_of(settings.data_dir)})


def _with_embedded_store(settings: Settings, lock: int, stack: AsyncExitStack, tasks: _Tasks) -> Settings:
    """Settings that name a store of our own, which is being started."""
    store = EmbeddedStore(settings.data_dir, lock, appendfsync=settings.store_appendfsync)
    stack.push_async_callback(store.stop)
    links_are_known = any(settings.data_dir.glob("redirect-*/links.sqlite"))
    tasks.start(_keep_store(store, may_fail=links_are_known))
    tasks.start(store.keep_synced(), asks_store=True)
    return settings.model_copy(update={"store_url": SecretStr(store.url)})


async def _erase_ended_salts(settings: Settings) -> None:
    async with connected(settings.store_url.get_secret_value()) as redis:
        salts = EndedSalts(redis, Keys(settings.store_prefix))
        while True:
            try:
                await salts.erase(int(time.time() * 1000))
            except StoreError as error:
                log.warning("salts that have ended may still be on disk: %s", error)
            await asyncio.sleep(ERASE_EVERY_SECONDS)


async def _keep_store(store: EmbeddedStore, *, may_fail: bool) -> None:
    """Starts the store, and again whenever it ends. Raises StoreUnavailable when it never ran, unless it `may_fail`."""
    pause = FIRST_PAUSE_SECONDS / 2
    while True:
        began = time.monotonic()
        try:
            await store.start()
            may_fail = True
            code = await store.ended()
        except StoreUnavailable as error:
            if not may_fail:
                raise
            log.error("%s. It is tried again; links that are known here redirect meanwhile", error)
        else:
            log.warning("the embedded store ended with code %d; it is started again", code)
        pause = pause_after(pause, lived_seconds=time.monotonic() - began)
        await asyncio.sleep(pause)


def _programs(settings: Settings, public: socket, internal: socket) -> Iterator[Program]:
    """The roles' processes, in the order in which they start; they stop in the opposite one, readers' first."""
    metrics = _metrics_dir(settings)
    shutil.rmtree(metrics, ignore_errors=True)
    with suppress(OSError):  # each process says that its metrics cannot be seen
        metrics.mkdir(mode=0o700, exist_ok=True)
    environment = without_settings(os.environ) | settings.environment() | {metric_files.DIRECTORY: str(metrics)}

    def program(name: str, *arguments: str, handed_down: Sequence[int] = ()) -> Program:
        command = (sys.executable, "-m", "redirector.cli.main", "run", *arguments)
        return Program(name, command, environment | {metric_files.PROCESS: name}, handed_down)

    yield program("worker", "worker", "--supervised")
    descriptor = internal.fileno()
    yield program("api", "api", "--internal-fd", str(descriptor), handed_down=[descriptor])
    descriptor = public.fileno()
    for number in range(1, settings.workers + 1):
        yield program(f"redirect {number}", "redirect", "--public-fd", str(descriptor), handed_down=[descriptor])


def _metrics_dir(settings: Settings) -> Path:
    return settings.data_dir / "metrics"


def _url(listener: socket) -> str:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - the other way round
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _running(settings: Settings, public_url: str, internal_url: str, *, own_store: bool) -> Running:
    """This server once all of it is ready: its ports, which must not take long, and the store, which may."""
    ports = _ports_answer(public_url + "/robots.txt", internal_url + "/livez")
    _, key = await asyncio.gather(ports, _local_key(settings, logging.DEBUG if own_store else logging.ERROR))
    if not own_store:
        await warn_of_store(settings)
    told = "" if settings.base_url == public_url else settings.base_url
    return Running(os.getpid(), public_url, internal_url, key, told)


async def _ports_answer(*urls: str) -> None:
    """Waits until all of them answer. Raises ServerUnavailable when that takes too long."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    for url in urls:
        while not await _answers(url):
            if time.monotonic() > deadline:
                raise ServerUnavailable(f"{url} does not answer", remedy="see the messages above")
            await asyncio.sleep(0.05)


async def _local_key(settings: Settings, level: int) -> str:
    """A key for the command line on this machine, new with each start.

    Waits for the store, and logs at this level what is wrong with it.
    """
    said = ""
    async with connected(settings.store_url.get_secret_value()) as redis:
        api_keys = api_keys_of(settings, redis, Keys(settings.store_prefix))
        while True:
            now, entropy = int(time.time() * 1000), secrets.token_bytes(26)
            try:
                return await api_keys.create(LOCAL_KEY_NAME, SCOPES, now=now, entropy=entropy, replace=True)
            except StoreError as error:
                if str(error) != said:
                    log.log(level, "%s. It is asked again; links that are known here redirect meanwhile", error)
                said = str(error)
            await asyncio.sleep(ASK_STORE_EVERY_SECONDS)


async def _answers(url: str) -> bool:
    """Whether a GET of `url` answers 200. An HTTP client would double the supervisor's memory for this one question."""
    address, _, path = url.removeprefix("http://").partition("/")
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.write(f"GET /{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n".encode())
            status = await reader.readline()
            writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in status
