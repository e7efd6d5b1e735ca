"""`keys`: makes keys that work, over every kind of store, shows them, and ends them; leaves nothing running."""

import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis as SyncRedis

from redirector.client import Client
from redirector.errors import KeyMissing, ScopeMissing
from redirector.installation import Running, running_in
from redirector.store.embedded import socket_path
from redirector.store.keys import Keys
from tests.builders import SECRET
from tests.cli.conftest import Command
from tests.conftest import Run
from tests.processes import command_line, serving
from tests.store.stores import asked, own_store

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
    assert made == {"name": "tool", "scopes": ["read", "mint"], "expires_at": None, "destinations": []}


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


@pytest.fixture
def own(store_url: str) -> dict[str, str]:
    """An installation over the shared store, as the command line is told of it."""
    prefix = f"keys-{secrets.token_hex(4)}"
    return {"REDIRECTOR_STORE_URL": store_url, "REDIRECTOR_SECRET": SECRET, "REDIRECTOR_STORE_PREFIX": prefix}


def test_key_with_limits_is_listed_with_them(command: Command, own: dict[str, str]) -> None:
    """The list has everything about a key but the key."""
    limits = ("--expires", "2099-03-01", "--allow-destination", "Example.COM", "--allow-destination", "bücher.example")
    key = command("keys", "create", "tool", "--scope", "read", "--scope", "mint", *limits, **own).text.strip()
    text, as_json = command("keys", "list", **own), command("keys", "list", "--json", **own)

    (listed,) = json.loads(as_json.stdout)
    key_id, secret = key.removeprefix("rdr_").split("_")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", listed.pop("created_at"))
    assert listed == {
        "id": key_id,
        "name": "tool",
        "scopes": ["mint", "read"],
        "expires_at": "2099-03-01T00:00:00Z",
        "last_used": None,
        "destinations": ["example.com", "xn--bcher-kva.example"],
    }
    assert text.text.splitlines()[1].split()[:2] == [key_id, "tool"]
    assert secret not in text.text + as_json.text


def test_use_is_listed_to_the_day(command: Command, directory: Path) -> None:
    """After its first use a key has the day of it; the server's own key is listed too."""
    with serving(directory) as running:
        key = command("keys", "create", "tool", "--scope", "read", "--data-dir", str(directory)).text.strip()
        with Client(running.internal_url, key) as client:
            client.topics()
        listed = json.loads(command("keys", "list", "--json", "--data-dir", str(directory)).stdout)

    (tool,) = (each for each in listed if each["name"] == "tool")
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", tool["last_used"])


@pytest.mark.parametrize("by_id", [False, True], ids=["by name", "by id"])
def test_revoked_key_ends_at_once(command: Command, directory: Path, by_id: bool) -> None:
    """The next request with a revoked key is refused by a server that runs."""
    with serving(directory) as running:
        here = ("--data-dir", str(directory))
        key = command("keys", "create", "tool", "--scope", "read", *here).text.strip()
        with Client(running.internal_url, key) as client:
            client.topics()
            revoked = command("keys", "revoke", key.split("_")[1] if by_id else "tool", *here)
            with pytest.raises(KeyMissing):
                client.topics()

    assert (revoked.code, revoked.stdout) == (0, b"")
    assert "The key tool" in revoked.stderr


def test_expired_key_is_refused(command: Command, directory: Path) -> None:
    """A server refuses a key whose day has come, word for word like one that never was."""
    with serving(directory) as running:
        create = ("keys", "create", "tool", "--scope", "read", "--expires", "1m", "--data-dir", str(directory))
        key = command(*create).text.strip()
        url, headers = f"{running.internal_url}/v1/topics", {"authorization": f"Bearer {key}"}
        before = httpx.get(url, headers=headers, trust_env=False)
        expire(directory, key.split("_")[1])
        expired = httpx.get(url, headers=headers, trust_env=False)
        unknown = httpx.get(url, headers={"authorization": f"Bearer rdr_{'0' * 12}_{'0' * 40}"}, trust_env=False)

    assert (before.status_code, expired.status_code) == (200, 401)
    assert expired.text == unknown.text


def expire(directory: Path, key_id: str) -> None:
    """Moves the end of a key into the past, where only the store's record has it."""
    name = Keys().api_keys
    with SyncRedis(unix_socket_path=str(socket_path(directory))) as redis:
        record = json.loads(redis.hget(name, key_id) or "")
        redis.hset(name, key_id, json.dumps(record | {"expires_at": 1_000}))


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("create", "x", "--scope", "read", "--expires", "soon"), "--expires"),
        (("create", "x", "--scope", "read", "--expires", "2020-01-01"), "--expires"),
        (("create", "x", "--scope", "read", "--allow-destination", "*.example.com"), "--allow-destination"),
        (("create", "x", "--scope", "read", "--allow-destination", "co.uk"), "--allow-destination"),
        (("audit", "--since", "yesterday"), "--since"),
    ],
    ids=["no end", "an end that is over", "no domain", "everybody's domain", "no span"],
)
def test_wrong_limit_is_named(command: Command, own: dict[str, str], arguments: tuple[str, ...], field: str) -> None:
    """The error names the flag, and no key is made."""
    outcome = command("keys", *arguments, **own)

    assert (outcome.code, outcome.stdout) == (2, b"")
    assert f"error: {field}: " in outcome.stderr
    assert json.loads(command("keys", "list", "--json", **own).stdout) == []


def test_key_that_is_not_there_cannot_be_revoked(command: Command, own: dict[str, str]) -> None:
    """The error says where to look."""
    outcome = command("keys", "revoke", "nobody", **own)

    assert (outcome.code, outcome.stdout) == (1, b"")
    assert "keys list" in outcome.stderr


def test_audit_has_what_was_done_to_keys(command: Command, own: dict[str, str]) -> None:
    """Making and revoking keys is in the audit, with the key's id and what came of it, and never the key."""
    key = command("keys", "create", "tool", "--scope", "read", **own).text.strip()
    command("keys", "create", "tool", "--scope", "read", **own)
    command("keys", "revoke", "tool", "--json", **own)
    text, as_json = command("keys", "audit", **own), command("keys", "audit", "--since", "1h", "--json", **own)

    uses = json.loads(as_json.stdout)
    assert [(use["who"], use["action"], use["outcome"]) for use in uses] == [
        ("command line", "keys create", "done"),
        ("command line", "keys create", "key_name_taken"),
        ("command line", "keys revoke", "done"),
    ]
    assert uses[0]["key"] == uses[2]["key"] == key.split("_")[1]
    assert len(text.text.splitlines()) == 4
    assert key.split("_")[2] not in text.text + as_json.text


def test_leaked_key_can_be_revoked_in_a_full_store(command: Command, directory: Path) -> None:
    """A store that takes no more writes still ends a key; what could not be written is told."""
    with own_store("valkey", directory) as url:
        own = {"REDIRECTOR_STORE_URL": url, "REDIRECTOR_SECRET": SECRET}
        command("keys", "create", "leaked", "--scope", "mint", **own)
        with asked(url) as store:
            store.config_set("maxmemory", 1)
        refused = command("keys", "create", "another", "--scope", "mint", **own)
        revoked = command("keys", "revoke", "leaked", **own)
        listed = command("keys", "list", "--json", **own)

    assert (refused.code, revoked.code) == (1, 0)
    assert "not in the audit" in revoked.stderr
    assert "is revoked" in revoked.stderr
    assert listed.text == "[]\n"
