"""Whatever a run writes: no address together with a recipient, and outside the access log no address at all."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import httpx
import pytest
from redis import Redis

from redirector.access_log import AccessLog
from redirector.client import Client
from redirector.facts import NOWHERE
from redirector.installation import Running
from redirector.links import Tracking
from redirector.store.embedded import socket_path
from redirector.store.keys import Keys
from tests.conftest import short_directory
from tests.networks import countries, providers
from tests.processes import FIREFOX, eventually, serving
from tests.web.ports import Clock, public_port
from tests.web.sockets import exchange, parsed, request

KEYS = Keys()
READERS = 12
RECIPIENTS = [f"reader-{number}@example.com" for number in range(READERS)]
ADDRESSES = [f"127.77.{number}.{200 - number}" for number in range(READERS)]
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Written:
    """Everything that a run has written, by the place where it lies; `tokens` are what stands for recipients."""

    places: dict[str, bytes]
    tokens: set[bytes]


@pytest.fixture(scope="module")
def written() -> Iterator[Written]:
    """A run with every sink in use: clicks of known recipients, also while the store is frozen, mistakes, opt-outs."""
    with short_directory() as directory, short_directory() as files, TemporaryFile("w+b") as log:
        settings = {
            "access_log_days": 7,
            "log_level": "debug",
            "country_database": countries(files / "c.mmdb", {"127.0.0.0/8": "DE"}),
            "isp_database": providers(files / "p.mmdb", {"127.0.0.0/8": "Loopback Ltd"}),
        }
        with serving(directory, log=log, **settings) as running, _store(directory) as redis:  # type: ignore[arg-type]
            news, club = _mint(running)
            _click([*news, *club])
            with _frozen(redis):
                _click(club)
                places = {f"{place} (store frozen)": content for place, content in _files(directory).items()}
            eventually(lambda: redis.xlen(KEYS.clicks()) == 3 * READERS)
            _mistakes(running, club)
            places["store"] = _dump(redis)
            clicks = redis.xrange(KEYS.clicks())
            places |= _files(directory)
        places |= {f"{place} (stopped)": content for place, content in _files(directory).items()}
        log.seek(0)
        places["log of the processes"] = log.read()
        yield Written(places, {fields[b"recipient"] for _, fields in clicks if b"recipient" in fields})


def _store(directory: Path) -> Redis:
    return Redis(unix_socket_path=str(socket_path(directory)))


def _mint(running: Running) -> tuple[list[str], list[str]]:
    with Client(running.internal_url, running.api_key) as client:
        client.create_campaign("club", tracking="individual", consent="sign-up form of 2026")
        news = client.create_link("https://www.example.com/news", "news")
        club = client.create_link("https://www.example.com/club", "club")
        return [news.url] * READERS, [each.url for each in client.urls(club.id, RECIPIENTS)]


def _as_reader(number: int) -> httpx.Client:
    """Somebody's browser, which says its address wherever a request has room for it."""
    address = ADDRESSES[number]
    headers = {"User-Agent": f"{FIREFOX} {address}", "Referer": f"https://{address}/", "X-Forwarded-For": address}
    transport = httpx.HTTPTransport(local_address=address)
    return httpx.Client(transport=transport, headers={**headers, "Accept-Language": "de"}, timeout=30)


def _click(urls: list[str]) -> None:
    for number, url in enumerate(urls):
        with _as_reader(number % READERS) as browser:
            assert browser.get(url).status_code == 302


@contextmanager
def _frozen(redis: Redis) -> Iterator[None]:
    pid = int(redis.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _mistakes(running: Running, club: list[str]) -> None:
    for number, url in enumerate(club):
        with _as_reader(number) as browser:
            assert browser.get(f"{running.public_url}/c/{ADDRESSES[number]}").status_code == 404
            assert browser.put(url).status_code == 405
            assert browser.get(url.replace("/c/", "/privacy/")).status_code == 200
            if number < 3:
                assert browser.post(url.replace("/c/", "/privacy/") + "/opt-out").status_code == 200


def _files(directory: Path) -> dict[str, bytes]:
    """Every file below, the store's append-only file and its log among them."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def _dump(redis: Redis) -> bytes:
    """All that the store has, as values and as the bytes that it would save."""
    read: dict[bytes, Callable[[bytes], object]] = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"stream": redis.xrange,
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        b"set": redis.smembers,
    }
    parts: list[bytes] = []
    for key in redis.scan_iter():
        kind: Any = redis.type(key)
        parts += [key, repr(read[kind](key)).encode(), redis.dump(key) or b""]
    return b"\n".join(parts)


@dataclass(frozen=True)
class Hour:
    """What an hour left behind: the file of its access log, and what stands for the recipients who clicked in it."""

    file: Path
    names: set[str]

    def log(self) -> bytes:
        """The file as it is."""
        return self.file.read_bytes()


@pytest.fixture
async def hour(store_url: str, keys: Keys, tmp_path: Path) -> Hour:
    """Recipients click and, from the same addresses, ask for what is not there; then their hour is over."""
    clock = Clock()
    log = AccessLog(tmp_path / "redirect-0", days=7, least=10, network=lambda _: NOWHERE, clock=clock)
    async with public_port(store_url, keys, access_log=log, clock=clock) as started:
        port = await started.for_a_test()
        await port.campaign(tracking=Tracking.INDIVIDUAL, consent="sign-up form of 2026")
        link = await port.link()
        for recipient, address in zip(RECIPIENTS, ADDRESSES, strict=True):
            path = port.path(link, recipient)
            for method, asked, status in (("GET", path, 302), ("GET", f"{path}x", 404), ("PUT", path, 405)):
                answer = await exchange(port.address, request(method, asked), sender=address)
                assert parsed(answer).status == status
        tokens = {click["recipient"] for click in await port.clicks()}
        codes = {port.code(link, recipient) for recipient in RECIPIENTS}
        clock.now += HOUR_MS
        await log.keep()
    assert len(tokens) == len(codes) == READERS
    return Hour(tmp_path / "redirect-0" / "access" / "2026-11-23.log", {*RECIPIENTS, *tokens, *codes})


def found(content: bytes, address: str) -> bool:
    """Whether the address stands there, as text or in its four bytes."""
    return re.search(rb"(?<![\d.])" + re.escape(address.encode()) + rb"(?![\d])", content) is not None or (
        ip_address(address).packed in content
    )


def test_every_place_was_written(written: Written) -> None:
    """Without a store's dump, its append-only file, a spool, the links' SQLite and a log this would prove nothing."""
    names = " ".join(name for name, content in written.places.items() if content)

    for place in ("store", "appendonlydir", "spool/", "links.sqlite", "log of the processes"):
        assert place in names
    assert len(written.tokens) == READERS
    spools = b"".join(content for name, content in written.places.items() if ".frames (store frozen)" in name)
    for token in written.tokens:
        assert token in written.places["store"]
        assert token in spools


def test_no_address_is_written_but_in_the_access_log(written: Written) -> None:
    """As text or as bytes, wherever the request had it; and the access log has none before its hour is over."""
    holding = {name for name, content in written.places.items() for address in ADDRESSES if found(content, address)}

    assert holding == set()


async def test_no_recipient_stands_in_the_access_log(hour: Hour) -> None:
    """Neither the mailing tool's id nor the token, nor a code: an hour, a status and an address are all there is."""
    log = hour.log()
    lines = [f"2026-11-23T12 requests {2 * READERS}", *(f"2026-11-23T12 404 {address}" for address in ADDRESSES)]

    assert not any(name.encode() in log for name in hour.names)
    assert sorted(log.decode().splitlines()) == sorted(lines)
    assert all(found(log, address) for address in ADDRESSES)


def test_recipients_ids_are_written_nowhere(written: Written) -> None:
    """Only their tokens are, and those outside the access log."""
    holding = [name for name, content in written.places.items() for each in RECIPIENTS if each.encode() in content]

    assert holding == []
