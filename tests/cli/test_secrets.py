"""Passwords, secrets and keys are on no terminal and in no log: not in errors, and not in tracebacks either."""

import pytest

from tests.conftest import Run, short_directory
from tests.store.stores import asked, own_store

SECRET = "swordfish-swordfish-swordfish-1234"
PASSWORD = "hunter2hunter2"
KEY = f"rdr_{'0' * 12}_{'c0ffee' * 6}c0ff"
HIDDEN = (SECRET, "swordfish", PASSWORD, KEY, "c0ffee")

VARIABLES = {
    "REDIRECTOR_SECRET": SECRET,
    "REDIRECTOR_SIGNING_KEYS": f"{SECRET}-2,{SECRET}",
    "REDIRECTOR_STORE_URL": f"redis://:{PASSWORD}@127.0.0.1:1/0",
    "REDIRECTOR_URL": "http://127.0.0.1:1",
    "REDIRECTOR_API_KEY": KEY,
    "REDIRECTOR_BASE_URL": "https://news.example.com",
}

COMMANDS = {
    "explain": ("config", "explain"),
    "explain as JSON": ("config", "explain", "--json"),
    "keys list": ("keys", "list"),
    "keys create": ("keys", "create", "x", "--scope", "read"),
    "keys audit": ("keys", "audit"),
    "topics": ("topics",),
    "report": ("report", "news"),
    "doctor": ("doctor",),
    "backup": ("backup", "-"),
}

WRONG: dict[str, dict[str, str]] = {
    "nothing": {},
    "a wrong port": {"REDIRECTOR_PUBLIC_PORT": "x"},
    "a short secret": {"REDIRECTOR_SECRET": "swordfish"},
    "a short signing key": {"REDIRECTOR_SIGNING_KEYS": f"{SECRET},swordfish"},
    "a store URL of no scheme": {"REDIRECTOR_STORE_URL": f"postgres://:{PASSWORD}@127.0.0.1/0"},
    "a store URL that is none": {"REDIRECTOR_STORE_URL": f"redis://:{PASSWORD}/[@x:y"},
    "a base URL with a password": {"REDIRECTOR_BASE_URL": f"https://a:{PASSWORD}@news.example.com"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("form", ["text", "json"])
def test_tracebacks_show_no_secret(run: Run, wrong: dict[str, str], form: str) -> None:
    """With --debug, whatever is wrong, in either format of the log."""
    outcome = run("--debug", "keys", "list", **VARIABLES | wrong, REDIRECTOR_LOG_FORMAT=form)

    shown = outcome.stdout + outcome.stderr
    assert outcome.returncode != 0
    assert shown
    assert [hidden for hidden in HIDDEN if hidden in shown] == []


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_commands_show_no_secret(run: Run, command: tuple[str, ...]) -> None:
    """Nor does any command that has them, when the store and the server are away."""
    outcome = run("--debug", *command, **VARIABLES)

    shown = outcome.stdout + outcome.stderr
    assert shown
    assert [hidden for hidden in HIDDEN if hidden in shown] == []


def test_store_that_refuses_the_password_is_not_told_it(run: Run) -> None:
    """A wrong password is said to be wrong, and not shown."""
    with short_directory() as directory, own_store("valkey", directory) as url:
        with asked(url) as store:
            store.config_set("requirepass", "another")
        with_password = url.replace("unix://", f"unix://:{PASSWORD}@")
        outcome = run("--debug", "keys", "list", **VARIABLES | {"REDIRECTOR_STORE_URL": with_password})

    assert outcome.returncode != 0
    assert "password" in outcome.stderr.lower()
    assert [hidden for hidden in HIDDEN if hidden in outcome.stderr] == []
