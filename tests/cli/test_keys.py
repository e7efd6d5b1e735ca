"""`keys create`: prints a key that works, over every kind of store, and leaves nothing running."""

import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

import pytest

from redirector.client import Client
from redirector.errors import ScopeMissing
from redirector.installation import Running, running_in
from tests.builders import SECRET
from tests.cli.conftest import Command
from tests.conftest import Run
from tests.processes import command_line, serving

KEY = re.compile(r"rdr_[0-9a-f]{12}_[0-9a-f]{40}\n")


def processes_over(directory: Path) -> list[str]:
    """The command lines that name this directory."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [line for pid in pids if str(directory) in (line := command_line(pid))]


def test_key_is_made_while_a_server_runs_and_works(command: Command, directory: Path) -> None:
    """With a server running over the directory the key works at once, for its scopes and no others."""
    with serving(directory) as running:
        outcome = command("keys", "create", "tool", "--scope", "read", "--data-dir", str(directory))

        assert outcome.code == 0
        assert KEY.fullmatch(outcome.text)
        with Client(running.internal_url, outcome.text.strip()) as client:
            assert client.topics().topics == []
            with pytest.raises(ScopeMissing):
                client.create_campaign("news")


def test_key_that_was_made_before_the_first_start_works(run: Run, directory: Path) -> None:
    """Without a server the store is started for a moment; the key works when the server comes."""
    outcome = run("keys", "create", "tool", "--scope", "mint", "--scope", "read", "--data-dir", str(directory))

    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert KEY.fullmatch(outcome.stdout)
    assert processes_over(directory) == []
    assert running_in(directory) is None
    with serving(directory) as running, Client(running.internal_url, outcome.stdout.strip()) as client:
        assert client.create_campaign("news").name == "news"


def test_key_in_a_store_of_ones_own(command: Command, store_url: str, directory: Path) -> None:
    """With --store-url and the secret of the roles, the key works for a server over that store."""
    own: dict[str, Any] = {"store_url": store_url, "secret": SECRET, "store_prefix": f"keys-{secrets.token_hex(4)}"}
    environment = {f"REDIRECTOR_{name.upper()}": value for name, value in own.items() if name != "store_url"}
    outcome = command("keys", "create", "tool", "--scope", "read", "--store-url", store_url, **environment)

    assert outcome.code == 0
    assert list(directory.iterdir()) == []
    with serving(directory, **own) as running, Client(running.internal_url, outcome.text.strip()) as client:
        assert client.topics().topics == []


def test_key_with_a_secret_that_no_server_has_is_not_made(command: Command, store_url: str, directory: Path) -> None:
    """With --store-url and no secret there is no key, for no role would know it, and none is made up."""
    outcome = command("keys", "create", "tool", "--scope", "read", "--store-url", store_url)

    assert (outcome.code, outcome.stdout) == (2, b"")
    assert "REDIRECTOR_SECRET: a key is only known to servers with the same secret" in outcome.stderr
    assert list(directory.iterdir()) == []


def test_key_for_a_server_with_a_store_of_ones_own(command: Command, store_url: str, directory: Path) -> None:
    """With --store-url the secret that `serve` made in its data directory is taken, and that is said."""
    prefix = f"keys-{secrets.token_hex(4)}"
    with serving(directory, store_url=store_url, store_prefix=prefix) as running:
        create = ("keys", "create", "tool", "--scope", "read", "--store-url", store_url, "--data-dir", str(directory))
        outcome = command(*create, REDIRECTOR_STORE_PREFIX=prefix)

        assert outcome.stderr.endswith(f"The key is for servers with the secret in {directory}.\n")
        with Client(running.internal_url, outcome.text.strip()) as client:
            assert client.topics().topics == []


def test_key_as_json(command: Command, store_url: str) -> None:
    """--json prints the key with what it is for."""
    environment = {"REDIRECTOR_SECRET": SECRET, "REDIRECTOR_STORE_PREFIX": f"keys-{secrets.token_hex(4)}"}
    create = ("keys", "create", "tool", "--scope", "read", "--scope", "mint", "--store-url", store_url, "--json")

    made = json.loads(command(*create, **environment).stdout)

    assert KEY.fullmatch(made.pop("key") + "\n")
    assert made == {"name": "tool", "scopes": ["read", "mint"]}


def test_second_key_of_a_name_is_refused(command: Command, store_url: str) -> None:
    """A name stands for one key: the same once more is refused, and prints none."""
    environment = {"REDIRECTOR_SECRET": SECRET, "REDIRECTOR_STORE_PREFIX": f"keys-{secrets.token_hex(4)}"}
    create = ("keys", "create", "tool", "--scope", "read", "--store-url", store_url)
    command(*create, **environment)

    again = command(*create, **environment)

    assert (again.code, again.stdout) == (1, b"")
    assert "NAME: there is a key of this name ('tool')" in again.stderr


def test_key_that_the_server_would_not_know_is_not_made(command: Command, directory: Path) -> None:
    """A server with a secret from its environment is not given keys made with another one."""
    with serving(directory, secret=SECRET):
        create = ("keys", "create", "tool", "--scope", "read", "--data-dir", str(directory))
        without = command(*create)
        with_it = command(*create, REDIRECTOR_SECRET=SECRET)

    assert (without.code, without.stdout) == (1, b"")
    assert "REDIRECTOR_SECRET: the server over" in without.stderr
    assert with_it.code == 0


def test_directory_that_is_taken_is_named(command: Command, server: Running, directory: Path) -> None:
    """While another process holds the directory without serving yet, the error names both."""
    from redirector.store.embedded import ownership

    with ownership(directory):
        outcome = command("keys", "create", "tool", "--scope", "read", "--data-dir", str(directory))

    assert outcome.code == 1
    assert f"in use by process {os.getpid()}" in outcome.stderr
    assert str(directory) in outcome.stderr


@pytest.mark.parametrize(
    ("url", "code", "message"),
    [
        ("redis://127.0.0.1:1", 1, "the store does not answer"),
        ("unix:///nosuch/valkey.sock", 1, "the store does not answer"),
        ("http://127.0.0.1", 2, "--store-url"),
        ("redis://:hunter2@127.0.0.1:1/x", 1, "the store does not answer"),
        ("redis://:hunter2@127.0.0.1:1/?db=x", 1, "db"),
        ("redis://:hunter2@127.0.0.1:1/?nosuch=x", 1, "nosuch"),
    ],
)
def test_store_that_cannot_be_reached_is_told(command: Command, url: str, code: int, message: str) -> None:
    """A store URL that leads nowhere is told, without its password."""
    outcome = command("keys", "create", "x", "--scope", "mint", "--store-url", url, REDIRECTOR_SECRET=SECRET)

    assert (outcome.code, outcome.stdout) == (code, b"")
    assert message in outcome.stderr
    assert "hunter2" not in outcome.stderr
