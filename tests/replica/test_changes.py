"""What changes in the store is soon what every copy answers, and no gap lets an old state live on."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redirector.replica import Replica
from redirector.store.campaigns import Campaigns
from redirector.store.changes import Changes
from redirector.store.connection import connected
from redirector.store.keys import Keys
from redirector.store.links import Links
from redirector.store.people import People
from tests.builders import NOON, a_campaign, a_destination, a_link
from tests.replica.catalogs import PATIENCE_SECONDS, Catalog, be_current, filled
from tests.store.stores import kill, on_both_stores, own_store, until


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
            assert in_memory <= 1  # the last, unless it was read while something was written

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
