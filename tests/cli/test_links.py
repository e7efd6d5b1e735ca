"""`links create` and `links list`, and how the command line finds its server."""

import json
import re
import secrets
from pathlib import Path

import pytest

from redirector.client import Client
from redirector.installation import Running
from tests.cli.conftest import Command
from tests.processes import serving

OFFER = "https://www.example.com/offer?a=1&b=2"


@pytest.fixture
def campaign() -> str:
    """A campaign that no other test has."""
    return f"links {secrets.token_hex(6)}"


def test_links_are_minted(command: Command, there: dict[str, str], campaign: str) -> None:
    """Each URL's tracked one is a line of stdout, in their order."""
    outcome = command("links", "create", OFFER, OFFER + "&c=3", "-c", campaign, "-t", "solar", "-t", "billing", **there)
    listed = json.loads(command("links", "list", "-c", campaign, "--json", **there).stdout)

    assert outcome.text.splitlines() == [link["url"] for link in listed]
    assert [link["destination"] for link in listed] == [OFFER, OFFER + "&c=3"]
    assert [link["topics"] for link in listed] == [["solar", "billing"]] * 2


def test_link_has_its_label_and_end(command: Command, there: dict[str, str], campaign: str) -> None:
    """--label and --expires-at, which is in UTC, are the link's; --json prints all of it."""
    create = ("links", "create", OFFER, "-c", campaign, "--label", "button", "--expires-at", "2100-01-02T03:04:05")

    (link,) = json.loads(command(*create, "--json", **there).stdout)

    assert (link["label"], link["expires_at"], link["topics"]) == ("button", "2100-01-02T03:04:05Z", [])


def test_table_of_links_has_every_column(command: Command, there: dict[str, str], campaign: str) -> None:
    """A link's row has its number, URL, topics, label and destination, uncut."""
    long = OFFER + "&x=" + "y" * 1_900
    command("links", "create", long, "-c", campaign, "-t", "solar", "--label", "[red]x[/]", **there)

    head, row = command("links", "list", "-c", campaign, **there).text.splitlines()

    assert head.split() == ["id", "tracked", "URL", "topics", "label", "destination"]
    assert row.split()[2:] == ["solar", "[red]x[/]", long]


def test_refused_row_does_not_spoil_the_others(command: Command, there: dict[str, str], campaign: str) -> None:
    """What can be minted is printed; each refusal is told with its value; the exit code is 2."""
    outcome = command("links", "create", OFFER, "javascript:x", "https://u@x.example", "-c", campaign, **there)

    assert outcome.code == 2
    assert len(outcome.text.splitlines()) == 1
    assert "error: URL 'javascript:x': only http and https are redirected to ('javascript')\n" in outcome.stderr
    assert "error: URL 'https://u@x.example': " in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([OFFER, "-c", "news", "-t", "Solar Panels"], "error: --topic: a topic is 1 to 50 of a-z"),
        ([OFFER, "-c", "news", *["-t", "solar"] * 11], "error: --topic: "),
        ([OFFER, "-c", ""], "error: --campaign: "),
        (["", "-c", "news"], "error: URL '': there is no URL"),
        (["ftp://" + "x" * 200, "-c", "news"], f"error: URL 'ftp://{'x' * 94}'...: "),
        ([OFFER, "-c", "news", "--label", "x" * 300], "error: --label: "),
        ([OFFER, "-c", "news", "--expires-at", "tomorrow"], "like 2026-12-31T23:59:59Z ('tomorrow')"),
        ([OFFER, "-c", "news", "--expires-at", "tomorrow"], "error: --expires-at: "),
        ([OFFER, "-c", "news", "--expires-at", "1969-01-01"], "between the years 1970 and 9999 ('1969-01-01"),
        ([OFFER + "\udcff", "-c", "news"], "half a character"),
    ],
    ids=[
        "topic",
        "topics",
        "campaign",
        "destination",
        "long destination",
        "label",
        "moment's value",
        "moment",
        "early moment",
        "not UTF-8",
    ],
)
def test_wrong_input_is_told(command: Command, there: dict[str, str], arguments: list[str], message: str) -> None:
    """What is wrong is named, and nothing is printed as a result."""
    outcome = command("links", "create", *arguments, **there)

    assert (outcome.code, outcome.stdout) == (2, b"")
    assert message in outcome.stderr


def test_what_all_links_share_is_told_once(command: Command, there: dict[str, str], campaign: str) -> None:
    """A wrong topic of three links is one thing to mend."""
    outcome = command("links", "create", OFFER, OFFER + "2", OFFER + "3", "-c", campaign, "-t", "Solar", **there)

    assert outcome.stderr.splitlines()[0].startswith("error: --topic: ")
    assert outcome.stderr.splitlines()[1:] == ["  try: write solar"]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_any_number_of_links_is_minted(command: Command, there: dict[str, str], campaign: str, as_json: bool) -> None:
    """More links than a request may hold go in parts; a refusal in a later part names its own URL."""
    urls = [f"https://www.example.com/{number}" for number in range(1_002)]
    wrong = ["ftp://www.example.com/", *urls[:1_000], "gopher://www.example.com/", *urls[1_000:]]

    outcome = command("links", "create", *wrong, "-c", campaign, *(["--json"] if as_json else []), **there)

    assert outcome.code == 2
    assert len(json.loads(outcome.stdout) if as_json else outcome.text.splitlines()) == 1_002
    assert re.findall(r"^error: URL '(\w+):", outcome.stderr, re.MULTILINE) == ["ftp", "gopher"]


def test_end_of_a_link_may_name_its_offset(command: Command, there: dict[str, str], campaign: str) -> None:
    """--expires-at is in UTC only where it does not say otherwise."""
    create = ("links", "create", OFFER, "-c", campaign, "--expires-at", "2100-01-02T03:04:05+02:00", "--json")

    (link,) = json.loads(command(*create, **there).stdout)

    assert link["expires_at"] == "2100-01-02T01:04:05Z"


def test_campaign_without_links_is_an_empty_list(
    command: Command, there: dict[str, str], campaign: str, client: Client
) -> None:
    """A campaign that was made and has no links yet has none."""
    client.create_campaign(campaign)

    assert json.loads(command("links", "list", "-c", campaign, "--json", **there).stdout) == []


def test_misspelled_campaign_is_told(command: Command, there: dict[str, str], campaign: str, client: Client) -> None:
    """A name that is no campaign's is no empty table: it is named, and so is the campaign that was perhaps meant."""
    client.create_campaign(campaign)

    for arguments, named in ((["links", "list", "-c"], "--campaign"), (["report"], "CAMPAIGN")):
        outcome = command(*arguments, campaign + "x", **there)

        assert (outcome.code, outcome.stdout) == (1, b"")
        assert outcome.stderr.startswith(f"error: {named}: there is no such campaign ('{campaign}x')\n")
        assert f"did you mean '{campaign}'?" in outcome.stderr


def test_server_of_the_same_directory_is_found(command: Command, directory: Path, campaign: str) -> None:
    """A server on this machine is found by its data directory, by default or as given."""
    with serving(directory / "redirector"):
        by_default = command("links", "create", OFFER, "-c", campaign)
        as_given = command("links", "create", OFFER, "-c", campaign, "--data-dir", str(directory / "redirector"))
        with_key = command("topics", REDIRECTOR_API_KEY="rdr_" + "0" * 12 + "_" + "0" * 40)

    assert by_default.code == 0
    assert by_default.text == as_given.text
    assert (with_key.code, "the API key is not known" in with_key.stderr) == (1, True)


def test_directory_that_is_given_goes_before_the_variables(
    command: Command, directory: Path, there: dict[str, str], campaign: str
) -> None:
    """A flag goes before the environment: --data-dir leads to its own server, with that one's key."""
    with serving(directory / "own") as running:
        outcome = command("links", "create", OFFER, "-c", campaign, "--data-dir", str(directory / "own"), **there)
    missing = command("topics", "--data-dir", str(directory / "none"), **there)

    assert outcome.text.startswith(running.public_url + "/c/")
    assert (missing.code, f"no server runs over {directory / 'none'}" in missing.stderr) == (1, True)


def test_server_of_the_configured_directory_is_found(command: Command, server: Running, tmp_path: Path) -> None:
    """A configuration file names the data directory as well as a flag does."""
    (tmp_path / "redirector.toml").write_text(f'data_dir = "{tmp_path}"')

    outcome = command("topics", "--config", str(tmp_path / "redirector.toml"))

    assert f"no server runs over {tmp_path}" in outcome.stderr


COMMANDS = [["topics"], ["report", "news"], ["links", "list", "-c", "news"], ["links", "create", OFFER, "-c", "news"]]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("environment", "message", "remedy"),
    [
        ({}, "no server runs over", "redirector serve"),
        ({"REDIRECTOR_URL": "http://127.0.0.1:1"}, "REDIRECTOR_API_KEY: ", "redirector keys create"),
        ({"REDIRECTOR_URL": "http://127.0.0.1:1", "REDIRECTOR_API_KEY": "k"}, "http://127.0.0.1:1", "REDIRECTOR_URL"),
    ],
    ids=["no server", "no key", "nobody there"],
)
def test_missing_server_is_told(
    command: Command, arguments: list[str], environment: dict[str, str], message: str, remedy: str
) -> None:
    """Without a server, or without its key, a command says what is missing, and what to do."""
    outcome = command(*arguments, **environment)

    assert (outcome.code, outcome.stdout) == (1, b"")
    assert message in outcome.stderr
    assert remedy in outcome.stderr


def test_wrong_key_is_told_without_showing_it(command: Command, there: dict[str, str]) -> None:
    """A key that is none is refused, whether the server or the client sees that."""
    for key in ("rdr_" + "0" * 12 + "_" + "f" * 40, "hunter2\n", "hunter2ü"):
        outcome = command("topics", **{**there, "REDIRECTOR_API_KEY": key})

        assert outcome.code in {1, 2}
        assert "key" in outcome.stderr
        assert "hunter2" not in outcome.stderr
        assert "f" * 40 not in outcome.stderr
