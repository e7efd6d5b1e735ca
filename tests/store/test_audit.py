"""The audit: what was begun is in it, with what came of it, for as long as it is to be kept."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from redirector.errors import StoreError
from redirector.store import audit as audit_module
from redirector.store.audit import Audit, Use
from redirector.store.connection import connected
from redirector.store.keys import Keys
from tests.store.stores import own_store
from tests.test_readme import ROOT

FORGET = Use("crm", "post_forget", "000102030405")


@pytest.fixture
def audit(redis: Redis, keys: Keys) -> Audit:
    """The audit of one installation."""
    return Audit(redis, keys)


def timeless(uses: list[Use]) -> list[Use]:
    """The uses without their moments, which the store's clock gives."""
    return [replace(use, at=0) for use in uses]


async def test_use_has_its_outcome(audit: Audit) -> None:
    """A use is one entry, from its beginning to its outcome, at the moment at which it began."""
    began = int(time.time() * 1000)
    entry = await audit.begin(FORGET)
    await audit.end(entry, "200")

    (use,) = await audit.since(0)
    assert replace(use, at=0) == replace(FORGET, outcome="200")
    assert abs(use.at - began) < 60_000


async def test_use_that_did_not_end_is_there(audit: Audit) -> None:
    """Whoever is killed in the middle of a use has left an entry without an outcome."""
    await audit.begin(FORGET)

    assert timeless(await audit.since(0)) == [FORGET]


async def test_uses_come_in_their_order(audit: Audit) -> None:
    """Oldest first, each with its own outcome, over as many pages as it takes."""
    entries = [await audit.begin(replace(FORGET, who=f"key {number}")) for number in range(audit_module.PAGE + 5)]
    await audit.end(entries[3], "404")

    uses = await audit.since(0)
    assert [use.who for use in uses] == [f"key {number}" for number in range(audit_module.PAGE + 5)]
    assert [use.outcome for use in uses[2:5]] == ["", "404", ""]


async def test_earlier_uses_are_left_out(audit: Audit, redis: Redis, keys: Keys) -> None:
    """`since` is a moment; an outcome whose use came before it is nobody's."""
    await redis.xadd(keys.audit, {"who": "early", "action": "a"}, id="1000-0")
    await redis.xadd(keys.audit, {"of": "1000-0", "outcome": "200"}, id="2000-0")
    await redis.xadd(keys.audit, {"who": "late", "action": "a"}, id="2000-1")

    assert [use.who for use in await audit.since(2000)] == ["late"]


async def test_retention_ends_at_its_moment(audit: Audit, redis: Redis, keys: Keys) -> None:
    """What is older than the retention is gone to the entry, what is not stays."""
    for moment in (1000, 1999, 2000):
        await redis.xadd(keys.audit, {"who": str(moment), "action": "a"}, id=f"{moment}-0")

    await audit.trim(2000)

    assert [use.who for use in await audit.since(0)] == ["2000"]


async def test_audit_does_not_grow_for_ever(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is used, the stream is bounded; the last uses are in it."""
    monkeypatch.setattr(audit_module, "MOST_ENTRIES", 100)
    for number in range(1_000):
        await audit.begin(replace(FORGET, who=f"key {number}"))

    uses = await audit.since(0)
    assert len(uses) < 300
    assert uses[-1].who == "key 999"


async def test_half_as_many_uses_are_kept_as_entries(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A use is two entries, its beginning and its outcome: the last ones are whole, and the first ones gone."""
    monkeypatch.setattr(audit_module, "MOST_ENTRIES", 200)
    for number in range(300):
        await audit.end(await audit.begin(replace(FORGET, who=f"key {number}")), "200")

    uses = await audit.since(0)
    assert 100 <= len(uses) < 200
    assert timeless(uses[-100:]) == [replace(FORGET, who=f"key {number}", outcome="200") for number in range(200, 300)]


@pytest.mark.parametrize(
    "path",
    ["config/redirector.toml", "docs/operating.md", "docs/privacy.md", "docs/security.md", "redirector/ledger.py"],
)
def test_the_documents_say_how_many_uses_are_kept(path: str) -> None:
    """Whoever relies on the audit reads the same number everywhere."""
    said = re.findall(r"([\d,]+) uses", (ROOT / path).read_text(encoding="utf-8"))

    assert set(said) == {f"{audit_module.MOST_ENTRIES // 2:,}"}


async def test_store_that_takes_nothing_is_an_error(directory: Path) -> None:
    """A use that cannot be noted must not happen: whoever begins one is told."""
    with own_store("valkey", directory, "--maxmemory", "1") as url:
        async with connected(url) as redis:
            with pytest.raises(StoreError):
                await Audit(redis, Keys()).begin(FORGET)


async def test_odd_entries_are_no_trouble(audit: Audit, redis: Redis, keys: Keys) -> None:
    """What another program wrote into the stream is shown as far as it goes."""
    await redis.xadd(keys.audit, {b"\xff": b"\xfe"})
    await redis.xadd(keys.audit, {"of": "nonsense"})

    assert timeless(await audit.since(0)) == [Use("", "")]
