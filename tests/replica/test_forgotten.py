"""A store that forgot (FLUSHALL, an older backup, a lost last second) leads no mail astray, and no opt-out ends."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from redirector import backup
from redirector.backups import Row
from redirector.clickers import DAY_MS, visitor
from redirector.links import Link
from redirector.replica import Replica
from redirector.store.api_keys import ApiKeys
from redirector.store.connection import connected
from redirector.store.keys import Keys
from tests.builders import NOON, a_campaign, a_link
from tests.replica.catalogs import Catalog, be_current, filled, without_store
from tests.store.stores import kill, on_both_stores, own_store, until

ANN, BOB = 2**59 + 1, 77
VISITOR = visitor(NOON // DAY_MS, 5)

NEW = a_link("https://www.example.com/new", created_at=NOON + 1)


@asynccontextmanager
async def own_catalog(kind: str, directory: Path, keys: Keys) -> AsyncIterator[Catalog]:
    """Links in a store that may be emptied."""
    with own_store(kind, directory, "--appendfsync", "always") as url:
        async with connected(url) as client:
            yield Catalog(client, keys, directory)


async def found_out(replica: Replica, before: str) -> None:
    """Waits until the replica follows the store that has forgotten."""
    await until(lambda: replica._last_change != before and replica._copy.is_current)


async def last_number(catalog: Catalog) -> int:
    """The number that the store gave out last."""
    return await catalog.links.last_number()


class TestNumbers:
    @on_both_stores
    async def test_they_are_not_given_out_again(self, kind: str, directory: Path, keys: Keys) -> None:
        """After FLUSHALL old links go on being answered, and a new one gets a number that no mail has; each time."""
        async with own_catalog(kind, directory, keys) as catalog:
            one, two = await catalog.mint(a_link(), a_link(label="b"))
            async with catalog.followed() as replica:
                await be_current(replica)
                new = [await minted_after_a_loss(catalog, replica) for _ in range(2)]

                assert [link.number for link in new] == [3, 4]
                assert [replica.known(link.number) for link in (one, two, *new)] == [
                    (link, a_campaign()) for link in (one, two, *new)
                ]

    @on_both_stores
    async def test_a_store_emptied_twice_with_nothing_in_between(self, kind: str, directory: Path, keys: Keys) -> None:
        """That it was emptied again is found out, though nobody minted anything."""
        async with own_catalog(kind, directory, keys) as catalog:
            await catalog.mint()
            async with catalog.followed() as replica:
                await be_current(replica)
                for _ in range(2):
                    before = replica._last_change
                    await catalog.redis.flushall()
                    await found_out(replica, before)

            assert await last_number(catalog) == 1

    @on_both_stores
    async def test_also_when_nobody_followed(self, kind: str, directory: Path, keys: Keys) -> None:
        """A process that starts over its file tells a store that was emptied meanwhile."""
        async with own_catalog(kind, directory, keys) as catalog:
            (link,) = await catalog.mint()
            await filled(catalog)
            await catalog.redis.flushall()
            async with catalog.followed() as replica:
                at_once = await last_number(catalog)
                await be_current(replica)

                assert at_once == link.number
                assert replica.known(link.number) == (link, a_campaign())

    async def test_a_counter_alone_that_went_back(self, catalog: Catalog) -> None:
        """Where the list of changes has no gap, a start raises it all the same."""
        await catalog.mint(a_link(), a_link(label="b"))
        await filled(catalog)
        await catalog.redis.set(catalog.keys.next_link, 1)
        async with catalog.followed():
            assert await last_number(catalog) == 2

    @on_both_stores
    async def test_an_older_backup(self, kind: str, directory: Path, keys: Keys) -> None:
        """A store that came back as it was earlier does not give out what it gave out since."""
        async with own_catalog(kind, directory, keys) as catalog:
            (old,) = await catalog.mint()
            shutil.copytree(directory, directory / "earlier", ignore=shutil.ignore_patterns("*.sock", "redirect-0"))
            (late,) = await catalog.mint(a_link(label="late"))
            await catalog.people.opt_out(ANN, NOON)
            async with catalog.followed() as replica:
                await be_current(replica)
                before = replica._last_change
                kill(f"unix://{directory}/store.sock")
                shutil.copytree(directory / "earlier", directory, dirs_exist_ok=True)
                with own_store(kind, directory):
                    await found_out(replica, before)
                    (new,) = await catalog.mint(NEW)
                    await until(lambda: replica.known(new.number))

                    assert new.number == late.number + 1
                    assert [replica.known(link.number) for link in (old, late)] == [
                        (old, a_campaign()),
                        (late, a_campaign()),
                    ]
                    assert ANN in replica.opted_out
                    assert await catalog.people.among([ANN]) == {ANN}

    async def test_a_store_that_takes_nothing_back_yet(
        self, catalog: Catalog, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What it refuses keeps nobody from following it, and is tried again until it takes it."""
        (link,) = await catalog.mint()
        await filled(catalog)
        await catalog.redis.delete(catalog.keys.next_link)
        await catalog.redis.rpush(catalog.keys.next_link, "not a number")
        async with catalog.followed() as replica:
            await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            await until(lambda: (replica.known(link.number) or (link,))[0].disabled)
            await catalog.redis.delete(catalog.keys.next_link)
            await until(lambda: not replica._forgotten.is_due)

            assert await last_number(catalog) == link.number
        assert caplog.text.count("does not take back") == 1


class TestTwoLinksOfOneNumber:
    @on_both_stores
    async def test_the_first_is_answered(self, kind: str, directory: Path, keys: Keys) -> None:
        """What is minted before anybody found out has the number of a link in mails already sent, which goes on."""
        async with own_catalog(kind, directory, keys) as catalog:
            (old,) = await catalog.mint()
            async with catalog.followed() as replica:
                await be_current(replica)
                before = replica._last_change
                await catalog.redis.flushall()
                new = await minted_at_once(catalog)
                await found_out(replica, before)
                known, asked = replica.known(old.number), await replica.ask(old.number)
            await filled(catalog)
            async with without_store(catalog) as later:
                without = later.known(old.number)

        assert new.number == old.number
        assert known == asked == without == (old, a_campaign())

    @pytest.mark.parametrize("what", ["asked", "changed"])
    async def test_it_is_in_the_file_only(self, catalog: Catalog, what: str, caplog: pytest.LogCaptureFixture) -> None:
        """Neither a question nor a change puts the second in its place; the log says that there are two."""
        (old,) = await catalog.mint()
        await filled(catalog)
        await catalog.redis.delete(catalog.keys.links, catalog.keys.identities, catalog.keys.next_link)
        await catalog.redis.xtrim(catalog.keys.changes, maxlen=0, approximate=False)
        new = await minted_at_once(catalog)
        async with catalog.followed() as replica:
            if what == "asked":
                assert await replica.ask(old.number) == (old, a_campaign())
            await be_current(replica)
            await catalog.links.change(new.number, lambda it: replace(it, disabled=True))
            (last,) = await catalog.mint(a_link(label="last"))
            await until(lambda: replica.known(last.number))

            assert new.number == old.number
            assert replica.known(old.number) == (old, a_campaign())
        assert "gave 1 numbers out twice, such as 1" in caplog.text

    async def test_a_copy_that_knew_the_second_learns_the_first(self, catalog: Catalog) -> None:
        """Once the store has the first again, it is answered everywhere."""
        (new,) = await catalog.mint(NEW)
        async with catalog.followed() as replica:
            await be_current(replica)
            before = replica.known(new.number)
            await catalog.redis.delete(catalog.keys.links)
            old = a_link(number=new.number)
            await catalog.links.restore([old])
            await until(lambda: replica.known(new.number) == (old, a_campaign()))

        assert before == (new, a_campaign())


class TestOptOuts:
    @on_both_stores
    async def test_they_outlive_the_store(self, kind: str, directory: Path, keys: Keys) -> None:
        """After FLUSHALL every process knows them as before, the store has them again, and so has a new process."""
        async with own_catalog(kind, directory, keys) as catalog:
            for clicker in (ANN, VISITOR):
                await catalog.people.opt_out(clicker, NOON)
            async with catalog.followed() as one, catalog.followed_too() as two:
                await be_current(one)
                await be_current(two)
                before = [(each, each._last_change) for each in (one, two)]
                await catalog.redis.flushall()
                for each, last_change in before:
                    await found_out(each, last_change)
                await catalog.people.opt_out(BOB, NOON)
                await until(lambda: all(BOB in each.opted_out for each in (one, two)))

                assert all(clicker in each.opted_out for clicker in (ANN, VISITOR) for each in (one, two))
                assert {clicker async for clicker in catalog.people.all()} == {ANN, BOB, VISITOR}
            async with Catalog(catalog.redis, keys, directory / "third").followed() as third:
                assert all(clicker in third.opted_out for clicker in (ANN, BOB, VISITOR))

    @on_both_stores
    async def test_a_process_that_starts_gives_them_back(self, kind: str, directory: Path, keys: Keys) -> None:
        """Its file is all that is left of them, and it knows them before its first click."""
        async with own_catalog(kind, directory, keys) as catalog:
            await catalog.people.opt_out(ANN, NOON)
            await filled(catalog)
            await catalog.redis.flushall()
            async with catalog.followed() as replica:
                assert ANN in replica.opted_out
                assert await catalog.people.among([ANN]) == {ANN}


class TestRestore:
    @on_both_stores
    async def test_everything_comes_back(self, kind: str, directory: Path, keys: Keys) -> None:
        """A backup brings back links, campaigns and opt-outs after FLUSHALL, also where a link was minted since."""
        async with own_catalog(kind, directory, keys) as catalog:
            links = await catalog.mint(*(a_link(label=str(number)) for number in range(60)))
            await catalog.people.opt_out(ANN, NOON)
            store = backup.Catalog(
                catalog.links, catalog.campaigns, ApiKeys(catalog.redis, keys, pepper=b""), catalog.people
            )
            rows: list[Row] = [row async for row in backup.rows(store)]
            async with catalog.followed() as replica:
                await be_current(replica)
                before = replica._last_change
                await catalog.redis.flushall()
                await found_out(replica, before)
                (new,) = await catalog.mint(NEW)
                await backup.check(store, rows, "a backup")
                await backup.restore(store, rows, "a backup")

                assert new.number == 61
                assert await catalog.links.those(range(1, 62)) == {link.number: link for link in [*links, new]}
                assert await catalog.campaigns.get("news") == a_campaign()
                assert await catalog.people.among([ANN]) == {ANN}
                assert await last_number(catalog) == 61


async def minted_after_a_loss(catalog: Catalog, replica: Replica) -> Link:
    """Empties the store, and mints when the replica has found out."""
    before = replica._last_change
    await catalog.redis.flushall()
    await found_out(replica, before)
    (new,) = await catalog.mint(NEW)
    await until(lambda: replica.known(new.number) == (new, a_campaign()))
    return new


async def minted_at_once(catalog: Catalog) -> Link:
    """A link that was minted when the store had forgotten, and before anybody found out."""
    (new,) = await catalog.mint(NEW)
    return new
