"""The local copy of the links: asked for once, kept up to date, and good without the store."""

import asyncio
import resource
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from redirector.catalog import CatalogFile
from redirector.clickers import DAY_MS, visitor
from redirector.errors import StoreError, StoreUnavailable
from redirector.fill import Fill
from redirector.links import Campaign, Link
from redirector.replica import Replica
from redirector.store.campaigns import Campaigns
from redirector.store.changes import Changes
from redirector.store.connection import ANSWER_WITHIN_SECONDS, connected
from redirector.store.keys import Keys
from redirector.store.links import Links, Minted
from redirector.store.people import People
from redirector.store.records import campaign_record, link_record
from tests.builders import NOON, a_campaign, a_destination, a_link
from tests.store.stores import asked, frozen, kill, on_both_stores, own_store, relayed, until

PATIENCE_SECONDS = 20.0


class Catalog:
    """The store's side: links and campaigns, and copies of them."""

    def __init__(self, redis: Redis, keys: Keys, directory: Path) -> None:
        self.redis = redis
        self.keys = keys
        self.path = directory / "redirect-0" / "links.sqlite"
        self.links = Links(redis, keys)
        self.campaigns = Campaigns(redis, keys)
        self.people = People(redis, keys)

    async def mint(self, *drafts: Link) -> list[Link]:
        minted = await self.links.mint(a_campaign(), drafts or (a_link(),), topics_max=100, now=NOON)
        return [answer.link for answer in minted if isinstance(answer, Minted)]

    def replica(self, links_in_memory: int = 100, *, deadline_seconds: float = PATIENCE_SECONDS) -> Replica:
        return Replica(
            self.links,
            self.campaigns,
            self.people,
            Changes(self.redis, self.keys),
            self.path,
            links_in_memory=links_in_memory,
            deadline_seconds=deadline_seconds,
        )

    @asynccontextmanager
    async def followed(self, links_in_memory: int = 100) -> AsyncIterator[Replica]:
        replica = self.replica(links_in_memory)
        await replica.start()
        try:
            yield replica
        finally:
            await replica.stop()

    def followed_too(self) -> AbstractAsyncContextManager[Replica]:
        """The same by another process of the machine."""
        return Catalog(self.redis, self.keys, self.path.parent.parent / "other").followed()


@pytest.fixture
def catalog(redis: Redis, keys: Keys, directory: Path) -> Catalog:
    """Links and campaigns in a store of the test's own."""
    return Catalog(redis, keys, directory)


async def answered(ask: Callable[[], Awaitable[tuple[Link, Campaign] | None]]) -> tuple[Link, Campaign] | None:
    """The answer, asked for until the store is in reach."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await ask()
            except StoreUnavailable:
                await asyncio.sleep(0.005)


class TestAsking:
    async def test_a_link_is_known_once_it_was_asked_for(self, catalog: Catalog) -> None:
        """What the file has not yet is asked of the store, and from then on memory answers."""
        (link,) = await catalog.mint()
        async with catalog.followed() as replica:
            before = replica.known(link.number)
            asked_for = await replica.ask(link.number)

            assert before is None
            assert asked_for == replica.known(link.number) == (link, a_campaign())

    async def test_no_link_is_none(self, catalog: Catalog) -> None:
        """A number that was never given out has no link, and is not remembered."""
        async with catalog.followed() as replica:
            assert await replica.ask(99) is None
            (link,) = await catalog.mint()
            assert await replica.ask(link.number) == (link, a_campaign())

    async def test_many_who_ask_at_once_ask_once(self, catalog: Catalog) -> None:
        """A mailing's first clicks come together: the store is asked one time for a link."""
        (link,) = await catalog.mint()
        async with catalog.followed() as replica:
            before = (await catalog.redis.info("commandstats"))["cmdstat_hget"]["calls"]
            answers = await asyncio.gather(*(replica.ask(link.number) for _ in range(50)))
            calls = (await catalog.redis.info("commandstats"))["cmdstat_hget"]["calls"] - before

        assert answers == [(link, a_campaign())] * 50
        assert calls == 2  # one for the link, one for its campaign

    async def test_a_reader_who_goes_away_takes_nobody_along(self, catalog: Catalog) -> None:
        """A request that is cancelled while it asks leaves the answer to the others."""
        (link,) = await catalog.mint()
        async with catalog.followed() as replica:
            impatient = asyncio.create_task(replica.ask(link.number))
            patient = asyncio.create_task(replica.ask(link.number))
            await asyncio.sleep(0)
            impatient.cancel()

            assert await patient == (link, a_campaign())

    async def test_the_least_recently_used_makes_room(self, catalog: Catalog) -> None:
        """The links clicked last are in memory; the one that was not clicked for longest goes first."""
        one, two, three = await catalog.mint(a_link(), a_link(label="b"), a_link(label="c"))
        async with catalog.followed(links_in_memory=1) as replica:
            await replica.ask(one.number)
            await replica.ask(two.number)
            replica.known(one.number)
            await replica.ask(three.number)

            assert [link.number in replica._copy.links for link in (one, two, three)] == [True, False, True]
            await until(lambda: replica.known(two.number) == (two, a_campaign()))

    async def test_a_link_without_its_campaign_is_an_error(self, catalog: Catalog) -> None:
        """A campaign that was lost is the store's trouble, not an unknown link; the link is not half known."""
        (link,) = await catalog.mint()
        await catalog.redis.hdel(catalog.keys.campaigns, "news")
        async with catalog.followed() as replica:
            with pytest.raises(StoreError, match="campaign that is not in the store"):
                await replica.ask(link.number)

            assert replica.known(link.number) is None

    async def test_a_spoiled_link_is_an_error_for_itself_only(self, catalog: Catalog) -> None:
        """A record that cannot be read spoils no other link."""
        bad, good = await catalog.mint(a_link(), a_link(label="b"))
        await catalog.redis.hset(catalog.keys.links, str(bad.number), "{")
        async with catalog.followed() as replica:
            with pytest.raises(StoreError):
                await replica.ask(bad.number)

            assert await replica.ask(good.number) == (good, a_campaign())


class TestChanges:
    @pytest.mark.parametrize(
        "changed",
        [
            pytest.param({"disabled": True}, id="disabled"),
            pytest.param({"destination": a_destination("https://www.example.com/new")}, id="new destination"),
            pytest.param({"expires_at": NOON}, id="expires"),
        ],
    )
    async def test_a_changed_link_arrives(self, catalog: Catalog, changed: dict[str, object]) -> None:
        """What somebody changes in the store is soon what every copy answers."""
        (link,) = await catalog.mint()
        expected = (replace(link, **changed), a_campaign())  # type: ignore[arg-type]
        async with catalog.followed() as replica:
            await replica.ask(link.number)
            await catalog.links.change(link.number, lambda it: replace(it, **changed))  # type: ignore[arg-type]
            await until(lambda: replica.known(link.number) == expected)

            assert await replica.ask(link.number) == expected

    async def test_a_changed_campaign_arrives(self, catalog: Catalog) -> None:
        """A fallback or an end that a campaign is given later holds for all of its links."""
        (link,) = await catalog.mint()
        expected = a_campaign(fallback_url=a_destination("https://www.example.com/over"), expires_at=NOON)
        async with catalog.followed() as replica:
            await replica.ask(link.number)
            await catalog.campaigns.change("news", lambda _: expected)
            await until(lambda: replica.known(link.number) == (link, expected))

            assert await replica.ask(link.number) == (link, expected)

    async def test_what_nobody_asked_for_is_on_disk_only(self, catalog: Catalog) -> None:
        """New links are known before anybody clicks them, and cost no memory until somebody does."""
        async with catalog.followed() as replica:
            await be_current(replica)
            minted = await catalog.mint(*(a_link(label=str(number)) for number in range(50)))
            await until(lambda: replica.known(minted[-1].number))
            in_memory = len(replica._copy.links)

            assert [replica.known(link.number) for link in minted] == [(link, a_campaign()) for link in minted]
            assert in_memory == 1

    @pytest.mark.parametrize("what", ["link", "campaign"])
    async def test_a_change_during_the_question_wins(self, catalog: Catalog, keys: Keys, what: str) -> None:
        """An answer that was under way when the link or its campaign changed does not bring the old state back."""
        (link,) = await catalog.mint()
        url = f"unix://{catalog.redis.connection_pool.connection_kwargs['path']}"
        # Two clients: one is asked, and its answers come late; by the other one the change arrives in time.
        async with connected(url) as slow:
            stored = Links(slow, keys), Campaigns(slow, keys), People(slow, keys), Changes(catalog.redis, keys)
            replica = Replica(*stored, catalog.path, links_in_memory=10)
            await replica._catch_up()
            question = asyncio.create_task(replica.ask(link.number))
            held_back: asyncio.Task[bool] | None = None
            if what == "link":
                await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            else:
                await catalog.campaigns.change("news", lambda it: replace(it, sent=5))
            held_back = asyncio.create_task(replica._catch_up())
            await asyncio.gather(question, held_back)
            found = replica.known(link.number)

        assert found is not None
        assert (found[0].disabled, found[1].sent) == ((True, None) if what == "link" else (False, 5))

    async def test_a_gap_forgets_everything(self, catalog: Catalog) -> None:
        """When changes were missed, no link is answered from memory before the store was asked for it again."""
        (link,) = await catalog.mint()
        replica = catalog.replica()
        await replica.start()
        await replica.ask(link.number)
        await replica.stop()
        await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
        await catalog.redis.xtrim(catalog.keys.changes, maxlen=0, approximate=False)
        await replica.start()
        after_the_gap = replica.known(link.number)
        await replica.stop()

        assert after_the_gap is None
        assert await replica.ask(link.number) == (replace(link, disabled=True), a_campaign())

    async def test_a_gap_takes_back_an_answer_that_is_under_way(self, catalog: Catalog) -> None:
        """An answer from before the gap does not outlive it."""
        (link,) = await catalog.mint()
        replica = catalog.replica()
        await replica._catch_up()
        question = asyncio.create_task(replica.ask(link.number))
        await asyncio.sleep(0)
        await catalog.redis.xtrim(catalog.keys.changes, maxlen=0, approximate=False)
        await replica._catch_up()
        await question

        assert replica.known(link.number) in {None, (link, a_campaign())}
        assert replica._last_change == "0-0"

    async def test_a_spoiled_record_does_not_stop_the_others(self, catalog: Catalog) -> None:
        """A change that cannot be read is passed over, and those behind it arrive."""
        bad, good = await catalog.mint(a_link(), a_link(label="b"))
        async with catalog.followed() as replica:
            await replica.ask(bad.number)
            await replica.ask(good.number)
            await catalog.redis.hset(catalog.keys.links, str(bad.number), "{")
            await catalog.redis.xadd(catalog.keys.changes, {"link": str(bad.number)})
            await catalog.links.change(good.number, lambda it: replace(it, disabled=True))
            await until(lambda: (replica.known(good.number) or (good,))[0].disabled)

            assert replica.known(bad.number) == (bad, a_campaign())

    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            pytest.param("link", "seven", id="no number"),
            pytest.param("link", "²", id="a digit that is no number"),
            pytest.param("link", "9" * 5000, id="a number past all numbers"),
            pytest.param("link", "99", id="no such link"),
            pytest.param("campaign", "other", id="unknown campaign"),
            pytest.param("colour", "red", id="unknown kind"),
        ],
    )
    async def test_odd_changes_are_passed_over(self, catalog: Catalog, kind: str, name: str) -> None:
        """Whatever else stands in the change stream, what comes behind it arrives."""
        (link,) = await catalog.mint()
        async with catalog.followed() as replica:
            await replica.ask(link.number)
            await catalog.redis.xadd(catalog.keys.changes, {kind: name})
            await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            await until(lambda: (replica.known(link.number) or (link,))[0].disabled)

            assert await replica.ask(link.number) == (replace(link, disabled=True), a_campaign())

    async def test_what_was_deleted_stays_in_memory(self, catalog: Catalog) -> None:
        """Links are never deleted by the program: one that vanished is answered as long as it is known."""
        (link,) = await catalog.mint()
        async with catalog.followed() as replica:
            await replica.ask(link.number)
            await catalog.redis.hdel(catalog.keys.links, str(link.number))
            await catalog.redis.hdel(catalog.keys.campaigns, "news")
            before = replica._last_change
            await catalog.redis.xadd(catalog.keys.changes, {"link": str(link.number)})
            last: Any = await catalog.redis.xadd(catalog.keys.changes, {"campaign": "news"})
            await until(lambda: replica._last_change == last.decode())

            assert before != replica._last_change
            assert replica.known(link.number) == (link, a_campaign())


class TestWithoutTheStore:
    async def test_it_is_ready_once_it_met_its_store(self, catalog: Catalog) -> None:
        """An empty store is a store."""
        replica = catalog.replica()
        assert not replica.ready
        await replica.start()
        await replica.stop()

        assert replica.ready

    async def test_stopping_what_never_began(self, catalog: Catalog) -> None:
        """A copy that was not started can be stopped."""
        replica = catalog.replica()
        await replica.stop()

        assert not replica.ready

    async def test_without_a_store_it_is_not_ready(self, directory: Path, keys: Keys) -> None:
        """A copy that never met its store knows nothing, and says so at once."""
        async with (
            connected(f"unix://{directory}/none.sock") as client,
            Catalog(client, keys, directory).followed() as replica,
        ):
            assert not replica.ready
            with pytest.raises(StoreUnavailable):
                await replica.ask(1)

    @on_both_stores
    async def test_what_is_known_is_answered_with_the_store_dead(self, kind: str, directory: Path, keys: Keys) -> None:
        """Dead and started again: what is known is answered all the time, the rest refused at once, then asked for."""
        with own_store(kind, directory, "--appendfsync", "always") as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys, directory)
                (link,) = await catalog.mint()
                async with catalog.followed() as replica:
                    await until(lambda: replica.known(link.number))
                    kill(url)
                    await until(lambda: not replica._store_answers)
                    began = time.monotonic()
                    with pytest.raises(StoreUnavailable):
                        await replica.ask(99)
                    took = time.monotonic() - began
                    while_dead = replica.known(link.number)
                    ready = replica.ready
                    with own_store(kind, directory):
                        (new,) = await catalog.mint(a_link(label="b"))
                        assert await answered(lambda: replica.ask(new.number)) == (new, a_campaign())

        assert while_dead == (link, a_campaign())
        assert took < 0.1
        assert ready

    @on_both_stores
    async def test_a_frozen_store_is_found_out(self, kind: str, directory: Path, keys: Keys) -> None:
        """A store that says nothing is soon known to be out of reach, and changes made meanwhile arrive after it."""
        with own_store(kind, directory) as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys, directory)
                (link,) = await catalog.mint()
                async with catalog.followed() as replica:
                    await replica.ask(link.number)
                    with frozen(url):
                        await until(lambda: not replica._store_answers)
                        while_frozen = replica.known(link.number)
                    with asked(url) as admin:
                        record = admin.hget(keys.links, str(link.number)).replace(b"www", b"new")
                        admin.hset(keys.links, str(link.number), record)
                        admin.xadd(keys.changes, {"link": str(link.number)})
                    await until(lambda: replica.known(link.number) != while_frozen)

                    assert while_frozen == (link, a_campaign())

    async def test_a_reset_connection_does_not_end_the_following(
        self, store_url: str, catalog: Catalog, keys: Keys, directory: Path
    ) -> None:
        """After a reset of its connections a copy goes on hearing of changes."""
        (link,) = await catalog.mint()
        async with (
            relayed(store_url) as (url, reset),
            connected(url) as client,
            Catalog(client, keys, directory).followed() as replica,
        ):
            await replica.ask(link.number)
            reset()
            await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            await until(lambda: (replica.known(link.number) or (link,))[0].disabled)

            assert await answered(lambda: replica.ask(link.number)) == (replace(link, disabled=True), a_campaign())


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


class TestEnding:
    async def test_an_error_that_nobody_foresaw_is_not_kept_quiet(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A copy that can no longer follow its store ends, rather than send readers on by links disabled since."""

        async def fail(*_: object, **__: object) -> None:
            raise MemoryError

        replica = catalog.replica()
        await replica.start()
        ended = asyncio.create_task(replica.ended())
        await asyncio.sleep(0)
        before = ended.done()
        monkeypatch.setattr(catalog.links, "records", fail)
        await catalog.mint()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await ended

        assert not before
        with pytest.raises(MemoryError):
            await replica.stop()

    async def test_stopping_is_no_error(self, catalog: Catalog) -> None:
        """Whoever waits for its end is told of an ordinary one, too."""
        replica = catalog.replica()
        await replica.start()
        ended = asyncio.create_task(replica.ended())
        await replica.stop()

        async with asyncio.timeout(PATIENCE_SECONDS):
            await ended


async def mint_many(catalog: Catalog, count: int) -> None:
    """So many links, put into the store without announcing them one by one."""
    await catalog.mint()
    record = link_record(a_link())
    for first in range(2, count + 1, 10_000):
        numbers = range(first, min(first + 10_000, count + 1))
        await catalog.redis.hset(catalog.keys.links, mapping={str(number): record for number in numbers})
    await catalog.redis.set(catalog.keys.next_link, count)


async def be_current(replica: Replica) -> None:
    """Waits until everything was copied."""
    await until(lambda: replica._copy.is_current)


async def filled(catalog: Catalog) -> None:
    """An earlier run of a process: it copied everything, and ended."""
    async with catalog.followed() as replica:
        await be_current(replica)


@asynccontextmanager
async def without_store(catalog: Catalog) -> AsyncIterator[Replica]:
    """A process that starts over the same file while the store is dead."""
    async with connected(f"unix://{catalog.path.parent}/none.sock") as client:
        dead = Catalog(client, catalog.keys, catalog.path.parent.parent)
        async with dead.followed() as replica:
            yield replica


def disabled_in(replica: Replica, link: Link) -> bool:
    """Whether the copy knows that the link was disabled."""
    return (replica.known(link.number) or (link,))[0].disabled


def log_of_openings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were opened from now on, each when that has ended."""
    opened, open_file = [], CatalogFile.open

    def open_and_log(file: CatalogFile) -> None:
        open_file(file)
        opened.append(file._path)

    monkeypatch.setattr(CatalogFile, "open", open_and_log)
    return opened


def resident_bytes() -> int:
    """What this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class TestStartWithoutTheStore:
    async def test_what_an_earlier_run_knew_is_answered(self, catalog: Catalog) -> None:
        """Links that nobody ever clicked, too; it is ready, and what it does not know is refused at once."""
        minted = await catalog.mint(*(a_link(label=str(number)) for number in range(20)))
        await filled(catalog)
        async with without_store(catalog) as replica:
            assert replica.ready
            assert [replica.known(link.number) for link in minted] == [(link, a_campaign()) for link in minted]
            with pytest.raises(StoreUnavailable):
                await replica.ask(99)

    async def test_a_disabled_link_stays_disabled(self, catalog: Catalog) -> None:
        """What was changed while an earlier run followed is as it was then, with the campaign's fallback."""
        (link,) = await catalog.mint()
        expected = a_campaign(fallback_url=a_destination("https://www.example.com/over"))
        async with catalog.followed() as replica:
            await be_current(replica)
            await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            await catalog.campaigns.change("news", lambda _: expected)
            await until(lambda: replica._copy._file.campaign("news") == campaign_record(expected).encode())
        async with without_store(catalog) as replica:
            assert replica.known(link.number) == (replace(link, disabled=True), expected)

    async def test_what_was_asked_for_before_the_file_was_full_is_kept(self, catalog: Catalog) -> None:
        """A link that was clicked while the file was being filled is in it, though the fill did not come to it."""
        (link,) = await catalog.mint()
        replica = catalog.replica()
        replica._copy.open()
        await replica._catch_up(wait=False)
        replica._fill = Fill(catalog.links, catalog.campaigns)
        await replica.ask(link.number)
        await replica._catch_up(wait=False)
        await replica.stop()
        async with without_store(catalog) as later:
            assert later.known(link.number) == (link, a_campaign())

    async def test_it_catches_up_with_what_it_missed(self, catalog: Catalog) -> None:
        """A worker that comes back to its store does not send readers on by a link disabled meanwhile."""
        one, two = await catalog.mint(a_link(), a_link(label="b"))
        await filled(catalog)
        await catalog.links.change(one.number, lambda it: replace(it, disabled=True))
        await catalog.mint(*(a_link(label=str(number)) for number in range(1_500)))
        await catalog.links.change(two.number, lambda it: replace(it, disabled=True))
        async with catalog.followed() as replica:
            assert [disabled_in(replica, link) for link in (one, two)] == [True, True]


class TestFilling:
    async def test_changes_arrive_within_a_second(self, catalog: Catalog) -> None:
        """Of a link in memory, of one that is on disk only, and of a new one."""
        one, two = await catalog.mint(a_link(), a_link(label="b"))
        async with catalog.followed() as replica:
            await be_current(replica)
            replica.known(one.number)
            began = time.monotonic()
            for link in (one, two):
                await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            (new,) = await catalog.mint(a_link(label="c"))
            await until(lambda: disabled_in(replica, one) and disabled_in(replica, two) and replica.known(new.number))
            took = time.monotonic() - began

        assert took < 1

    async def test_a_reader_during_the_write_does_not_bring_the_old_state_back(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is read from the file while a change is on its way there is not remembered."""
        (link,) = await catalog.mint()
        replica = catalog.replica()
        replica._last_change = replica._copy.open()
        await replica._catch_up(wait=False)
        while not replica._copy.is_current:
            await replica._fill_file()
        go_on, write = threading.Event(), CatalogFile.write
        monkeypatch.setattr(CatalogFile, "write", lambda *it: go_on.wait(PATIENCE_SECONDS) and write(*it))
        await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
        writing = asyncio.create_task(replica._catch_up(wait=False))
        await until(lambda: replica._copy._is_changing)
        meanwhile = disabled_in(replica, link)
        go_on.set()
        await writing
        afterwards = disabled_in(replica, link)
        await replica.stop()

        assert (meanwhile, afterwards) == (False, True)

    async def test_a_hundred_thousand_links(self, catalog: Catalog) -> None:
        """They are copied in seconds, in little memory, and the loop is free for readers meanwhile."""
        await mint_many(catalog, 100_000)
        before, longest, began = resident_bytes(), 0.0, time.process_time()
        async with catalog.followed(links_in_memory=1_000) as replica:
            while not replica._copy.is_current:
                looked = time.thread_time()
                await asyncio.sleep(0)
                longest = max(longest, time.thread_time() - looked)
            took = time.process_time() - began
            known = [replica.known(number) is not None for number in range(1, 100_001, 37)]

            assert all(known)
            assert len(replica._copy.links) <= 2_000
        assert took < 8
        assert longest < 0.05
        assert resident_bytes() - before < 50_000_000

    async def test_changes_during_the_fill_win(self, catalog: Catalog) -> None:
        """A link that was copied already and one that was not yet: both end up as they were changed."""
        await mint_many(catalog, 30_000)
        async with catalog.followed() as replica:
            await until(lambda: replica._fill and replica._fill._next > 5_000)
            for number in (1, 30_000):
                await catalog.links.change(number, lambda it: replace(it, disabled=True, label=str(it.number)))
            assert not replica._copy.is_current
            await be_current(replica)
            await until(lambda: all(disabled_in(replica, a_link(number=number)) for number in (1, 30_000)))

        async with without_store(catalog) as replica:
            assert all(disabled_in(replica, a_link(number=number)) for number in (1, 30_000))

    @on_both_stores
    async def test_a_store_that_freezes_meanwhile_is_waited_out(self, kind: str, directory: Path, keys: Keys) -> None:
        """What was copied before is answered, and the copying goes on when the store wakes up."""
        with own_store(kind, directory) as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys, directory)
                await mint_many(catalog, 30_000)
                async with catalog.followed() as replica:
                    await until(lambda: replica._fill and replica._fill._next > 2_000)
                    with frozen(url):
                        await until(lambda: not replica._store_answers)
                        meanwhile = (replica.known(1), replica.known(30_000))
                    await be_current(replica)

                    assert meanwhile[0] is not None
                    assert meanwhile[1] is None
                    assert replica.known(30_000) is not None

    @on_both_stores
    async def test_a_store_that_is_killed_meanwhile_is_waited_for(self, kind: str, directory: Path, keys: Keys) -> None:
        """A new store over the same data is copied to the end."""
        with own_store(kind, directory) as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys, directory)
                await mint_many(catalog, 30_000)
                async with catalog.followed() as replica:
                    await until(lambda: replica._fill and replica._fill._next > 2_000)
                    kill(url)
                    await until(lambda: not replica._store_answers)
                    with own_store(kind, directory):
                        await be_current(replica)

                        assert replica.known(30_000) is not None

    async def test_a_process_that_ended_meanwhile_begins_again(self, catalog: Catalog) -> None:
        """A file that was not filled to its end is not taken for complete; what it has is answered all the same."""
        await mint_many(catalog, 30_000)
        async with catalog.followed() as replica:
            await until(lambda: replica._fill and replica._fill._next > 2_000)
        async with without_store(catalog) as replica:
            assert (replica.ready, replica.known(1) is not None, replica.known(30_000)) == (False, True, None)
        async with catalog.followed() as replica:
            assert replica.known(1) is None
            await be_current(replica)

            assert replica.known(30_000) is not None


class TestGap:
    async def test_a_disabled_link_does_not_go_on(self, catalog: Catalog) -> None:
        """The change was missed: the file is not believed while the store answers, and is right after the fill."""
        (link,) = await catalog.mint()
        await filled(catalog)
        await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
        await catalog.redis.xtrim(catalog.keys.changes, maxlen=0, approximate=False)
        async with catalog.followed() as replica:
            at_once = replica.known(link.number)
            asked_for = await replica.ask(link.number)
            await be_current(replica)

            assert at_once is None
            assert asked_for == replica.known(link.number) == (replace(link, disabled=True), a_campaign())

    async def test_out_of_reach_again_the_file_is_better_than_nothing(self, catalog: Catalog) -> None:
        """Between the gap and the fill, an old answer is given only when there is no other."""
        (link,) = await catalog.mint()
        await filled(catalog)
        await catalog.redis.xtrim(catalog.keys.changes, maxlen=0, approximate=False)
        replica = catalog.replica()
        replica._last_change = replica._copy.open()
        await replica._catch_up(wait=False)
        while_it_answers = replica.known(link.number)
        replica._store_answers = replica._store_is_prompt = False
        without = replica.known(link.number)
        await replica.stop()

        assert (while_it_answers, without) == (None, (link, a_campaign()))
        assert len(replica._copy.links) == 0  # or else it would be answered when the store is back

    async def test_what_vanished_from_the_store_is_answered(self, catalog: Catalog) -> None:
        """A link that the store no longer has is answered as it was, before the fill and after it."""
        (link,) = await catalog.mint()
        await filled(catalog)
        await catalog.redis.delete(catalog.keys.links, catalog.keys.campaigns, catalog.keys.changes)
        replica = catalog.replica()
        replica._last_change = replica._copy.open()
        await replica._catch_up(wait=False)
        before = (replica.known(link.number), await replica.ask(link.number))
        while not replica._copy.is_current:
            await replica._fill_file()
        after = replica.known(link.number)
        await replica.stop()

        assert before == (None, (link, a_campaign()))
        assert after == (link, a_campaign())

    @on_both_stores
    async def test_a_store_that_fails_under_the_question_is_no_reason_to_refuse(
        self, kind: str, directory: Path, keys: Keys
    ) -> None:
        """The file is asked when the question finds out that the store is gone."""
        with own_store(kind, directory) as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys, directory)
                (link,) = await catalog.mint()
                await filled(catalog)
                await catalog.redis.xtrim(catalog.keys.changes, maxlen=0, approximate=False)
                replica = catalog.replica()
                replica._last_change = replica._copy.open()
                await replica._catch_up(wait=False)
                kill(url)
                answer = await replica.ask(link.number)
                await replica.stop()

        assert answer == (link, a_campaign())

    @on_both_stores
    async def test_a_store_that_lost_everything(self, kind: str, directory: Path, keys: Keys) -> None:
        """After FLUSHALL what was minted before goes on being answered, and what is minted anew takes its place."""
        with own_store(kind, directory) as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys, directory)
                one, two = await catalog.mint(a_link(), a_link(label="b"))
                async with catalog.followed() as replica:
                    await be_current(replica)
                    await client.flushall()
                    await until(lambda: replica._last_change == "0-0")
                    meanwhile = replica.known(one.number) or await replica.ask(one.number)
                    await be_current(replica)
                    after = [replica.known(link.number) for link in (one, two)]
                    (new,) = await catalog.mint(a_link("https://www.example.com/new"))
                    await until(lambda: replica.known(one.number) == (new, a_campaign()))

                    assert meanwhile == (one, a_campaign())
                    assert after == [(one, a_campaign()), (two, a_campaign())]
                    assert new.number == one.number
                    assert replica.known(two.number) == (two, a_campaign())

    async def test_more_changes_than_are_kept(self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever began with an empty store, and was away for long, cannot tell what was trimmed: a gap."""
        async with catalog.followed() as replica:
            await be_current(replica)
            assert replica._last_change == "0-0"
        (link,) = await catalog.mint()
        await catalog.redis.xtrim(catalog.keys.changes, maxlen=1, approximate=False)
        monkeypatch.setattr("redirector.store.changes.KEPT_CHANGES", 1)
        async with catalog.followed() as replica:
            await be_current(replica)

            assert replica.known(link.number) == (link, a_campaign())


DEADLINE_SECONDS = 0.2


@asynccontextmanager
async def not_current(catalog: Catalog, *, deadline_seconds: float = DEADLINE_SECONDS) -> AsyncIterator[Replica]:
    """A copy that is in touch with its store, and has not filled its file again since a gap."""
    await catalog.redis.xtrim(catalog.keys.changes, maxlen=0, approximate=False)
    replica = catalog.replica(deadline_seconds=deadline_seconds)
    replica._last_change = replica._copy.open()
    await replica._catch_up(wait=False)
    try:
        yield replica
    finally:
        await asyncio.gather(*replica._asking.values(), return_exceptions=True)
        await replica.stop()


async def longest_wait(replica: Replica, links: Sequence[Link], expected: object) -> float:
    """How long the last of the links' readers waits, who come all at once; each of them gets what is expected."""

    async def read(link: Link) -> float:
        began = time.monotonic()
        try:
            found: object = replica.known(link.number) or await replica.ask(link.number)
        except StoreUnavailable as error:
            found = error
        took = time.monotonic() - began
        assert found == (link, a_campaign()) if expected is Link else isinstance(found, StoreUnavailable)
        return took

    return max(await asyncio.gather(*map(read, links)))


class TestDeadline:
    @on_both_stores
    async def test_readers_of_known_links_do_not_wait_longer(self, kind: str, directory: Path, keys: Keys) -> None:
        """The file answers in place of a store that froze before it was current; once known, nobody waits."""
        with own_store(kind, directory) as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys, directory)
                links = await catalog.mint(*(a_link(label=str(number)) for number in range(64)))
                await filled(catalog)
                async with not_current(catalog) as replica:
                    with frozen(url):
                        first = await longest_wait(replica, links, Link)
                        second = await longest_wait(replica, links, Link)

        assert DEADLINE_SECONDS <= first < 10 * DEADLINE_SECONDS
        assert second < DEADLINE_SECONDS

    @on_both_stores
    async def test_readers_of_unknown_links_wait_once(self, kind: str, directory: Path, keys: Keys) -> None:
        """Those whose links only a frozen store can know are refused after one time-out, and after that at once."""
        with own_store(kind, directory) as url:
            async with connected(url) as client:
                catalog = Catalog(client, keys, directory)
                links = await catalog.mint(*(a_link(label=str(number)) for number in range(64)))
                async with not_current(catalog) as replica:
                    with frozen(url):
                        first = await longest_wait(replica, links, StoreUnavailable)
                        second = await longest_wait(replica, links, StoreUnavailable)

        assert first < 2 * ANSWER_WITHIN_SECONDS
        assert second < DEADLINE_SECONDS

    async def test_a_late_answer_is_better_than_none(self, store_url: str, catalog: Catalog, directory: Path) -> None:
        """A link that only a slow store knows is waited for, past the deadline."""
        (link,) = await catalog.mint()
        async with (
            relayed(store_url, late_seconds=lambda: 0.05) as (url, _),
            connected(url) as client,
            not_current(Catalog(client, catalog.keys, directory), deadline_seconds=0.02) as replica,
        ):
            assert await replica.ask(link.number) == (link, a_campaign())

    async def test_a_store_that_answers_again_is_asked_again(
        self, store_url: str, catalog: Catalog, directory: Path
    ) -> None:
        """While it is late, what the file has is believed; its late answer, and any later one, counts again."""
        one, two = await catalog.mint(a_link(), a_link(label="b"))
        await filled(catalog)
        for link in (one, two):
            await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
        async with (
            relayed(store_url, late_seconds=lambda: 0.05) as (url, _),
            connected(url) as client,
            not_current(Catalog(client, catalog.keys, directory), deadline_seconds=0.02) as replica,
        ):
            late = await replica.ask(one.number)
            meanwhile = replica.known(two.number)
            await asyncio.gather(*replica._asking.values())
            await replica._catch_up(wait=False)

            assert (late, meanwhile) == ((one, a_campaign()), (two, a_campaign()))
            assert disabled_in(replica, one)
            assert replica.known(two.number) is None


class TestSpoiledFile:
    @pytest.mark.parametrize("content", [b"links!" * 1_000, b"\0" * 10_000], ids=["text", "zeros"])
    async def test_at_the_start(self, catalog: Catalog, content: bytes) -> None:
        """It is begun anew: no crash, and soon everything is in it again."""
        (link,) = await catalog.mint()
        await filled(catalog)
        catalog.path.write_bytes(content)
        await filled(catalog)
        async with without_store(catalog) as replica:
            assert replica.known(link.number) == (link, a_campaign())

    async def test_while_it_is_used(self, catalog: Catalog) -> None:
        """A row that was changed behind the program's back is asked of the store, and the file is replaced."""
        (link,) = await catalog.mint()
        async with catalog.followed() as replica:
            await be_current(replica)
            with closing(sqlite3.connect(catalog.path, isolation_level=None)) as connection:
                connection.execute("UPDATE links SET record = CAST(replace(record, 'www', 'wwv') AS BLOB)")
            found = replica.known(link.number) or await replica.ask(link.number)
            await until(lambda: not replica._copy.is_spoiled)
            await be_current(replica)

            assert found == replica.known(link.number) == (link, a_campaign())
        assert catalog.path.with_name("links.sqlite.spoiled").exists()

    async def test_without_the_store_the_rest_of_it_is_used(self, catalog: Catalog) -> None:
        """One spoiled row is no reason to give up all others, as long as there is no other copy."""
        bad, good = await catalog.mint(a_link(), a_link(label="b"))
        await filled(catalog)
        with closing(sqlite3.connect(catalog.path, isolation_level=None)) as connection:
            connection.execute("UPDATE links SET seal = 1 WHERE number = ?", (bad.number,))
        async with without_store(catalog) as replica:
            assert (replica.known(bad.number), replica.known(good.number)) == (None, (good, a_campaign()))


class TestFailingDisk:
    async def test_a_full_disk_stops_nobody(
        self, catalog: Catalog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Changes arrive and links are answered from memory and the store; when there is room again, from the file."""
        monkeypatch.setattr("redirector.replica.FIRST_REST_SECONDS", 0.5)
        (link,) = await catalog.mint()
        async with catalog.followed(links_in_memory=1_000) as replica:
            await be_current(replica)
            assert replica._copy._file._writer is not None
            replica._copy._file._writer.execute("PRAGMA max_page_count = 1")
            replica.known(link.number)
            await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            many = await catalog.mint(*(a_link(label=str(number)) for number in range(200)))
            await until(lambda: not replica._copy.is_current)
            asked_for = replica.known(many[0].number) or await replica.ask(many[0].number)
            disabled = disabled_in(replica, link)
            replica._copy._file._writer.execute("PRAGMA max_page_count = 1000000")
            await be_current(replica)

            assert (asked_for, disabled) == ((many[0], a_campaign()), True)
            assert [replica.known(each.number) for each in many] == [(each, a_campaign()) for each in many]
            assert disabled_in(replica, link)
        assert "database or disk is full" in caplog.text

    async def test_what_a_full_disk_does_not_take_is_in_memory(self, catalog: Catalog) -> None:
        """A link that was minted or disabled meanwhile is known when the store is out of reach next."""
        (old,) = await catalog.mint()
        async with catalog.followed(links_in_memory=1_000) as replica:
            await be_current(replica)
            assert replica._copy._file._writer is not None
            replica._copy._file._writer.execute("PRAGMA max_page_count = 1")
            await catalog.links.change(old.number, lambda it: replace(it, disabled=True))
            new = (await catalog.mint(*(a_link(label=str(number)) for number in range(200))))[-1]
            await until(lambda: new.number in replica._copy.links)
            replica._store_answers = replica._store_is_prompt = False

            assert (replica.known(new.number), disabled_in(replica, old)) == ((new, a_campaign()), True)

    async def test_a_backup_that_holds_the_file_stops_nobody(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While the file is tried again, readers are answered; when it is let go, it is filled."""
        monkeypatch.setattr("redirector.replica.FIRST_REST_SECONDS", 0.1)
        (link,) = await catalog.mint()
        await filled(catalog)
        replica, longest = catalog.replica(), 0.0
        with closing(sqlite3.connect(catalog.path, isolation_level=None)) as backup:
            backup.execute("PRAGMA locking_mode = EXCLUSIVE")
            backup.execute("BEGIN EXCLUSIVE")
            await replica.start()
            tried = log_of_openings(monkeypatch)
            while len(tried) < 2:
                looked = time.monotonic()
                await asyncio.sleep(0)
                known = replica.known(link.number) or await replica.ask(link.number)
                longest = max(longest, time.monotonic() - looked)
        await be_current(replica)
        await replica.stop()

        assert known == (link, a_campaign())
        assert longest < 0.5

    async def test_no_file_at_all(self, catalog: Catalog, caplog: pytest.LogCaptureFixture) -> None:
        """Where no file can be made, links are known from the store and from memory."""
        catalog.path.parent.touch()
        (link,) = await catalog.mint()
        async with catalog.followed() as replica:
            asked_for = await replica.ask(link.number)
            await catalog.links.change(link.number, lambda it: replace(it, disabled=True))
            await until(lambda: disabled_in(replica, link))

            assert asked_for == (link, a_campaign())
        assert "links are kept in memory only" in caplog.text

    async def test_a_catalog_that_cannot_be_copied(
        self, catalog: Catalog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A store that refuses a part of it is asked link by link, and the copying tried again later."""
        monkeypatch.setattr("redirector.replica.FIRST_REST_SECONDS", 0.1)
        (link,) = await catalog.mint()
        number: Any = await catalog.redis.get(catalog.keys.next_link)
        await catalog.redis.delete(catalog.keys.next_link)
        await catalog.redis.rpush(catalog.keys.next_link, "not a number")
        async with catalog.followed() as replica:
            await until(lambda: "links are kept in memory only" in caplog.text)
            asked_for = await replica.ask(link.number)
            await catalog.redis.set(catalog.keys.next_link, number)
            await be_current(replica)

            assert asked_for == replica.known(link.number) == (link, a_campaign())
