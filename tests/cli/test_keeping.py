"""`backup`, `restore` and `export-redirects`: links in mails already sent outlive the machine, and the program."""

import asyncio
import io
import json
import os
import secrets
import shutil
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from redirector.backups import Header, Row, fingerprint, read, written
from redirector.client import Client
from redirector.errors import InvalidBackup
from redirector.installation import Running
from tests.benchmarks.nginx import nginx
from tests.builders import SECRET
from tests.cli.conftest import Command
from tests.conftest import needed, short_directory
from tests.processes import eventually, serving

OFFER = 'https://www.example.com/offer?a=1&price=$5&q="x"\\y#z'


def location(running: Running, url: str) -> str:
    """Where a reader who clicks in an old mail is sent, whatever server there is now."""
    answer = httpx.get(running.public_url + urlsplit(url).path)
    return str(answer.headers.get("location", f"status {answer.status_code}"))


@pytest.fixture
def second() -> Iterator[Path]:
    """Another machine's directory."""
    with short_directory() as directory:
        yield directory


def a_mailing(running: Running) -> dict[str, str]:
    """What mails were sent out with: tracked URLs by what they are for."""
    with Client(running.internal_url, running.api_key) as client:
        client.create_campaign("spring", fallback_url="https://www.example.com/over")
        client.create_campaign("renewal", tracking="individual", consent="CRM, field 7")
        one = client.create_link(OFFER, "spring", ["solar"])
        over = client.create_link("https://www.example.com/b", "spring", ["solar", "wind"], label="footer")
        own = client.create_link("https://bücher.example.com/ü", "renewal", ["account"])
        (reader,) = client.urls(own.id, ["reader-1"])
        client.update_link(over.id, disabled=True)
        return {"everybody": one.url, "over": over.url, "reader": reader.url}


def test_drill(command: Command, directory: Path, second: Path, tmp_path: Path) -> None:
    """The machine is gone with all that was on it; on a new one the links in mails already sent lead where they did."""
    file = tmp_path / "links.backup"
    with serving(directory) as running:
        mailed = a_mailing(running)
        before = {name: location(running, url) for name, url in mailed.items()}
        backed_up = command("backup", str(file), "--data-dir", str(directory))
        key = command("keys", "create", "tool", "--scope", "mint", "--scope", "read", "--data-dir", str(directory))
        with_key = command("backup", str(file), "--data-dir", str(directory))
    shutil.rmtree(directory)

    restored = command("restore", str(file), "--data-dir", str(second))
    with serving(second) as running, Client(running.internal_url, key.text.strip()) as client:
        after = {name: location(running, url) for name, url in mailed.items()}
        again = client.create_link(OFFER, "spring", ["solar"])
        new = client.create_link("https://www.example.com/new", "spring")

    assert (backed_up.code, with_key.code, restored.code) == (0, 0, 0)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "3 links, 2 campaigns" in restored.stderr
    assert after == before
    assert before["everybody"] == OFFER
    assert again.url.rpartition("/")[2] == mailed["everybody"].rpartition("/")[2]
    assert new.id == 4


def test_restoring_again_changes_nothing(command: Command, directory: Path, tmp_path: Path) -> None:
    """What is there stays, also what was changed since, while the server runs; JSON says the same to a program."""
    file = tmp_path / "links.backup"
    with serving(directory) as running:
        mailed = a_mailing(running)
        assert command("backup", str(file), "--data-dir", str(directory)).code == 0
        with Client(running.internal_url, running.api_key) as client:
            client.update_link(1, destination="https://www.example.com/moved")
        restored = command("restore", str(file), "--data-dir", str(directory), "--json")
        now = location(running, mailed["everybody"])

    assert json.loads(restored.stdout) == {
        "restored": {"links": 0, "campaigns": 0, "api_keys": 0, "opt_outs": 0},
        "there_already": {"links": 3, "campaigns": 2, "api_keys": 1, "opt_outs": 0},
    }
    assert now == "https://www.example.com/moved"


def test_opt_outs_outlive_the_machine(command: Command, directory: Path, second: Path, tmp_path: Path) -> None:
    """A recipient who opted out is not recorded on the new machine either; the others are."""
    file = tmp_path / "links.backup"
    with serving(directory) as running:
        mailed = a_mailing(running)
        with Client(running.internal_url, running.api_key) as client:
            (other,) = client.urls(3, ["reader-2"])
        privacy = mailed["reader"].replace("/c/", "/privacy/")
        assert httpx.post(privacy + "/opt-out").status_code == 200
        backed_up = command("backup", str(file), "--data-dir", str(directory))
    restored = command("restore", str(file), "--data-dir", str(second), "--json")
    again = command("restore", str(file), "--data-dir", str(second), "--json")
    with serving(second) as running, Client(running.internal_url, running.api_key) as client:
        arrived = [location(running, url) for url in (mailed["reader"], mailed["reader"], other.url)]
        eventually(lambda: sum(client.report("renewal").clicks.values()) > 0)
        recorded = sum(client.report("renewal").clicks.values())

    assert "1 opt-outs" in backed_up.stderr
    assert json.loads(restored.stdout)["restored"]["opt_outs"] == 1
    assert json.loads(again.stdout)["there_already"]["opt_outs"] == 1
    assert arrived == ["https://xn--bcher-kva.example.com/%C3%BC"] * 3
    assert recorded == 1


def with_header(whole: bytes, **changes: object) -> bytes:
    """The backup, saying something else of itself."""
    first, _, rest = whole.partition(b"\n")
    return json.dumps({**json.loads(first), **changes}).encode() + b"\n" + rest


def with_opt_out(whole: bytes, token: str, at: object) -> bytes:
    """The backup with one more row, and an end that fits."""
    *lines, last = whole.splitlines(keepends=True)
    lines.append(json.dumps({"kind": "opt_out", "name": token, "record": {"at": at}}).encode() + b"\n")
    digest = blake2b(b"".join(lines), digest_size=16).hexdigest()
    return b"".join(lines) + json.dumps({"rows": json.loads(last)["rows"] + 1, "digest": digest}).encode() + b"\n"


def without_line(backup: bytes, number: int) -> bytes:
    """The backup without one of its lines, the first being 0."""
    lines = backup.splitlines(keepends=True)
    return b"".join(lines[:number] + lines[number + 1 :])


DAMAGE: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda backup: backup[: len(backup) // 2], "line"),
    (lambda backup: without_line(backup, 2), "altered after it was made, or a line is missing"),
    (lambda backup: backup.replace(b"www.example.com/b", b"www.attacker.com/b"), "altered after it was made"),
    (lambda backup: with_opt_out(backup, "0", 1), "an opt-out is nobody's"),
    (lambda backup: with_opt_out(backup, str(2**60), 1), "an opt-out is nobody's"),
    (lambda backup: with_opt_out(backup, "7", -1), "an opt-out is nobody's"),
    (lambda backup: with_opt_out(backup, "7", None), "an opt-out is nobody's"),
    (lambda backup: backup + b"{}\n", "something stands behind its end"),
    (lambda backup: with_header(backup, backup=2), "another version of the program"),
    (lambda backup: with_header(backup, fingerprint="0" * 16), "another secret"),
    (lambda backup: with_header(backup, made_at="now"), "where it comes from"),
    (lambda _: b"", "line 1"),
    (lambda _: b"\xff\xfe\n", "no JSON"),
    (lambda _: b"[" * 60_000, "no JSON"),
    (lambda _: b"1\n", "no JSON object"),
]


def test_damaged_backup_changes_nothing(command: Command, directory: Path, tmp_path: Path) -> None:
    """Whatever is wrong with a backup is told with its line before anything is restored; the exit code is 2."""
    file, bad = tmp_path / "links.backup", tmp_path / "bad.backup"
    with serving(directory) as running:
        a_mailing(running)
        assert command("backup", str(file), "--data-dir", str(directory)).code == 0
        for damage, words in DAMAGE:
            bad.write_bytes(damage(file.read_bytes()))
            outcome = command("restore", str(bad), "--data-dir", str(directory))

            assert (outcome.code, outcome.stdout) == (2, b"")
            assert words in outcome.stderr
            assert str(bad) in outcome.stderr


def test_other_links_under_the_same_numbers_are_refused(
    command: Command, directory: Path, second: Path, tmp_path: Path
) -> None:
    """A store that gave the numbers out anew would send the readers of old mails elsewhere: nothing is restored."""
    file = tmp_path / "links.backup"
    with serving(directory) as running:
        a_mailing(running)
        assert command("backup", str(file), "--data-dir", str(directory)).code == 0
    (second / "secret").write_bytes((directory / "secret").read_bytes())
    with serving(second) as running:
        with Client(running.internal_url, running.api_key) as client:
            client.create_campaign("autumn")
            client.create_link("https://www.example.com/other", "autumn")
        outcome = command("restore", str(file), "--data-dir", str(second))
        with Client(running.internal_url, running.api_key) as client:
            links = [link.destination for link in client.links("autumn")]

    assert outcome.code == 1
    assert "link 1 is another one in the store" in outcome.stderr
    assert links == ["https://www.example.com/other"]


def test_secret_may_be_kept_elsewhere(command: Command, directory: Path, second: Path, tmp_path: Path) -> None:
    """Without the secret a backup says so; it is restored where the secret is set, and refused where none is."""
    file = tmp_path / "links.backup"
    with serving(directory) as running:
        mailed = a_mailing(running)
        backed_up = command("backup", str(file), "--without-secret", "--data-dir", str(directory))
    secret = (directory / "secret").read_text().strip()
    refused = command("restore", str(file), "--data-dir", str(second))
    restored = command("restore", str(file), "--data-dir", str(second), REDIRECTOR_SECRET=secret)
    with serving(second, secret=secret) as running:
        there = location(running, mailed["reader"])

    assert secret not in file.read_text()
    assert "mails already sent lead nowhere" in backed_up.stderr
    assert (refused.code, restored.code) == (2, 0)
    assert "REDIRECTOR_SECRET" in refused.stderr
    assert there == "https://xn--bcher-kva.example.com/%C3%BC"


@pytest.mark.parametrize("place", ["/nowhere/links.backup", "/proc/links.backup"])
def test_place_that_cannot_be_written(command: Command, directory: Path, place: str) -> None:
    """The error names the place; nothing half written is left behind."""
    with serving(directory):
        outcome = command("backup", place, "--data-dir", str(directory))

    assert outcome.code == 2
    assert place in outcome.stderr


@pytest.mark.parametrize(
    "arguments", [["backup"], ["export-redirects", "--format", "json", "--output"]], ids=lambda words: words[0]
)
def test_place_that_is_no_file_is_never_replaced(command: Command, directory: Path, arguments: list[str]) -> None:
    """A pipe or a device, such as /dev/full, is written to, and stays what it is; a directory is refused."""
    fifo, file = directory / "fifo", directory / "secret"
    os.mkfifo(fifo)
    read: list[bytes] = []
    with serving(directory):
        reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
        reader.start()
        written = command(*arguments, str(fifo), "--data-dir", str(directory))
        reader.join()
        of_a_directory = command(*arguments, str(directory), "--data-dir", str(directory))

    assert (written.code, fifo.is_fifo()) == (0, True)
    assert len(read) == 1
    assert of_a_directory.code == 2
    assert "the file cannot be written: Is a directory" in of_a_directory.stderr
    assert file.is_file()


@pytest.mark.parametrize("arguments", [["backup", "-"], ["export-redirects", "--format", "json"]])
def test_secret_must_be_the_servers(command: Command, directory: Path, arguments: list[str]) -> None:
    """With another secret than the server's, all codes would be wrong: nothing is written."""
    with serving(directory):
        outcome = command(*arguments, "--data-dir", str(directory), REDIRECTOR_SECRET=SECRET)

    assert (outcome.code, outcome.stdout) == (1, b"")
    assert "has another secret" in outcome.stderr


def test_backup_is_restored_from_a_file(command: Command, directory: Path) -> None:
    """A backup is read twice, which no pipe allows: that is said before anything is made."""
    os.mkfifo(directory / "fifo")

    outcome = command("restore", str(directory / "fifo"), "--data-dir", str(directory / "data"))

    assert outcome.code == 2
    assert "a backup is read more than once" in outcome.stderr
    assert not (directory / "data").exists()


class Endless(io.RawIOBase):
    """A file that is one line without an end."""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """As many bytes as are wanted."""
        return len(buffer)


def test_line_without_an_end_is_not_read() -> None:
    """What is no backup costs no memory, however large it is."""
    with pytest.raises(InvalidBackup, match="no JSON"):
        read(io.BufferedReader(Endless()), "endless")


def test_map_has_the_address_that_the_server_was_told(command: Command, directory: Path) -> None:
    """The base URL that a server was given on its command line stands in the map, too."""
    with serving(directory, "--base-url", "https://news.example.com") as running:
        a_mailing(running)
        outcome = command("export-redirects", "--format", "json", "--data-dir", str(directory))

    assert json.loads(outcome.stdout.splitlines()[0])["url"].startswith("https://news.example.com/c/")


def test_map_of_a_server_without_a_base_url(command: Command, directory: Path) -> None:
    """Its URLs are those that the server made, and it is said that they lead to this machine only."""
    with serving(directory) as running:
        mailed = a_mailing(running)
        outcome = command("export-redirects", "--format", "json", "--data-dir", str(directory))

    assert mailed["everybody"] in [json.loads(line)["url"] for line in outcome.stdout.splitlines()]
    assert "No base URL is set" in outcome.stderr


def test_map_without_any_address_is_refused(command: Command, directory: Path, tmp_path: Path) -> None:
    """Where no server runs, nobody knows what stands in mails; the map for nginx, which has codes only, is made."""
    with serving(directory) as running:
        a_mailing(running)
    export = ("export-redirects", "-o", str(tmp_path / "map"), "--data-dir", str(directory), "--format")
    refused, written = command(*export, "json"), (tmp_path / "map").exists()
    of_nginx = command(*export, "nginx")
    told = command(*export, "json", REDIRECTOR_BASE_URL="https://news.example.com")

    assert (refused.code, written, of_nginx.code, told.code) == (2, False, 0, 0)
    assert "no base URL is set" in refused.stderr
    assert "REDIRECTOR_BASE_URL" in refused.stderr


def test_map_is_summed_up_as_json(command: Command, directory: Path, tmp_path: Path) -> None:
    """For a program that has the map written to a file; on stdout there is room for the map only."""
    file = str(tmp_path / "redirects.conf")
    with serving(directory) as running:
        a_mailing(running)
        summed = command("export-redirects", "--format", "nginx", "-o", file, "--json", "--data-dir", str(directory))
        alone = command("export-redirects", "--format", "nginx", "--json", "--data-dir", str(directory))

    expected = {"file": file, "format": "nginx", "codes": 3, "over": 0, "without_recipients": 1}
    assert json.loads(summed.stdout) == expected
    assert alone.stdout == Path(file).read_bytes()
    assert "3 codes exported" in alone.stderr


def test_backup_to_stdout_is_the_backup_alone(command: Command, directory: Path) -> None:
    """`redirector backup -` can be piped; words go to stderr."""
    with serving(directory):
        outcome = command("backup", "-", "--data-dir", str(directory))

    first, *_, last = map(json.loads, outcome.stdout.splitlines())
    assert (first["backup"], last["rows"]) == (1, 1)
    assert "backed up" in outcome.stderr


def snippet_in(exported: str) -> str:
    """The lines that the map's own head tells the operator to put into the server's block."""
    comments = [line.removeprefix("#") for line in exported.splitlines() if line.startswith("#")]
    return "\n".join(comments[comments.index("") + 1 :])


def test_nginx_alone_leads_readers_on(command: Command, directory: Path, tmp_path: Path) -> None:
    """A real nginx with the exported map answers every tracked URL as the program did, byte for byte."""
    needed("nginx")
    recipients, exported = tmp_path / "recipients", tmp_path / "redirects.conf"
    recipients.write_text("reader-1\nreader-2\n")
    with serving(directory) as running:
        mailed = a_mailing(running)
        before = {name: location(running, url) for name, url in mailed.items()}
        outcome = command(
            "export-redirects", "--format", "nginx", "-o", str(exported), "--recipients", str(recipients),
            "--data-dir", str(directory),
        )  # fmt: skip

    assert "5 codes exported; 0 links lead nowhere" in outcome.stderr
    with nginx(tmp_path, snippet_in(exported.read_text()), f"include {exported};") as (url, _):
        paths = {name: urlsplit(tracked).path for name, tracked in mailed.items()}
        answers = {name: httpx.get(url + path) for name, path in paths.items()}
        twin = httpx.get(url + paths["reader"].replace("/c/", "/d/"))
        unknown = httpx.get(url + paths["everybody"] + "x")
    assert {name: answer.headers["location"] for name, answer in answers.items()} == before
    assert twin.headers["location"] == before["reader"]
    assert answers["everybody"].headers["referrer-policy"] == "no-referrer"
    assert unknown.status_code == 404


def test_map_as_json(command: Command, directory: Path) -> None:
    """A line for each code and key; links that lead nowhere are left out, and so are recipients that nobody named."""
    rotated = "a new key of more than 32 characters"
    with serving(directory) as running:
        mailed = a_mailing(running)
        with Client(running.internal_url, running.api_key) as client:
            client.update_campaign("spring", fallback_url=None)
        secret = (directory / "secret").read_text().strip()
        outcome = command(
            "export-redirects", "--format", "json", "--data-dir", str(directory),
            REDIRECTOR_SIGNING_KEYS=f"{rotated},{secret}", REDIRECTOR_BASE_URL="https://news.example.com",
        )  # fmt: skip

    lines = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [line["link"] for line in lines] == [1, 1, 3, 3]
    assert {line["location"] for line in lines if line["link"] == 1} == {OFFER}
    assert mailed["everybody"].rpartition("/")[2] in {line["code"] for line in lines}
    assert all(line["url"] == f"https://news.example.com/c/{line['code']}" for line in lines)
    assert "1 links lead nowhere" in outcome.stderr
    assert "--recipients" in outcome.stderr


def test_recipients_that_cannot_be_read(command: Command, directory: Path) -> None:
    """The error names the file."""
    with serving(directory):
        outcome = command(
            "export-redirects", "--format", "json", "--recipients", "/nowhere/ids", "--data-dir", str(directory)
        )

    assert (outcome.code, outcome.stdout) == (2, b"")
    assert "/nowhere/ids" in outcome.stderr


def test_limits_of_keys_come_back_and_revoked_keys_do_not(command: Command, store_url: str, tmp_path: Path) -> None:
    """A key is restored with its end and its domains; one that was revoked after the backup stays revoked."""
    file = tmp_path / "links.backup"
    here = {"REDIRECTOR_STORE_URL": store_url, "REDIRECTOR_SECRET": SECRET}
    old, new = (here | {"REDIRECTOR_STORE_PREFIX": f"keeping-{secrets.token_hex(4)}"} for _ in range(2))
    limits = ("--expires", "2099-01-01", "--allow-destination", "example.com")
    command("keys", "create", "bound", "--scope", "mint", *limits, **old)
    command("keys", "create", "leaked", "--scope", "personal", **old)
    command("backup", str(file), **old)
    listed = json.loads(command("keys", "list", "--json", **old).stdout)
    command("keys", "revoke", "leaked", **old)

    again, elsewhere = command("restore", str(file), **old), command("restore", str(file), **new)

    assert (again.code, elsewhere.code) == (0, 0)
    assert [key["name"] for key in json.loads(command("keys", "list", "--json", **old).stdout)] == ["bound"]
    assert json.loads(command("keys", "list", "--json", **new).stdout) == listed
    assert (listed[0]["expires_at"], listed[0]["destinations"]) == ("2099-01-01T00:00:00Z", ["example.com"])


def test_key_that_cannot_be_read_is_found_before_anything_is_restored(
    command: Command, store_url: str, tmp_path: Path
) -> None:
    """A backup with a key whose limits cannot be read is refused as a whole."""
    record: dict[str, object] = {"name": "x", "scopes": ["mint"], "hash": "", "destinations": None}
    header = Header(made_at=1, fingerprint=fingerprint(SECRET))
    file = tmp_path / "links.backup"
    file.write_bytes(b"".join(lines_of(header, Row("api_key", "0" * 12, json.dumps(record).encode()))))
    prefix = f"keeping-{secrets.token_hex(4)}"
    variables = {"REDIRECTOR_STORE_URL": store_url, "REDIRECTOR_SECRET": SECRET, "REDIRECTOR_STORE_PREFIX": prefix}

    outcome = command("restore", str(file), **variables)

    assert outcome.code == 2
    assert "its record of the API key 000000000000 cannot be read" in outcome.stderr
    assert command("keys", "list", "--json", **variables).text == "[]\n"


def lines_of(header: Header, *rows: Row) -> list[bytes]:
    """The lines of a backup."""

    async def written_out() -> list[bytes]:
        async def each() -> AsyncIterator[Row]:
            for row in rows:
                yield row

        return [line async for line in written(header, each())]

    return asyncio.run(written_out())
