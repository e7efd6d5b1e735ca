"""What a person sees: tables that fit the terminal, numbers in line, bars, colours; and plain text in a pipe."""

import fcntl
import json
import os
import pty
import re
import secrets
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from redirector.cli.reports import readers_table, topics_table
from redirector.client import Client
from redirector.wire import BreakdownOut
from tests.builders import topic_out, topics_out
from tests.cli.conftest import Command
from tests.processes import BROWSER, eventually

DESTINATION = "https://www.example.com/a-rather-long-path/that/has/to/be/folded?on=" + "narrow-" * 5 + "terminals"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def on_a_terminal(columns: int, *arguments: str, **environment: str) -> str:
    """What the program shows on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    shell = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR"}}
    process = subprocess.Popen(
        [sys.executable, "-m", "redirector.cli.main", *arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, env={**shell, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # how Linux says that the other side of a terminal is closed
        while piece := os.read(ours, 65_536):
            shown += piece
    os.close(ours)
    assert process.wait() == 0, shown
    return shown.decode().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def campaign() -> str:
    """A campaign of this module's own."""
    return f"tables {secrets.token_hex(6)}"


@pytest.fixture
def clicked(client: Client, campaign: str) -> str:
    """The campaign with one link that got a human click, and one that got none."""
    client.create_campaign(campaign, sent=1_000)
    link = client.create_link(DESTINATION, campaign, ["tables"], label="button")
    client.create_link("https://www.example.com/other", campaign, ["tables"])
    if not client.report(campaign).clicks:
        assert httpx.get(link.url, headers=dict(BROWSER)).status_code == 302
        eventually(lambda: client.report(campaign).clicks == {"human": 1})
    return campaign


@pytest.mark.parametrize("columns", [80, 140])
def test_report_fits_the_terminal(clicked: str, there: dict[str, str], columns: int) -> None:
    """The report is as wide as the terminal, its head in bold, and nothing of a destination is lost."""
    shown = on_a_terminal(columns, "report", clicked, **there)

    plain = COLOUR.sub("", shown)
    assert "\x1b[1m" in shown
    assert max(map(len, plain.splitlines())) <= columns
    place = plain.splitlines()[next(n for n, line in enumerate(plain.splitlines()) if "destination" in line)]
    at = place.index("destination")
    folded = "".join(line[at:].strip() for line in plain.splitlines() if line[at - 1 : at] == " ")
    assert DESTINATION + "(button)" in folded.replace(" ", "")
    assert "1 human clicks of 1" in plain
    assert "1,000 mails sent" in " ".join(plain.split())


def test_bars_are_for_wide_terminals(clicked: str, there: dict[str, str]) -> None:
    """In the table of links bars are shown where there is room for them."""
    narrow, wide = (COLOUR.sub("", on_a_terminal(columns, "report", clicked, **there)) for columns in (80, 140))

    assert ["█" in line for line in narrow.splitlines()].count(True) == 1  # the hour's
    assert ["█" * 24 in line for line in wide.splitlines()].count(True) == 2


def test_tracked_urls_are_whole_on_a_terminal(clicked: str, there: dict[str, str], client: Client) -> None:
    """A tracked URL can be copied from the terminal: it is never folded."""
    shown = COLOUR.sub("", on_a_terminal(80, "links", "list", "-c", clicked, **there))

    assert all(link.url in shown for link in client.links(clicked))
    assert max(map(len, shown.splitlines())) <= 80


def test_dry_run_is_coloured_on_a_terminal(there: dict[str, str], tmp_path: Path) -> None:
    """What goes is red, what comes green."""
    mail = tmp_path / "mail.html"
    mail.write_bytes(b'<a href="https://www.example.com/a">a</a>')

    shown = on_a_terminal(80, "rewrite", str(mail), "-c", "x", "--dry-run", **there)

    assert re.search(r"\x1b\[31m-<a href=", shown)
    assert re.search(r"\x1b\[32m\+<a href=", shown)


def test_pipe_gets_plain_text(clicked: str, there: dict[str, str], command: Command) -> None:
    """Into a pipe goes no colour, and each row in one line."""
    text = command("report", clicked, **there).text

    assert "\x1b" not in text
    assert f"{DESTINATION}  (button)" in text
    assert text.startswith(f"{clicked}  ·  1 human clicks of 1  ·  about 1 different people  ·  1,000 mails sent  ·  ")


def test_report_says_where_there_are_too_few_to_break_down(
    clicked: str, command: Command, there: dict[str, str]
) -> None:
    """A breakdown that would tell of single readers says that, and no number."""
    lines = command("report", clicked, **there).text.splitlines()

    (language,) = (line for line in lines if line.startswith("lang "))
    assert language.split(maxsplit=1)[1] == "too few to show (cells of 10 or more)"


def test_breakdowns_are_rows() -> None:
    """Each thing that is known of readers is a row, with the largest cells first and what was merged last."""
    console = Console(width=80, force_terminal=False)
    with console.capture() as captured:
        breakdown = BreakdownOut(cells={"de": 1_200, "[b]": 40}, other=17)
        console.print(readers_table({"lang": breakdown, "os": None}, min_cell=10))

    assert [line.rstrip() for line in captured.get().splitlines()] == [
        "readers  human clicks",
        "lang     de 1,200, [b] 40, all others 17",
        "os       too few to show (cells of 10 or more)",
    ]


def test_report_without_clicks_has_no_rate(command: Command, there: dict[str, str], client: Client) -> None:
    """A campaign that nobody clicked on, and of which no number of mails is known, is shown all the same."""
    name = client.create_campaign(f"tables {secrets.token_hex(6)}").name
    client.create_link("https://www.example.com/other", name)

    text = command("report", name, **there).text

    assert text.startswith(f"{name}  ·  0 human clicks of 0  ·  about 0 different people\n")
    assert "hour (UTC)" not in text


def test_report_as_json_is_the_apis(clicked: str, there: dict[str, str], command: Command, client: Client) -> None:
    """--json prints what the API answers."""
    assert json.loads(command("report", clicked, "--json", **there).stdout) == client.report(clicked).model_dump(
        mode="json"
    )
    hour = client.report(clicked).hours[0].hour
    assert hour.replace(minute=0, second=0, microsecond=0) == hour <= datetime.now(UTC)


def test_report_of_an_unknown_campaign_is_told(command: Command, there: dict[str, str]) -> None:
    """A name that is no campaign's is named."""
    outcome = command("report", "no such campaign", **there)

    assert (outcome.code, outcome.stdout) == (1, b"")
    assert "'no such campaign'" in outcome.stderr


TOPICS = topics_out(
    topic_out("billing", 12, human=1_000, bot=3),
    topic_out("solar", 9_876, human=20_000, probe=1),
    topic_out("quiet", 0),
    human=21_000,
    bot=3,
    probe=1,
)


def test_topics_are_ordered_and_their_numbers_in_line() -> None:
    """The topic with most human clicks comes first; numbers end in one column; the bars show the proportion."""
    console = Console(width=80, force_terminal=False)
    with console.capture() as captured:
        console.print(topics_table(TOPICS))

    assert [line.rstrip() for line in captured.get().splitlines()] == [
        "topic        human  bot  probe     all  clickers",
        "solar       20,000    0      1  20,001     9,876  ████████████████████████",
        "billing      1,000    3      0   1,003        12  █▏",
        "quiet            0    0      0       0         0",
        "all clicks  21,000    3      1  21,004",
    ]


def test_clicks_without_a_topic_have_a_row() -> None:
    """Where it is known how many clicks were on links without a topic, the rows add up to the sum."""
    console = Console(width=80, force_terminal=False)
    with console.capture() as captured:
        console.print(topics_table(TOPICS, {"human": 7}))

    assert captured.get().splitlines()[-2].split() == ["(no", "topic)", "7", "0", "0", "7"]


def test_bars_shrink_with_the_terminal() -> None:
    """On a narrow terminal bars become shorter, and keep to their line."""
    console = Console(width=60, force_terminal=False)
    with console.capture() as captured:
        console.print(topics_table(TOPICS))

    assert [line.count("█") for line in captured.get().splitlines()] == [0, 10, 0, 0, 0]


def test_no_topics_are_an_empty_table() -> None:
    """Before the first click the table has its head and its sum."""
    console = Console(width=80, force_terminal=False)
    with console.capture() as captured:
        console.print(topics_table(topics_out()))

    assert [line.split() for line in captured.get().splitlines()] == [
        ["topic", "human", "all", "clickers"],
        ["all", "clicks", "0", "0"],
    ]
