"""`forget` and `export`: what the operator does for a reader, from the command line to the stream and back."""

import json
import secrets
import time

import httpx
import pytest

from redirector.client import Client
from redirector.installation import Running
from tests.cli.conftest import Command
from tests.processes import FIREFOX, eventually

LATER = "Clicks that wait on a disk, because the store could not take them, come later."


@pytest.fixture
def reader() -> str:
    """A recipient whom no other test has."""
    return f"reader-{secrets.token_hex(8)}"


def link_of(client: Client, reader: str) -> str:
    """A URL of the reader's own, in a campaign that no other test has."""
    campaign = client.create_campaign(f"own {secrets.token_hex(6)}", tracking="individual", consent="CRM, field 7").name
    link = client.create_link("https://www.example.com/offer", campaign)
    (own,) = client.urls(link.id, [reader])
    return own.url


def click(client: Client, reader: str, times: int) -> None:
    """The reader follows a link of their own so many times."""
    own = link_of(client, reader)
    for _ in range(times):
        assert httpx.get(own, headers={"User-Agent": FIREFOX}).status_code == 302


def test_what_is_recorded_is_printed_and_erased(
    command: Command, there: dict[str, str], client: Client, reader: str
) -> None:
    """A line for each click, or one JSON list; after `forget` and a moment only the erasure itself is known."""
    click(client, reader, 2)
    lines = command("export", "--recipient", reader, **there)
    listed = command("export", "--recipient", reader, "--json", **there)
    forgotten = command("forget", "--recipient", reader, **there)
    eventually(lambda: [each.get("state") for each in client.export_recipient(reader)] == ["done"])
    erased = command("export", "--recipient", reader, **there)

    clicks = [json.loads(line) for line in lines.text.splitlines()]
    assert [each["client"] for each in clicks] == ["Firefox"] * 2
    assert json.loads(listed.text) == clicks
    assert lines.stderr == f"That is all that is known now. {LATER}\n"
    assert forgotten.text.startswith("2 clicks of this recipient up to 20")
    assert json.loads(erased.text)["kind"] == "erasure"
    assert "Nothing is known" not in erased.stderr
    assert reader not in lines.text + listed.text + forgotten.text + erased.text


def test_who_opted_out_is_known(command: Command, there: dict[str, str], client: Client, reader: str) -> None:
    """Somebody of whom no click is recorded any more has a line that says since when, and not that nothing is known."""
    begun = time.time()
    own = link_of(client, reader)
    assert httpx.post(own.replace("/c/", "/privacy/") + "/opt-out").status_code == 200
    told = command("export", "--recipient", reader, **there)

    (line,) = (json.loads(line) for line in told.text.splitlines())
    assert line == {"kind": "opt_out", "at": line["at"]}
    assert begun - 1 <= int(line["at"]) / 1000 <= time.time() + 1
    assert told.stderr == f"That is all that is known now. {LATER}\n"


def test_who_is_not_known_is_told(command: Command, there: dict[str, str], reader: str) -> None:
    """Nothing to print or to erase is no failure; --json says how many there were."""
    nothing = command("export", "--recipient", reader, **there)
    nothing_listed = command("export", "--recipient", reader, "--json", **there)
    told = command("forget", "--recipient", reader, **there)
    as_json = command("forget", "--recipient", reader, "--json", **there)

    assert (nothing.code, nothing.text) == (0, "")
    assert nothing.stderr == f"Nothing is known of this recipient now. {LATER}\n"
    assert (nothing_listed.code, json.loads(nothing_listed.text)) == (0, [])
    assert (told.code, told.text.startswith("No click of this recipient is known.")) == (0, True)
    assert json.loads(as_json.text)["clicks"] == 0


def test_help_says_what_comes_later(command: Command) -> None:
    """Whoever hands the answer on must know that a click may be missing which is still on a disk."""
    assert "Clicks that wait on a disk come later." in " ".join(command("export", "--help").text.split())


@pytest.mark.parametrize("name", ["forget", "export"])
def test_what_is_no_recipient_is_refused_and_not_repeated(command: Command, there: dict[str, str], name: str) -> None:
    """An id that is too long may still be a person's: the message does not show it."""
    outcome = command(name, "--recipient", "hunter2" * 100, **there)

    assert outcome.code == 2
    assert "--recipient" in outcome.stderr
    assert "hunter2" not in outcome.stderr


async def test_both_clients_do_the_same(server: Running, client: Client, reader: str) -> None:
    """What Client hands out, AsyncClient does."""
    from redirector.client import AsyncClient

    click(client, reader, 1)
    async with AsyncClient(server.internal_url, server.api_key) as other:
        assert [each async for each in other.export_recipient(reader)] == list(client.export_recipient(reader))
        assert (await other.forget_recipient(reader)).clicks == 1
