"""The ledger names everything that a run stores, and nothing that no run stores."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgpack
import pytest
from redis import Redis

from redirector.access_log import AccessLog
from redirector.clicks import OPTIONAL, REQUIRED
from redirector.client import Client
from redirector.frames import Frame, decoded
from redirector.installation import Running
from redirector.ledger import CLICKS, Field, When, ledger
from redirector.networks import Networks
from redirector.settings import Settings
from redirector.store.embedded import socket_path
from redirector.store.keys import Keys
from tests.conftest import Run, short_directory
from tests.networks import countries, providers
from tests.processes import FIREFOX, eventually, serving

KEYS = Keys()
SETTINGS = Settings(country_database="/countries.mmdb", isp_database="/providers.mmdb")
READER = {"User-Agent": FIREFOX, "Accept-Language": "de-DE,de;q=0.9", "Referer": "https://mail.example.org/inbox?u=7"}
WAYS = {
    "a reader": READER,
    "a reader who objects": {**READER, "Sec-GPC": "1"},
    "a robot": {"User-Agent": "Googlebot/2.1 (+http://www.google.com/bot.html)"},
    "a browser ahead of a click": {**READER, "Sec-Purpose": "prefetch"},
}


@dataclass(frozen=True)
class Stored:
    """What lies in the store and in the data directory: the names of records' fields; none where it is no record."""

    names: dict[str, set[str]]
    clicks: list[dict[str, str]]
    spooled: list[dict[str, str]]


@pytest.fixture(scope="module")
def stored() -> Iterator[Stored]:
    """What is stored after a run in which everything happened that leaves something behind."""
    with short_directory() as directory, short_directory() as files:
        _leave_a_damaged_spool(directory)
        hosts = json.dumps([{"base_url": "https://go.example.org"}])
        with serving(directory, **_databases(files), hosts=hosts) as running, _store(directory) as redis:
            urls = _mint(running)
            _manage(running, directory)
            _click_all_ways(urls)
            redis.xadd(KEYS.clicks(), {"id": "no click"})
            eventually(lambda: redis.exists(KEYS.poison(), *_counters()) == len(_counters()) + 1)
            spooled = _spooled(redis, directory, urls)
            eventually(lambda: redis.xlen(KEYS.clicks()) == 1 + len(WAYS) * len(urls) + 2 * len(urls) + len(spooled))
            _opt_out(urls)
            _ask_for_erasure(urls[0])
            yield Stored(_in_store(redis) | _on_disk(directory), _clicks(redis), spooled)


def _leave_a_damaged_spool(directory: Path) -> None:
    spool = directory / "redirect-0" / "spool"
    spool.mkdir(parents=True)
    (spool / "000000000001.frames").write_bytes(b"\x00\xffno frame" * 100)


def _databases(directory: Path) -> dict[str, Any]:
    """Files that say where the readers of the test are."""
    return {
        "country_database": countries(directory / "countries.mmdb", {"127.0.0.0/8": "DE"}),
        "isp_database": providers(directory / "providers.mmdb", {"127.0.0.0/8": "Loopback Ltd"}),
    }


def _store(directory: Path) -> Redis:
    return Redis(unix_socket_path=str(socket_path(directory)), decode_responses=True)


def _mint(running: Running) -> list[str]:
    """A link for everybody, one for a reader, and one that is gone; the first two are followed."""
    with Client(running.internal_url, running.api_key) as client:
        client.create_campaign(
            "news", sent=10, fallback_url="https://www.exämple.com/", expires_at="2099-01-01T00:00:00Z"
        )
        client.create_campaign("club", tracking="individual", consent="the form of 2026")
        client.create_campaign("elsewhere", base_url="https://go.example.org", sent_at="2026-11-23T12:00:00Z")
        news = client.create_link("https://www.exämple.com/ä", campaign="news", topics=["solar"], label="top")
        club = client.create_link("https://www.example.com/b", campaign="club", expires_at="2099-01-01T00:00:00Z")
        client.rewrite(b"<p>", "news", honeypot="https://www.example.com/welcome")
        gone = client.create_link("https://www.example.com/c", campaign="news")
        client.update_link(gone.id, disabled=True)
        (his,) = client.urls(club.id, ["reader-7"])
    return [news.url, his.url]


def _manage(running: Running, directory: Path) -> None:
    headers = {"authorization": f"Bearer {running.api_key}", "idempotency-key": "once"}
    body = {"destination": "https://www.example.com/d", "campaign": "news"}
    assert httpx.post(f"{running.internal_url}/v1/links", json=body, headers=headers).status_code == 201
    _command(directory, "keys", "create", "tooling", "--scope", "mint", "--expires", "90d",
             "--allow-destination", "example.com")  # fmt: skip
    _command(directory, "keys", "create", "old", "--scope", "admin")
    _command(directory, "keys", "revoke", "old")
    _command(directory, "backup", str(directory.parent / f"{directory.name}.backup"))


def _command(directory: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "redirector.cli.main", *arguments, "--data-dir", str(directory)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def _click_all_ways(urls: list[str]) -> None:
    for url in urls:
        for headers in WAYS.values():
            assert httpx.get(url, headers=headers).status_code == 302
        assert httpx.head(url, headers=READER).status_code == 302
        assert httpx.get(url, headers={"Accept-Language": "", "User-Agent": ""}).status_code == 302
        assert httpx.get(url.replace("/c/", "/d/"), headers=READER).status_code == 302
        assert httpx.get(url.replace("/c/", "/privacy/"), headers=READER).status_code == 200


def _opt_out(urls: list[str]) -> None:
    for url in urls:
        assert httpx.post(url.replace("/c/", "/privacy/") + "/opt-out", headers=READER).status_code == 200
        assert httpx.get(url, headers=READER).status_code == 302


def _ask_for_erasure(url: str) -> None:
    """By a browser that has not clicked, so that no click is erased while this run is looked at."""
    address = url.replace("/c/", "/privacy/") + "/erase"
    assert httpx.post(address, headers={"User-Agent": "Lynx/2.9"}).status_code == 200


def _counters() -> list[str]:
    """Those that take a click of each kind."""
    campaigns = [KEYS.by_link("news"), KEYS.by_link("club"), KEYS.unique_of_campaign("club"), KEYS.by_reader("news")]
    return [*campaigns, KEYS.totals(), KEYS.by_topic()]


def _spooled(redis: Redis, directory: Path, urls: list[str]) -> list[dict[str, str]]:
    """The clicks that wait on disk while the store is frozen."""
    pid = int(redis.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        for url in urls:
            assert httpx.get(url, headers=READER, timeout=20).status_code == 302
        frames = [
            found
            for path in directory.glob("redirect-*/spool/*.frames")
            for _, found in decoded(path.read_bytes())
            if isinstance(found, Frame)
        ]
    finally:
        os.kill(pid, signal.SIGCONT)
    flat: list[list[str]] = [msgpack.unpackb(click) for frame in frames for click in frame.clicks]
    return [dict(zip(click[::2], click[1::2], strict=True)) for click in flat]


def _clicks(redis: Redis) -> list[dict[str, str]]:
    entries: Any = redis.xrange(KEYS.clicks())
    return [fields for _, fields in entries if len(fields) > 1]


def _in_store(redis: Redis) -> dict[str, set[str]]:
    return {key: _names(redis, key) for key in redis.scan_iter(count=1_000)}


def _names(redis: Redis, key: str) -> set[str]:
    kind: Any = redis.type(key)
    values: Any = []
    if kind == "stream":
        entries: Any = redis.xrange(key)
        return {name for _, fields in entries for name in fields}
    if kind == "hash":
        values = redis.hvals(key)
    if kind == "string" and key == KEYS.last_backup:
        values = [redis.get(key)]
    records = [json.loads(value) for value in values if value.startswith("{")]
    return {name for record in records for name in record}


def _on_disk(directory: Path) -> dict[str, set[str]]:
    files = [path for path in directory.rglob("*") if path.is_file() or path.is_socket()]
    return {str(path.relative_to(directory)): _tables(path) for path in files}


def _tables(path: Path) -> set[str]:
    if path.suffix != ".sqlite":
        return set()
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as file:
        names = {name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    file.close()
    return names


def fields(settings: Settings) -> list[Field]:
    """Every row of the ledger."""
    return [field for place in ledger(settings) for field in place.fields]


def row_of(rows: list[Field], lies_in: str, name: str) -> list[Field]:
    """The rows for a field of a record that lies there, or for the whole, which has no name."""
    there = [row for row in rows if fnmatchcase(lies_in, row.lies_in)]
    return [row for row in there if row.name == name] if name else there


def test_what_is_stored_is_named(stored: Stored) -> None:
    """Every key of the store, every field of a record, every table and every file stands in the ledger."""
    rows = fields(SETTINGS)

    nameless = [
        (lies_in, name)
        for lies_in, names in stored.names.items()
        for name in names or {""}
        if not row_of(rows, lies_in, name) and not (lies_in == KEYS.poison() and row_of(rows, KEYS.clicks(), name))
    ]
    assert nameless == []


def test_what_is_named_is_stored(stored: Stored) -> None:
    """Every row of the ledger is about something that the run has left; what waits on disk only while the store is
    away was there then."""
    seen = {
        (row.lies_in, row.name)
        for lies_in, names in stored.names.items()
        for name in names or {""}
        for row in row_of(fields(SETTINGS), lies_in, name)
    }
    passing = {"redirect-*/spool/*.frames"} if stored.spooled else set()

    assert [row for row in fields(SETTINGS) if (row.lies_in, row.name) not in seen and row.lies_in not in passing] == []


def test_spool_has_no_field_of_its_own(stored: Stored) -> None:
    """A click on disk has the fields of a click in the stream."""
    (clicks,) = (place for place in ledger(SETTINGS) if place.name == CLICKS)

    assert stored.spooled
    assert {name for click in stored.spooled for name in click} <= {field.name for field in clicks.fields}


def test_access_log_has_the_fields_of_the_ledger(tmp_path: Path) -> None:
    """A line has what the ledger says, and the file lies where it says."""
    hour = 3600.0
    log = AccessLog(
        tmp_path / "redirect-0", days=1, least=1, network=Networks().of, clock=lambda: hour, random=Random(1)
    )
    log.note(404, "192.0.2.7")
    hour *= 2
    asyncio.run(log.keep())

    (path,) = tmp_path.rglob("*.log")
    names = {name for line in path.read_text().splitlines() for name in _named(line)}
    rows = [row for row in fields(Settings(access_log_days=1)) if row.when is When.FAILED]
    assert names == {row.name for row in rows}
    assert all(fnmatchcase(str(path.relative_to(tmp_path)), row.lies_in) for row in rows)
    assert not [row for row in fields(Settings(access_log_days=0)) if row.when is When.FAILED]


def _named(line: str) -> set[str]:
    """The names of what a line of the access log tells; raises ValueError if that is something else."""
    _, status, value = line.split()
    if status == "requests":
        return {"hour", "requests"} if value.isdecimal() else set()
    ip_address(value)
    return {"hour", "status", "address"} if status.isdecimal() else set()


def test_objection_leaves_nothing_of_the_reader(stored: Stored) -> None:
    """Of a click with GPC only what the ledger says is kept with each click stands in the stream."""
    kept = {frozenset(click) for click in stored.clicks if click["class"] == "human"}

    assert frozenset(REQUIRED) in kept
    assert not any({"recipient", "visitor"} <= names for names in kept)
    assert {name for names in kept for name in names} - {*REQUIRED} <= {*OPTIONAL}


PERIODS = [
    ("stream_retention_days", 90, CLICKS, "90 days, and until every program that reads it has taken it"),
    ("stream_retention_days", 1, CLICKS, "one day, and until every program that reads it has taken it"),
    ("stream_retention_days", 0, CLICKS, "until every program that reads it has taken it"),
    ("spool_max_age_days", 3, "Spool", "until the store takes them, at most 3 days; what is damaged, at most 30 days"),
    (
        "stream_retention_days",
        1,
        "Spool",
        "until the store takes them, at most 7 days; what is damaged, at most 7 days",
    ),
    (
        "stream_retention_days",
        90,
        "Spool",
        "until the store takes them, at most 7 days; what is damaged, at most 90 days",
    ),
    ("stream_retention_days", 0, "Set aside", "one day, the last 10,000"),
    ("privacy_opt_out_days", 400, "Opt-outs", "400 days, for a reader with a link of their own; else for two days"),
    ("audit_days", 30, "Audit", "30 days, the last 100,000 uses"),
]


@pytest.mark.parametrize(
    ("setting", "value", "name", "period"), PERIODS, ids=[f"{row[0]}={row[1]} {row[2]}" for row in PERIODS]
)
def test_periods_are_those_of_the_settings(setting: str, value: int, name: str, period: str) -> None:
    """How long something is kept is told as it is set."""
    (place,) = (place for place in ledger(Settings.model_validate({setting: value})) if place.name == name)

    assert place.kept_for == period


def test_what_is_not_looked_up_is_not_in_the_ledger() -> None:
    """Without a file of countries and of providers, no click says where its reader is, and neither does the ledger."""
    told = {field.name for field in fields(SETTINGS)} - {field.name for field in fields(Settings())}

    assert told == {"country", "isp"}


def test_keys_have_the_prefix_of_the_settings() -> None:
    """The ledger tells where things lie in this installation's store, also when the prefix has wildcards in it."""
    rows = fields(Settings(store_prefix="mails[1]*"))

    assert row_of(rows, Keys("mails[1]*").clicks(3), "visitor")
    assert not row_of(rows, Keys("mails[1]x").clicks(3), "visitor")


def test_each_place_says_where_it_goes() -> None:
    """In one sentence; and whoever gets something from the program is named with what they get."""
    told = {place.name: place.goes_to for place in ledger(Settings(access_log_days=1))}

    assert [each for each in told.values() if not (each[:1].isupper() and each.index(".") == len(each) - 1)] == []
    assert "every program that the sender lets read it" in told[CLICKS]
    assert {name for name, goes_to in told.items() if "Prometheus" in goes_to} == {"Counters", "Bookkeeping"}
    assert {name for name, goes_to in told.items() if "to backups" in goes_to} == {
        "Opt-outs", "Mailings", "Programs of the sender's", "Bookkeeping",
    }  # fmt: skip


def test_command_prints_the_ledger(run: Run) -> None:
    """`privacy ledger` prints a table for each place, with a line for each field, and --json what programs can read."""
    as_text = run("privacy", "ledger", REDIRECTOR_STREAM_RETENTION_DAYS="45")
    as_json = run("privacy", "ledger", "--json", REDIRECTOR_STREAM_RETENTION_DAYS="45")

    places = json.loads(as_json.stdout)
    lines = as_text.stdout.splitlines()
    (clicks,) = (place for place in places if place["name"] == CLICKS)
    (visitor,) = (field for field in clicks["fields"] if field["name"] == "visitor")
    assert (as_text.returncode, as_json.returncode) == (0, 0)
    for place in places:
        start = lines.index(place["name"])
        assert lines[start + 1].endswith(f"Kept for: {place['kept_for']}. Where it goes: {place['goes_to']}")
        rows = [line.rstrip().split("  ") for line in lines[start + 3 : start + 3 + len(place["fields"])]]
        assert [row[0] for row in rows] == [field["name"] for field in place["fields"]]
        assert [row[-1].strip() for row in rows] == [field["lies_in"] for field in place["fields"]]
    assert clicks["kept_for"].startswith("45 days")
    assert visitor["when"] == "for_everybody"
    assert visitor["lies_in"] == "redirector:{*}:clicks"
