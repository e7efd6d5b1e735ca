"""`rewrite`: bytes in, bytes out; a dry run that shows all and does nothing; and never half a file."""

import json
import os
import re
import secrets
import subprocess
import sys
import threading
from contextlib import chdir
from pathlib import Path

import pytest

from redirector.client import Client
from redirector.errors import UnknownCampaign
from tests.cli.conftest import Command
from tests.processes import serving

MAIL = (
    b'<p><a href="https://www.example.com/a?x=1&amp;y=2" data-topic="solar">Sun</a>\r\n'
    b'<a href="mailto:x@example.com">Write</a> <a href="https://user@www.example.com/">No</a></p>\r\n'
)
TRACKED = re.compile(rb"http://127\.0\.0\.1:\d+/c/\w+")


@pytest.fixture
def campaign() -> str:
    """A campaign that no other test has."""
    return f"rewrite {secrets.token_hex(6)}"


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    """A mail in a file."""
    path = tmp_path / "mail.html"
    path.write_bytes(MAIL)
    return path


def is_there(client: Client, campaign: str) -> bool:
    """Whether the campaign exists: it comes to be with its first link."""
    try:
        return bool(list(client.links(campaign)))
    except UnknownCampaign:
        return False


def undone(tracked: bytes) -> bytes:
    """The mail with its only tracked URL changed back."""
    return TRACKED.sub(b"https://www.example.com/a?x=1&amp;y=2", tracked)


def test_mail_goes_from_stdin_to_stdout(command: Command, there: dict[str, str], campaign: str) -> None:
    """- is stdin, stdout is where it goes unless told; words about it go to stderr."""
    outcome = command("rewrite", "-", "-c", campaign, stdin=MAIL, **there)

    assert outcome.code == 0
    assert len(TRACKED.findall(outcome.stdout)) == 1
    assert undone(outcome.stdout) == MAIL
    assert outcome.stderr.startswith("1 links tracked, 1 left alone, 1 refused\n  https://user@www.example.com/: ")


def test_mail_goes_from_file_to_file(command: Command, there: dict[str, str], campaign: str, mail: Path) -> None:
    """With -o the mail goes into a file, and nothing to stdout."""
    out = mail.with_name("out.html")

    outcome = command("rewrite", str(mail), "-c", campaign, "-o", str(out), **there)

    assert (outcome.code, outcome.stdout) == (0, b"")
    assert undone(out.read_bytes()) == MAIL
    assert sorted(path.name for path in mail.parent.iterdir()) == ["mail.html", "out.html"]


BINARY = {
    "latin-1": ('<meta charset="iso-8859-1"><a href="https://www.example.com/a">Grüße</a>\r\n', "latin-1"),
    "UTF-16": ('<a href="https://www.example.com/a">Grüße</a>\r\n', "utf-16"),
    "UTF-8 with a mark": ('\ufeff<a href="https://www.example.com/a">Grüße</a>\r\r\n\n', "utf-8"),
    "empty": ("", "utf-8"),
    "no links": ("Grüße\r\n\0\x1a", "utf-8"),
}


@pytest.mark.parametrize("name", BINARY)
def test_every_other_byte_stays(there: dict[str, str], campaign: str, name: str) -> None:
    """Through a real process's stdin and stdout, a mail in any charset keeps every byte but its targets."""
    text, charset = BINARY[name]
    program = [sys.executable, "-m", "redirector.cli.main", "rewrite", "-", "-c", campaign]

    outcome = subprocess.run(
        program, input=text.encode(charset), capture_output=True, env={**os.environ, **there}, check=True
    )

    tracked = outcome.stdout.decode(charset)
    assert re.sub(TRACKED.pattern.decode(), "https://www.example.com/a", tracked).encode(charset) == text.encode(
        charset
    )
    assert tracked.count("/c/") == text.count("href")


def test_charset_can_be_told(command: Command, there: dict[str, str], campaign: str) -> None:
    """A mail that does not say its charset can be helped by an option."""
    text = '<a href="https://www.example.com/é">x</a>'.encode("cp1252")

    outcome = command("rewrite", "-", "-c", campaign, "--charset", "windows-1252", "-t", "solar", stdin=text, **there)

    assert outcome.code == 0
    assert outcome.stdout.count(b"/c/") == 1


def test_dry_run_shows_the_change_and_mints_nothing(
    command: Command, there: dict[str, str], campaign: str, client: Client
) -> None:
    """--dry-run: the diff on stdout, what happens to each link and why on stderr, and no link comes to be."""
    outcome = command("rewrite", "-", "-c", campaign, "--dry-run", stdin=MAIL, **there)

    assert outcome.code == 0
    assert re.search(r"^-<p><a href=.https://www.example.com/a", outcome.text, re.MULTILINE)
    assert re.search(r"^\+<p><a href=.http://127.0.0.1:\d+/c/", outcome.text, re.MULTILINE)
    rows = [line.split() for line in outcome.stderr.splitlines()]
    assert [row[0] for row in rows] == ["what", "tracked", "skipped", "refused"]
    assert rows[1][1:3] == ["https://www.example.com/a?x=1&y=2", "solar"]
    assert "mailto:" in outcome.stderr
    assert not is_there(client, campaign)


def test_json_explains_and_writes_what_was_asked(
    command: Command, there: dict[str, str], campaign: str, mail: Path, client: Client
) -> None:
    """--json prints the links with their fate; a file that was asked for is written too, with the same URLs."""
    out = mail.with_name("out.html")

    dry = command("rewrite", str(mail), "-c", campaign, "--json", "--dry-run", **there)
    minted_before = is_there(client, campaign)
    wet = command("rewrite", str(mail), "-c", campaign, "--json", **there)
    both = command("rewrite", str(mail), "-c", campaign, "--json", "-o", str(out), **there)

    assert not minted_before
    assert [link["action"] for link in json.loads(dry.stdout)["links"]] == ["tracked", "skipped", "refused"]
    assert json.loads(wet.stdout) == json.loads(both.stdout)
    assert out.read_bytes().decode() == json.loads(both.stdout)["html"]


def test_honeypot_is_planted(command: Command, there: dict[str, str], campaign: str, client: Client) -> None:
    """--honeypot adds a link that no reader sees; the words, the dry run and the list of links tell of it."""
    pot = ("--honeypot", "https://www.example.com/welcome")

    dry = command("rewrite", "-", "-c", campaign, "--dry-run", *pot, stdin=MAIL, **there)
    minted_before = is_there(client, campaign)
    wet = command("rewrite", "-", "-c", campaign, *pot, stdin=MAIL, **there)
    again = command("rewrite", "-", "-c", campaign, *pot, stdin=wet.stdout, **there)

    assert not minted_before
    assert re.search(r"^\+<a href=.http://127.0.0.1:\d+/c/dry-run-4. rel=", dry.text, re.MULTILINE)
    assert [line.split()[0] for line in dry.stderr.splitlines()] == ["what", "tracked", "skipped", "refused", "planted"]
    assert wet.stderr.startswith("1 links tracked, 1 left alone, 1 refused, a honeypot planted\n")
    assert again.stdout == wet.stdout
    assert [link.honeypot for link in client.links(campaign)] == [False, True]


def test_honeypot_that_leads_nowhere_is_told(command: Command, there: dict[str, str], campaign: str) -> None:
    """What is wrong with its URL is said, and no mail comes out."""
    outcome = command("rewrite", "-", "-c", campaign, "--honeypot", "welcome", stdin=MAIL, **there)

    assert (outcome.code, outcome.stdout) == (2, b"")
    assert "error: --honeypot: " in outcome.stderr


def test_recipient_gets_a_mail_of_their_own(
    command: Command, there: dict[str, str], campaign: str, client: Client
) -> None:
    """With individual tracking, each recipient's mail has its own URLs."""
    client.create_campaign(campaign, tracking="individual", consent="form 7")

    ann, bob = (command("rewrite", "-", "-c", campaign, "--recipient", who, stdin=MAIL, **there) for who in ("a", "b"))

    assert undone(ann.stdout) == undone(bob.stdout) == MAIL
    assert ann.stdout != bob.stdout


@pytest.mark.parametrize("exists", [True, False], ids=["a file", "no file"])
def test_link_to_the_output_is_followed(
    command: Command, there: dict[str, str], campaign: str, mail: Path, exists: bool
) -> None:
    """A symbolic link stays one: what it leads to is written."""
    link, real = mail.with_name("link.html"), mail.with_name("real.html")
    link.symlink_to(real)
    if exists:
        real.write_bytes(b"old")

    outcome = command("rewrite", str(mail), "-c", campaign, "-o", str(link), **there)

    assert outcome.code == 0
    assert link.is_symlink()
    assert undone(real.read_bytes()) == MAIL


def test_output_that_is_no_file_is_never_replaced(
    command: Command, there: dict[str, str], campaign: str, mail: Path
) -> None:
    """A pipe or a device, such as /dev/null, is written to, and stays what it is."""
    fifo = mail.with_name("fifo")
    os.mkfifo(fifo)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()

    outcome = command("rewrite", str(mail), "-c", campaign, "-o", str(fifo), **there)
    reader.join()

    assert outcome.code == 0
    assert fifo.is_fifo()
    assert [undone(each) for each in read] == [MAIL]


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        (".", "Is a directory"),
        ("", "Is a directory"),
        ("missing/out.html", "No such file or directory"),
        ("mail.html/out.html", "Not a directory"),
        ("x" * 300, "File name too long"),
    ],
    ids=["a directory", "empty", "no such directory", "below a file", "too long"],
)
def test_mail_is_written_whole_or_not_at_all(
    command: Command, there: dict[str, str], mail: Path, out: str, reason: str
) -> None:
    """Where it cannot be written, the error says so, and nothing is left behind."""
    with chdir(mail.parent):
        outcome = command("rewrite", str(mail), "-c", "unwritable", "-o", out, **there)

    assert outcome.code == 2
    assert f"--output: the file cannot be written: {reason}" in outcome.stderr
    assert list(mail.parent.iterdir()) == [mail]
    assert mail.read_bytes() == MAIL


def test_output_stays_as_it_was_when_the_mail_is_refused(
    command: Command, there: dict[str, str], campaign: str, mail: Path
) -> None:
    """A file that is there is not touched unless the whole new mail can take its place."""
    out = mail.with_name("out.html")
    out.write_bytes(b"old")

    outcome = command("rewrite", str(mail), "-c", campaign, "-t", "Not A Topic", "-o", str(out), **there)

    assert outcome.code == 2
    assert out.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["missing.html", "-c", "news"],
            2,
            "MAIL: the mail cannot be read: No such file or directory ('missing.html')",
        ),
        (["/", "-c", "news"], 2, "MAIL: the mail cannot be read: Is a directory ('/')"),
        (["-", "-c", ""], 2, "error: --campaign: "),
        (["-", "-c", "a/b"], 2, "error: --campaign: "),
        (["-", "-c", "news", "-t", "Solar Panels"], 2, "error: --topic: "),
        (
            ["-", "-c", "no such campaign", "--recipient", "ann"],
            1,
            "error: --campaign: there is no such campaign ('no such campaign')",
        ),
        (["-", "-c", "news", "--charset", "ut\nf"], 2, "error: --charset: "),
        (
            ["-", "-c", "news", "--dry-run", "-o", "out.html"],
            2,
            "error: --output: a dry run writes no mail ('out.html')",
        ),
    ],
)
def test_wrong_input_is_told(
    command: Command, there: dict[str, str], arguments: list[str], code: int, message: str
) -> None:
    """What is wrong is named, with its value."""
    outcome = command("rewrite", *arguments, stdin=MAIL, **there)

    assert (outcome.code, outcome.stdout) == (code, b"")
    assert message in outcome.stderr
    assert outcome.stderr.startswith("error: ")


def test_recipient_of_an_aggregate_campaign_is_told(
    command: Command, there: dict[str, str], campaign: str, client: Client
) -> None:
    """A campaign that counts in aggregate has no mails for single recipients: the flag is named."""
    client.create_campaign(campaign)

    outcome = command("rewrite", "-", "-c", campaign, "--recipient", "ann", stdin=MAIL, **there)

    assert (outcome.code, outcome.stdout) == (1, b"")
    assert outcome.stderr.startswith("error: --recipient: ")


def test_refusal_that_comes_with_minting_has_its_reason(command: Command, directory: Path) -> None:
    """What only shows when a link is minted, such as a topic too many, is told as well as what a dry run finds."""
    mail = b'<a href="https://x.example/1" data-topic="a">1</a> <a href="https://x.example/2" data-topic="b">2</a>'
    with serving(directory, topics_max="1", log_level="warning"):  # its log is on the same stderr
        outcome = command("rewrite", "-", "-c", "news", "--data-dir", str(directory), stdin=mail)

    assert (outcome.code, outcome.stdout.count(b"/c/")) == (0, 1)
    words = outcome.stderr[outcome.stderr.index("1 links tracked, 0 left alone, 1 refused") :].splitlines()
    assert words[1].startswith("  https://x.example/2: /topics: there are 1 topics already ('b'); ")


def test_links_that_are_named_are_left_alone(command: Command, there: dict[str, str]) -> None:
    """--never names what the mail's List-Unsubscribe header does; it may be given several times."""
    mail = b'<a href="https://x.example/l/1">1</a> <a href="https://x.example/l/2">2</a> <a href=https://x.example/3>'
    never = ("--never", "https://x.example/l/1", "--never", "HTTPS://X.example/l/2")

    outcome = command("rewrite", "-", "-c", "never", *never, stdin=mail, **there)

    assert outcome.code == 0
    assert outcome.stdout.startswith(b'<a href="https://x.example/l/1">1</a> <a href="https://x.example/l/2">2</a>')
    assert "1 links tracked, 2 left alone, 0 refused" in outcome.stderr
