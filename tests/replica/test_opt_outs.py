"""Who opted out is known to every process, whatever the store does."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from redirector.clickers import DAY_MS, visitor
from redirector.replica import Replica
from redirector.store.changes import Changes
from tests.builders import NOON, a_campaign
from tests.replica.catalogs import Catalog, be_current, filled, without_store
from tests.store.stores import until

ANN, BOB = 2**59 + 1, 77
VISITOR = visitor(NOON // DAY_MS, 5)


class TestOptOuts:
    async def test_who_opts_out_is_known(self, catalog: Catalog) -> None:
        """Every copy knows it a moment later, and knows when it has ended."""
        async with catalog.followed() as one, catalog.followed_too() as two:
            await catalog.people.opt_out(ANN, NOON)
            await catalog.people.opt_out(VISITOR, NOON)
            await until(lambda: all({ANN, VISITOR} <= known(each) for each in (one, two)))
            await catalog.people.forget(recipients_before=NOON + 1, visitors_before=NOON)
            await until(lambda: known(one) == known(two) == {VISITOR})

    async def test_it_is_known_before_the_first_click(self, catalog: Catalog) -> None:
        """A process that has no file yet knows all of them when its start returns."""
        await catalog.people.opt_out(ANN, NOON)
        async with catalog.followed() as replica:
            assert known(replica) == {ANN}

    @pytest.mark.parametrize("when", ["filled", "following"])
    async def test_a_process_that_starts_without_the_store_knows_it(self, catalog: Catalog, when: str) -> None:
        """Whether it came with the fill or as a change, the file has it."""
        if when == "filled":
            await catalog.people.opt_out(ANN, NOON)
        async with catalog.followed() as replica:
            await be_current(replica)
            if when == "following":
                await catalog.people.opt_out(ANN, NOON)
                await until(lambda: ANN in replica.opted_out)
        async with without_store(catalog) as replica:
            assert known(replica) == {ANN}

    async def test_what_ended_is_not_in_the_file_either(self, catalog: Catalog) -> None:
        """Neither a change nor a gap leaves behind who may be recorded again."""
        await catalog.people.opt_out(ANN, NOON)
        await catalog.people.opt_out(BOB, NOON)
        async with catalog.followed() as replica:
            await be_current(replica)
            await catalog.redis.zrem(catalog.keys.opted_out, str(BOB))
            await catalog.redis.xadd(catalog.keys.changes, {"opted_out": str(BOB)})
            await until(lambda: known(replica) == {ANN})
        await catalog.redis.zrem(catalog.keys.opted_out, str(ANN))
        await catalog.redis.xtrim(catalog.keys.changes, maxlen=0, approximate=False)
        await filled(catalog)
        async with without_store(catalog) as replica:
            assert known(replica) == set()

    async def test_a_file_of_the_version_before_is_filled_again(self, catalog: Catalog) -> None:
        """A process of that version followed the changes, and passed over who opted out; its links are kept."""
        (link,) = await catalog.mint()
        await filled(catalog)
        await catalog.people.opt_out(ANN, NOON)
        as_the_version_before(catalog.path, await Changes(catalog.redis, catalog.keys).last_id())
        async with without_store(catalog) as replica:
            assert replica.known(link.number) == (link, a_campaign())
        async with catalog.followed() as replica:
            assert known(replica) == {ANN}

    @pytest.mark.parametrize("record", ["x'00'", "zeroblob(8)"], ids=["no numbers", "another number"])
    async def test_a_spoiled_part_is_had_from_the_store_again(self, catalog: Catalog, record: str) -> None:
        """A flipped bit must not make a reader one who did not opt out."""
        await catalog.people.opt_out(ANN, NOON)
        await filled(catalog)
        with closing(sqlite3.connect(catalog.path, isolation_level=None)) as connection:
            connection.execute(f"UPDATE opted_out SET record = {record}")  # noqa: S608 - the cases above
        async with catalog.followed() as replica:
            assert known(replica) == {ANN}
            await be_current(replica)
        async with without_store(catalog) as replica:
            assert known(replica) == {ANN}

    @pytest.mark.parametrize("name", ["", "ann", "-1", str(2**61), "9" * 500, "\u0661"])
    async def test_a_change_that_names_nobody_is_passed_over(self, catalog: Catalog, name: str) -> None:
        """What stands in the stream is hostile until it was read."""
        async with catalog.followed() as replica:
            await catalog.redis.xadd(catalog.keys.changes, {"opted_out": name})
            await catalog.people.opt_out(ANN, NOON)
            await until(lambda: known(replica) == {ANN})


def known(replica: Replica) -> set[int]:
    """Who of those that tests talk about opted out, as this copy knows it."""
    return {clicker for clicker in (ANN, BOB, VISITOR) if clicker in replica.opted_out}


def as_the_version_before(path: Path, cursor: str) -> None:
    """Makes the file one of format 1 that followed its store up to here."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE opted_out")
        connection.execute("UPDATE following SET cursor = ?", (cursor,))
        connection.execute("PRAGMA user_version = 1")
