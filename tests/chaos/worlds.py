"""The program as an operator runs it, over its own store or over a store behind a network that can fail."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from redis.exceptions import RedisError

from redirector.client import Client
from redirector.codes import Codes
from redirector.installation import Running, secret_of
from redirector.settings import without_settings
from redirector.store.embedded import socket_path
from redirector.store.keys import Keys
from tests.chaos.disk import BadDisk
from tests.chaos.ledger import Ledger
from tests.chaos.links import Answer, Links
from tests.chaos.proxy import Proxy
from tests.chaos.store import OwnStore
from tests.conftest import needed, short_directory
from tests.processes import Crowd, descendants, eventually, is_gone, serving

KINDS = ("embedded", "own-store", "odd-clock")

# Within this time a change to a link reaches every redirect process, while the store is there.
CHANGE_SECONDS = 1.0

READERS = 4
NEW_READERS = 20
TOLD_SECONDS = 20.0

# How the supervisor says that a process ended.
_DEATH = re.compile(r"the .+ ended with code -?\d+")


class World:
    """A server over a data directory, with what its readers need.

    `kind` is one of KINDS: over the embedded store, over a store behind a network that can fail and with two redirect
    processes, or over the embedded store with a wall clock that can be moved.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.proxy: Proxy | None = None
        self._own_store: OwnStore | None = None
        self._opened = ExitStack()
        self._life = ExitStack()  # ends with each life of the server
        self._beside: subprocess.Popen[bytes] | None = None
        self._killed = 0
        self._deaths: list[str] = []
        self._log_read_to = 0
        self.ledger = Ledger()
        self._last_entry = "-"
        self._port = 0  # the first life's choice is kept by the others

    def __enter__(self) -> Self:
        self.directory = self._opened.enter_context(short_directory())
        self._settings = {"count_claim_after_ms": "1000", "count_hold_ms": "300"}
        self.disk = BadDisk(self.directory)
        self._log_path = self.directory / "log"
        self._log = self._opened.enter_context(self._log_path.open("a"))
        if self.kind == "own-store":
            self._own_store = self._opened.enter_context(OwnStore(self._opened.enter_context(short_directory())))
            self._store_socket = self._own_store.socket
            self.proxy = self._opened.enter_context(Proxy(str(self._store_socket)))
            self._settings |= {"store_url": f"redis://127.0.0.1:{self.proxy.port}", "workers": "2"}
        else:
            self._store_socket = socket_path(self.directory)
        self.start()
        self.links = Links(Codes(secret_of(self.directory).get_secret_value()))
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
                variables=self.disk.variables | (self._odd_clock() if self.kind == "odd-clock" else {}),
                log=self._log,
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
        self._deaths += self._not_killed()
        self._forget_kills()  # whoever would have told of the last ones is dead

    @contextmanager
    def _second_worker(self) -> Iterator[None]:
        settings = {**self._settings, "secret": secret_of(self.directory).get_secret_value(), "internal_port": "0"}
        environment = without_settings(os.environ) | {
            f"REDIRECTOR_{name.upper()}": value for name, value in settings.items()
        }
        command = [sys.executable, "-m", "redirector.cli.main", "run", "worker"]
        self._beside = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=self._log)
        try:
            yield
        finally:
            self._beside.kill()
            self._beside.wait()

    def pids(self, words: str) -> list[int]:
        """The processes of the server whose command line has these words."""
        return [pid for pid, command in descendants(self.running.pid).items() if words in command]

    @property
    def store_pid(self) -> int:
        """The store's process."""
        with self.store() as redis:
            return int(redis.info("server")["process_id"])

    def kill(self, *pids: int) -> None:
        """SIGKILL of processes that the supervisor then starts again."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self._killed += 1

    @contextmanager
    def killed_store(self) -> Iterator[None]:
        """SIGKILL of the store; one of the operator's own is started again at the end."""
        if self._own_store is None:
            self.kill(self.store_pid)
            yield
            return
        self._own_store.kill()
        try:
            yield
        finally:
            self._own_store.start()

    def begin_watch(self) -> None:
        """From now on, `deaths` tells of what ends."""
        self._deaths = []
        self._forget_kills()

    def deaths(self) -> list[str]:
        """What ended by itself; waits until the supervisor has told of everything that was killed."""
        with suppress(AssertionError):
            eventually(lambda: len(self._told()) >= self._killed, TOLD_SECONDS)
        ended = self._deaths + self._not_killed()
        if len(self._told()) < self._killed:
            ended.append(f"{self._killed} processes were killed, and the supervisor told of {len(self._told())}")
        if is_gone(self.running.pid):
            ended.append("the supervisor ended")
        if self._beside and self._beside.poll() is not None:
            ended.append(f"the second consumer ended with code {self._beside.returncode}")
        if self._own_store and not self._own_store.runs:
            ended.append("the operator's store ended")
        return ended

    def _not_killed(self) -> list[str]:
        told = self._told()
        killed = [death for death in told if death.endswith("code -9")]
        return [death for death in told if death not in killed] + killed[self._killed :]

    def _forget_kills(self) -> None:
        self._killed = 0
        self._log_read_to = self._log_path.stat().st_size

    def _told(self) -> list[str]:
        """The deaths that the supervisor told of."""
        return _DEATH.findall(self._log_path.read_bytes()[self._log_read_to :].decode())

    def last_words(self) -> str:
        """The end of what the server said."""
        return self._log_path.read_bytes()[self._log_read_to :].decode()[-3000:]

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

    # --- readers

    def refill(self) -> None:
        """Sees to it that there are links to click on, and that every redirect process knows them."""
        self.links.settle()
        with self.client() as client:
            made = self.links.fill(client)
        if made:
            time.sleep(CHANGE_SECONDS)

    @contextmanager
    def readers(self) -> Iterator[Crowd]:
        """Readers who click on the links without a pause while the block lasts; their clicks are then in the ledger."""
        with Crowd(self.links.clicks(self.running.public_url), READERS, patient=True) as crowd:
            yield crowd
        self.ledger.made(
            answered=self.links.in_stream(url for url, (status, _) in crowd.answered.items() if status == 302),
            unanswered=self.links.in_stream(crowd.unanswered),
        )

    def answers_on(self, link: int) -> set[Answer]:
        """How many new readers are answered who click on a link: so many that each redirect process has some."""
        with ExitStack() as stack:
            urls = [self.links.click_on(link, self.running.public_url) for _ in range(NEW_READERS)]
            crowds = [stack.enter_context(Crowd([url], 1)) for url in urls]
            for crowd in crowds:
                crowd.finish()
        return {answer for crowd in crowds for answer in crowd.answered.values()}

    # --- what can be seen

    def client(self) -> Client:
        """A client of the API."""
        return Client(self.running.internal_url, self.running.api_key)

    @contextmanager
    def store(self) -> Iterator[Redis]:
        """A client that reaches the store whatever its network does."""
        with Redis(unix_socket_path=str(self._store_socket), decode_responses=True, socket_timeout=20) as redis:
            yield redis

    def look(self) -> None:
        """Reads what is new in the click stream."""
        with self.store() as redis:
            while True:
                new: Any = redis.xrange(Keys().clicks(), min=self._last_entry, count=10_000)
                if not new:
                    return
                for _, fields in new:
                    self.ledger.arrived(f"{fields.get('link')} {fields.get('recipient', 0)}")
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
            with self.client() as client:
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
