"""What speaks against a store, and what to do about it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from redirector.errors import StoreUnavailable
from redirector.findings import Finding, Severity
from redirector.store.connection import connected
from redirector.store.suitability import findings, judge
from tests.store.stores import asked, on_both_stores, own_store

GOOD: Mapping[str, Any] = {"redis_version": "7.0.15", "aof_enabled": 1, "maxmemory": 0}


def words(found: list[Finding]) -> str:
    """All that was found, to search in."""
    return " ".join(finding.what for finding in found)


@on_both_stores
async def test_a_good_store_has_nothing_against_it(kind: str, directory: Path) -> None:
    """A store that keeps an append-only file and evicts nothing will do."""
    with own_store(kind, directory) as url:
        async with connected(url) as client:
            assert await findings(client) == []


@on_both_stores
@pytest.mark.parametrize(
    ("setup", "words_expected"),
    [
        pytest.param({"appendonly": "no"}, "keeps nothing on disk", id="no persistence"),
        pytest.param({"appendonly": "no", "save": "3600 1"}, "snapshots, but no append-only file", id="snapshots"),
        pytest.param(
            {"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}, "throws keys away .*allkeys-lru", id="eviction"
        ),
    ],
)
async def test_a_store_that_loses_things_is_found_out(
    kind: str, directory: Path, setup: dict[str, str], words_expected: str
) -> None:
    """Each way to lose clicks or links is one finding."""
    with own_store(kind, directory) as url:
        with asked(url) as admin:
            for name, value in setup.items():
                admin.config_set(name, value)
        async with connected(url) as client:
            (found,) = await findings(client)

    assert re.search(words_expected, found.what)
    assert found.remedy.startswith("CONFIG SET")


@on_both_stores
async def test_a_replica_is_found_out(kind: str, directory: Path) -> None:
    """Whoever was led to the wrong one of two is told so."""
    with own_store(kind, directory) as url:
        with asked(url) as admin:
            admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        async with connected(url) as client:
            (found,) = await findings(client)

    assert "is a replica" in found.what
    assert found.severity is Severity.ERROR


@on_both_stores
async def test_a_full_store_is_found_out(kind: str, directory: Path) -> None:
    """A store that refuses clicks because its memory is full, and one that soon will."""
    with own_store(kind, directory) as url, asked(url) as admin:
        used = int(admin.info("memory")["used_memory"])
        async with connected(url) as client:
            admin.config_set("maxmemory", str(used // 2))
            (full,) = await findings(client)
            admin.config_set("maxmemory", str(8 * used))
            room = await findings(client)

    assert full.severity is Severity.ERROR
    assert "MB that it may use" in full.what
    assert room == []


@pytest.mark.parametrize(
    ("info", "severity", "what"),
    [
        ({"maxmemory": 1_000, "used_memory": 901}, Severity.WARNING, "may use"),
        ({"maxmemory": 1_000, "used_memory": 1_000}, Severity.ERROR, "may use"),
        ({"aof_last_write_status": "err"}, Severity.ERROR, "append-only file"),
        ({"rdb_last_bgsave_status": "err"}, Severity.ERROR, "snapshot"),
    ],
    ids=["nearly full", "full", "no append-only file", "no snapshot"],
)
def test_what_keeps_it_from_taking_more(info: dict[str, object], severity: Severity, what: str) -> None:
    """What a store says of itself when it refuses writes, or soon will."""
    (found,) = judge({**GOOD, **info}, "")

    assert (found.severity, what in found.what) == (severity, True)


@on_both_stores
async def test_a_store_that_refuses_config_is_judged_all_the_same(kind: str, directory: Path) -> None:
    """Hosted stores often forbid CONFIG: INFO tells of the append-only file, and no more than that is said."""
    with own_store(kind, directory) as url:
        with asked(url) as admin:
            admin.config_set("appendonly", "no")
            admin.execute_command("ACL", "SETUSER", "default", "-config")
        async with connected(url) as client:
            found = await findings(client)

    assert "no append-only file, and does not tell whether it has snapshots" in words(found)
    assert "keeps nothing" not in words(found)


@pytest.mark.parametrize(
    ("policy", "cost"),
    [
        ("allkeys-lru", "links would die"),
        ("allkeys-random", "links would die"),
        ("volatile-lru", "clicks could be recorded twice"),
        ("volatile-ttl", "clicks could be recorded twice"),
    ],
)
def test_what_is_thrown_away_is_named(policy: str, cost: str) -> None:
    """Links have no time to live, so that a volatile policy costs other things than they."""
    (found,) = judge({**GOOD, "maxmemory": 1, "maxmemory_policy": policy}, "")

    assert cost in found.what
    assert ("links" in found.what) is (cost == "links would die")


async def test_a_store_that_is_not_there_cannot_be_judged(directory: Path) -> None:
    """Nothing is found out about a store that does not answer."""
    async with connected(f"unix://{directory}/none.sock") as client:
        with pytest.raises(StoreUnavailable):
            await findings(client)


@pytest.mark.parametrize("version", ["6.2.14", "5.0.0", "0", "", "unstable"])
def test_an_old_store_is_found_out(version: str) -> None:
    """What is older than 7.0, or does not say, is too old; the finding names the version."""
    (found,) = judge({**GOOD, "redis_version": version}, "")

    assert found.what == f"the store is version {version}, older than 7.0"


@pytest.mark.parametrize("version", ["7.0.0", "7.2.4", "8.0.1", "255.255.255"])
def test_a_newer_store_will_do(version: str) -> None:
    """7.0 and whatever comes after it is new enough."""
    assert judge({**GOOD, "redis_version": version}, "") == []


@pytest.mark.parametrize(
    "info",
    [
        pytest.param({"maxmemory": 0, "maxmemory_policy": "allkeys-lru"}, id="no limit to reach"),
        pytest.param({"maxmemory": 100, "maxmemory_policy": "noeviction"}, id="refuses instead"),
    ],
)
def test_a_store_that_never_evicts_will_do(info: dict[str, object]) -> None:
    """An eviction policy without a limit, or a limit without eviction, throws nothing away."""
    assert judge({**GOOD, **info}, "") == []


def test_everything_wrong_is_said_at_once() -> None:
    """Each finding stands for itself, so that one run tells all."""
    found = judge({"redis_version": "6.0", "maxmemory": 1, "maxmemory_policy": "allkeys-lfu", "aof_enabled": 0}, "")

    assert len(found) == 3
