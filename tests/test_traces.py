"""Whatever a run writes: no address together with a recipient, and outside the access log no address at all.

The run is the whole program, with every sink in use, killed once, its spool damaged, and an hour over at the end.
"""

import os
import re
import signal
import subprocess
import sys
import time
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
from redirector.store.embedded import owner_of, socket_path
from redirector.store.keys import Keys
from tests.builders import NOON
from tests.clocks import moved_by, set_clock
from tests.conftest import short_directory
from tests.networks import countries, providers
from tests.processes import FIREFOX, descendants, eventually, is_gone, serving
from tests.web.ports import Clock, public_port
from tests.web.sockets import exchange, parsed, request

KEYS = Keys()
READERS = 12
RECIPIENTS = [f"reader-{number}@example.com" for number in range(READERS)]
ADDRESSES = [f"127.77.{number}.{200 - number}" for number in range(READERS)]
HOUR_MS = 3_600_000
NOON_SECONDS = NOON // 1_000


@dataclass(frozen=True)
class Written:
    """Everything that a run has written, by the place where it lies; `tokens` and `codes` stand for recipients."""

    places: dict[str, bytes]
    tokens: set[bytes]
    codes: set[bytes]

    def with_addresses(self) -> set[str]:
        """The places in which an address of a reader's stands."""
        return {name for name, content in self.places.items() for address in ADDRESSES if found(content, address)}

    def with_recipients(self) -> set[str]:
        """The places in which a recipient stands: their id, their token as text or as a number, or their code."""
        numbers = {int(token).to_bytes(8, "little") for token in self.tokens}
        names = self.tokens | numbers | self.codes | {each.encode() for each in RECIPIENTS}
        return {name for name, content in self.places.items() if any(each in content for each in names)}


@pytest.fixture(scope="module")
def written() -> Iterator[Written]:
    """A run with every sink in use.

    Clicks of known recipients, also while the store is frozen, and in a spool that is then damaged; mistakes; opt-outs
    and erasures; keys that are used, right and wrong; and an hour that is over, so that the access log is written.
    """
    with short_directory() as directory, short_directory() as files, TemporaryFile("w+b") as log:
        settings = {
            "access_log_days": 7,
            "log_level": "debug",
            "country_database": countries(files / "c.mmdb", {"127.0.0.0/8": "DE"}),
            "isp_database": providers(files / "p.mmdb", {"127.0.0.0/8": "Loopback Ltd"}),
            "variables": moved_by(files / "clock"),
            "log": log,
        }
        set_clock(files / "clock", NOON_SECONDS + 60)
        with serving(directory, **settings) as running, _store(directory) as redis:  # type: ignore[arg-type]
            news, club = _mint(running)
            _click(club)
            _die_with_clicks_on_the_disk(running, redis, club, directory)
        _damage(directory)
        with serving(directory, **settings) as running, _store(directory) as redis:  # type: ignore[arg-type]
            news, club = _there(running, news), _there(running, club)
            _click([*news, *club])
            with _frozen(redis):
                _click(club)
                places = {f"{place} (store frozen)": content for place, content in _files(directory).items()}
            eventually(lambda: redis.xlen(KEYS.clicks()) == 5 * READERS - 1)
            clicks = redis.xrange(KEYS.clicks())
            places["store"] = _dump(redis)
            _mistakes(running, club)
            _ask_for_rights(news[0], club)
            _use_keys(running, directory)
            eventually(lambda: not redis.zcard(KEYS.erasures_waiting))
            places["store (at the end)"] = _dump(redis)
            places |= _files(directory)
            set_clock(files / "clock", NOON_SECONDS + 3_660)
            eventually(lambda: " 13:" in httpx.get(f"{running.public_url}/robots.txt").headers["date"])
        places |= {f"{place} (stopped)": content for place, content in _files(directory).items()}
        log.seek(0)
        places["log of the processes"] = log.read()
        codes = {url.rpartition("/")[2].encode() for url in club}
        yield Written(places, {fields[b"recipient"] for _, fields in clicks if b"recipient" in fields}, codes)


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


def _there(running: Running, urls: list[str]) -> list[str]:
    """The same URLs, on the port that the server has now."""
    return [running.public_url + url[url.index("/c/") :] for url in urls]


def _die_with_clicks_on_the_disk(running: Running, redis: Redis, urls: list[str], directory: Path) -> None:
    """The store freezes, readers click, and then every process is killed, and lets go of the directory."""
    processes = {running.pid, *descendants(running.pid)}
    os.kill(int(redis.info("server")["process_id"]), signal.SIGSTOP)
    _click(urls)
    os.kill(running.pid, signal.SIGKILL)
    eventually(lambda: all(map(is_gone, processes)) and owner_of(directory) is None)


def _damage(directory: Path) -> None:
    """A bit of the last click on the disk flips."""
    segment = max(directory.glob("redirect-0/spool/*.frames"))
    *most, last = segment.read_bytes()
    segment.write_bytes(bytes([*most, last ^ 1]))


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


def _ask_for_rights(everybody: str, club: list[str]) -> None:
    """Each reader opts out, or has their clicks erased, by the link of their own or by the one for everybody."""
    for number, url in enumerate(club):
        page = (url if number % 2 else everybody).replace("/c/", "/privacy/")
        with _as_reader(number) as browser:
            assert browser.post(f"{page}/{'opt-out' if number < READERS // 2 else 'erase'}").status_code == 200


def _use_keys(running: Running, directory: Path) -> None:
    """Programs at the readers' addresses ask about recipients, with a key that may and with one that nobody has."""
    made = ["keys", "create", "desk", "--scope", "personal", "--data-dir", str(directory)]
    key = subprocess.run(
        [sys.executable, "-m", "redirector.cli.main", *made], check=True, capture_output=True, text=True
    )
    for number, recipient in enumerate(RECIPIENTS):
        with _as_reader(number) as program:
            for act, status in (("export", 200), ("forget", 202)):
                url, body = f"{running.internal_url}/v1/recipients/{act}", {"recipient": recipient}
                right, wrong = (
                    program.post(url, json=body, headers={"authorization": f"Bearer {each}"})
                    for each in (key.stdout.strip(), f"rdr_{number:012x}_{'a' * 32}")
                )
                assert (right.status_code, wrong.status_code) == (status, 401)


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

    for place in ("store", "appendonlydir", "spool/", "spool/quarantine/", "links.sqlite", "log of the processes"):
        assert place in names
    assert len(written.tokens) == READERS
    spools = b"".join(content for name, content in written.places.items() if ".frames (store frozen)" in name)
    for token in written.tokens:
        assert token in written.places["store"]
        assert token in spools
    quarantine = b"".join(content for name, content in written.places.items() if "/quarantine/" in name)
    assert any(token in quarantine for token in written.tokens)
    for trace in (b"post_export", b"post_forget", b"opted_out", b"erasures"):
        assert trace in written.places["store (at the end)"] + written.places["log of the processes"]


def test_no_address_is_written_but_in_the_access_log(written: Written) -> None:
    """As text or as bytes, wherever the request had it; there it is once its hour is over, and not before."""
    day = time.strftime("%Y-%m-%d", time.gmtime(NOON_SECONDS))

    assert written.with_addresses() == {f"redirect-0/access/{day}.log (stopped)"}


def test_no_address_is_written_beside_a_recipient(written: Written) -> None:
    """No place has both, whatever stands for the recipient; and both were looked for where they are."""
    recipients = written.with_recipients()

    assert {name.partition(" ")[0] for name in recipients} >= {"store", "redirect-0/links.sqlite"}
    assert written.with_addresses() & recipients == set()


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
