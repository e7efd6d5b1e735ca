"""`links check` and `links create --check`: whether destinations answer."""

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from redirector.ask import Asker
from redirector.check import Checker
from redirector.cli.checking import checked, show
from redirector.client import Client
from redirector.destinations import DestinationPolicy
from redirector.wire import LinkOut
from tests.cli.conftest import Command
from tests.processes import serving
from tests.sites import Names, Site, here, site

# RFC 6761: names under invalid never resolve, whichever resolver this machine has.
POLICY = DestinationPolicy(frozenset())
NOWHERE = "https://shop.invalid/offer"


@pytest.fixture
def campaign() -> str:
    """A campaign that no other test has."""
    return f"check {secrets.token_hex(6)}"


@pytest.fixture
def shop() -> Iterator[Site]:
    """A site."""
    with site() as found:
        yield found


def a_link_out(number: int, destination: str, **properties: object) -> LinkOut:
    """A link as the API answers it."""
    known = {
        "id": number, "code": "x", "url": "https://news.example.com/c/x", "destination": destination, "sent_as": None,
        "campaign": "news", "topics": [], "label": "", "expires_at": None, "disabled": False, "honeypot": False,
        "created_at": datetime(2026, 11, 23, tzinfo=UTC),
    }  # fmt: skip
    return LinkOut.model_validate({**known, **properties})


async def no_sleep(_: float) -> None:
    """Time is not what these tests are about."""


def checker() -> Checker:
    """Reaches the tests' site under its name."""
    names = Names({"www.example.com": [["127.0.0.1"]]})
    return Checker(Asker(names, may_connect=here), sleep=no_sleep)


async def test_broken_links_come_first(shop: Site) -> None:
    """Every link has a row with all that was found; links of one destination share one question."""
    shop.answers("/ok")
    shop.answers("/on", 301, location="/ok")
    shop.answers("/shut", 403)
    shop.answers("/back", 302, location="https://news.example.com/c/x")
    urls = [shop.url(path) for path in ("/ok", "/on", "/shut", "/gone", "/back", "/ok")]

    rows = await checked([a_link_out(number, url) for number, url in enumerate(urls, 1)], checker(), POLICY)

    assert [(link.id, found.verdict, found.status, found.reason) for link, found in rows] == [
        (4, "broken", 404, "status"),
        (5, "broken", None, "own_host"),
        (3, "unsure", 403, "shut"),
        (1, "answers", 200, ""),
        (2, "answers", 200, ""),
        (6, "answers", 200, ""),
    ]
    assert rows[4][1].hops == (shop.url("/on"), shop.url("/ok"))
    assert shop.lines.count("HEAD /ok") == 2


async def test_what_answers_is_counted(shop: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has what is not well; the last line counts everything, on stderr; no bar where no terminal is."""
    shop.answers("/ok")
    rows = await checked([a_link_out(1, shop.url("/ok")), a_link_out(2, shop.url("/[red]x"))], checker(), POLICY)

    broken = show(rows, as_json=False)

    stdout, stderr = capsys.readouterr()
    head, row = stdout.splitlines()
    assert broken == 1
    assert head.split() == ["link", "campaign", "what", "status", "why", "destination"]
    assert row.split() == ["2", "news", "broken", "404", "it", "answers", "404", shop.url("/[red]x")]
    assert stderr == "1 links answer, 0 cannot be told, 1 are broken\n"


def test_broken_link_ends_the_command_with_1(command: Command, there: dict[str, str], campaign: str) -> None:
    """A destination that nobody knows is broken; a disabled link is not asked about."""
    command("links", "create", NOWHERE, NOWHERE + "?2", "-c", campaign, **there)
    with Client(there["REDIRECTOR_URL"], there["REDIRECTOR_API_KEY"]) as client:
        first, second = client.links(campaign)
        client.update_link(second.id, disabled=True)

    outcome = command("links", "check", "-c", campaign, "--json", **there)

    (row,) = json.loads(outcome.stdout)
    assert outcome.code == 1
    assert (row["id"], row["verdict"], row["reason"]) == (first.id, "broken", "unresolved")
    assert row["detail"] == "its host is not known"
    assert (row["status"], row["hops"], row["final_url"]) == (None, [NOWHERE], NOWHERE)


def test_without_a_campaign_all_links_are_checked(command: Command, directory: Path, campaign: str) -> None:
    """Every campaign's links are looked at."""
    with serving(directory / "data") as running:  # one of its own: the links of other tests would be asked too
        there = {"REDIRECTOR_URL": running.internal_url, "REDIRECTOR_API_KEY": running.api_key}
        for name in (campaign, campaign + " 2"):
            command("links", "create", NOWHERE, "-c", name, **there)

        rows = json.loads(command("links", "check", "--json", **there).stdout)

    assert {row["campaign"] for row in rows} == {campaign, campaign + " 2"}


def test_campaign_without_links_is_well(command: Command, there: dict[str, str], campaign: str) -> None:
    """Where nothing is broken the exit code is 0."""
    with Client(there["REDIRECTOR_URL"], there["REDIRECTOR_API_KEY"]) as client:
        client.create_campaign(campaign)

    outcome = command("links", "check", "-c", campaign, **there)

    assert (outcome.code, outcome.stdout) == (0, b"")
    assert "0 links answer" in outcome.stderr


def test_broken_destination_is_not_minted(command: Command, there: dict[str, str], campaign: str) -> None:
    """`links create --check` refuses what does not answer, and says which URL, why and what to do."""
    outcome = command("links", "create", NOWHERE, "-c", campaign, "--check", **there)

    assert (outcome.code, outcome.stdout) == (2, b"")
    assert f"error: URL '{NOWHERE}': its host is not known" in outcome.stderr
    assert "try: open it in a browser, and correct it or mint it without a check" in outcome.stderr
