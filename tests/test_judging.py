"""A consumer reads ahead and takes what is due: with a real store, whatever becomes of the stream meanwhile."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from redirector.behaviour import Mail
from redirector.clicks import Click
from redirector.gateways import Gateways
from redirector.judging import MAIL_SECONDS, NEAR_MS, Judged, Judging, Mails
from redirector.rules import JUDGES
from redirector.store.campaigns import Campaigns
from redirector.store.clicks import ClickStream
from redirector.store.connection import connected, text
from redirector.store.keys import Keys
from redirector.store.links import Links
from redirector.worker import BATCH
from tests.builders import NOON, a_campaign, a_click, a_link, fields_of, minted
from tests.store.stores import on_both_stores, own_store
from tests.test_worker import GROUP, PATIENCE_SECONDS, Counting, counting, until

__all__ = ["counting"]

HOLD_MS = 30_000


class Consumer:
    """One that judges, whose clock the test moves."""

    def __init__(self, redis: Redis, keys: Keys, name: str = "one", *, hold_ms: int = HOLD_MS) -> None:
        self.now = 1_000.0
        self.redis = redis
        self.key = keys.clicks()
        self.stream = ClickStream(redis, keys, group=GROUP, consumer=name)
        mails = Mails(Campaigns(redis, keys), Links(redis, keys), clock=self.clock)
        self.judging = Judging(self.stream, mails, JUDGES[2], Gateways(), hold_ms=hold_ms, clock=self.clock)

    def clock(self) -> float:
        return self.now

    async def next(self, most: int = BATCH, *, later: float = 0.0) -> Judged:
        """What is due now, after so many more seconds."""
        self.now += later
        return await self.judging.next(most, wait_seconds=0.0)

    async def acknowledge(self, judged: Judged) -> None:
        """These are counted."""
        await self.redis.xack(self.key, GROUP, *judged.ids)


@pytest.fixture
async def one(redis: Redis, keys: Keys) -> Consumer:
    """A consumer that has joined."""
    consumer = Consumer(redis, keys)
    await consumer.stream.join()
    return consumer


async def append(redis: Redis, keys: Keys, *links: int, ms: int = 1, **properties: Any) -> list[str]:
    """Appends a click of the same visitor on each of the links, at this millisecond of the stream."""
    ids = []
    for link in links:
        click = a_click(link, **{"link": link, "visitor": "7", **properties})
        ids.append(text(await redis.xadd(keys.clicks(), fields_of(click), id=f"{ms}-*")))
    return ids


def classes(judged: Judged) -> dict[int, str]:
    """Link -> class."""
    return {click.link: click.class_.value for click in judged.batch.clicks.values()}


class TestNext:
    async def test_nothing_is_there(self, one: Consumer) -> None:
        """An empty stream has nothing due."""
        assert (await one.next(later=100)).ids == ()

    async def test_it_is_held(self, one: Consumer, redis: Redis, keys: Keys) -> None:
        """Nothing is given out before the hold is over, and then with its final class."""
        ids = await append(redis, keys, 1)
        assert (await one.next()).ids == ()
        ids += await append(redis, keys, 2, at=NOON + 1_000)
        assert (await one.next(later=29)).ids == ()
        assert one.judging.waiting == 2
        assert (await redis.xpending(keys.clicks(), GROUP))["pending"] == 0

        judged = await one.next(later=1)

        assert list(judged.ids) == ids[:1]
        assert classes(judged) == {1: "suspect"}

    async def test_without_a_hold(self, redis: Redis, keys: Keys) -> None:
        """What comes is due at once, as its request showed it."""
        consumer = Consumer(redis, keys, hold_ms=0)
        await consumer.stream.join()
        ids = await append(redis, keys, 1, 2)

        judged = await consumer.next()

        assert (list(judged.ids), classes(judged)) == (ids, {1: "human", 2: "human"})

    async def test_two_consumers(self, one: Consumer, redis: Redis, keys: Keys) -> None:
        """Each entry goes to one of them; both know what the other has."""
        two = Consumer(redis, keys, "two")
        await append(redis, keys, 1, 2)
        await asyncio.gather(one.next(), two.next())

        first, second = await one.next(1, later=30), await two.next(1, later=30)
        third = await two.next(1)

        assert (classes(first), classes(second), classes(third)) == ({1: "suspect"}, {}, {2: "suspect"})

    async def test_a_backlog_comes_in_larger_portions(
        self, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After three small pages with more behind them come large ones, until it has caught up; and so once more."""
        for name, entries in (("SMALL_PAGE", 2), ("PAGE", 9), ("BACKLOG_AFTER_PAGES", 3)):
            monkeypatch.setattr(f"redirector.judging.{name}", entries)
        consumer = Consumer(redis, keys, hold_ms=0)
        await consumer.stream.join()
        for ms in range(1, 29):
            await append(redis, keys, 1, ms=ms)

        backlog = [len((await consumer.next()).ids) for _ in range(7)]
        for ms in range(29, 32):
            await append(redis, keys, 1, ms=ms)
        caught_up = [len((await consumer.next()).ids) for _ in range(3)]

        assert (backlog, caught_up) == ([1, 2, 2, 9, 9, 5, 0], [1, 2, 0])

    async def test_a_backlog_whose_hold_is_over_comes_in_larger_portions(
        self, one: Consumer, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is due at once after its hold is a backlog like others; a restart begins with small pages again."""
        for name, entries in (("SMALL_PAGE", 2), ("PAGE", 9), ("BACKLOG_AFTER_PAGES", 3)):
            monkeypatch.setattr(f"redirector.judging.{name}", entries)
        await append(redis, keys, *range(1, 51))
        while one.judging.waiting < 50:
            await one.next()
        await one.next()

        due = [len((await one.next(later=30)).ids), *[len((await one.next()).ids) for _ in range(4)]]
        one.judging.restart()
        while one.judging.waiting < 26:
            await one.next()
        again = [len((await one.next(later=31)).ids), len((await one.next()).ids)]

        assert (due, again) == ([2, 2, 2, 9, 9], [2, 2])

    async def test_who_was_overtaken_in_a_backlog(
        self, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What another consumer has counted farther on than it has read is not given out again."""
        monkeypatch.setattr("redirector.judging.SMALL_PAGE", 2)
        one, two = (Consumer(redis, keys, name, hold_ms=0) for name in ("one", "two"))
        await one.stream.join()
        ids = [each for ms in range(1, 6) for each in await append(redis, keys, 1, ms=ms)]
        first = await one.next(1)
        others = [await two.next() for _ in range(6)]
        for judged in others:
            if judged.ids:
                await two.acknowledge(judged)

        again = [await one.next() for _ in range(6)]

        assert (first.ids, [each for judged in others for each in judged.ids]) == (ids[:1], ids[1:])
        assert [each for judged in again for each in judged.ids] == []

    async def test_a_restart_in_the_middle_of_a_hold(self, one: Consumer, redis: Redis, keys: Keys) -> None:
        """What was counted before speaks for what comes after, and is not given out again."""
        await append(redis, keys, 1)
        await one.next()
        await append(redis, keys, 2, ms=20_000)
        first = await one.next(1, later=30)
        await one.acknowledge(first)
        again = Consumer(redis, keys)

        assert (await again.next()).ids == ()
        second = await again.next(later=30)

        assert (classes(first), classes(second)) == ({1: "suspect"}, {2: "suspect"})

    async def test_given_and_not_counted(self, one: Consumer, redis: Redis, keys: Keys) -> None:
        """What a consumer had when it died is judged as it would have been."""
        await append(redis, keys, 1, 2)
        given = await one.next(1, later=30)
        given = given if given.ids else await one.next(1, later=30)

        assert await Consumer(redis, keys).judging.those(given.ids) == given

    async def test_what_was_given_long_ago_is_judged_apart(
        self, one: Consumer, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What stands between old and new pending entries is not read."""
        old = await append(redis, keys, 1, 2)
        await append(redis, keys, *range(100), ms=10 * HOLD_MS)
        new = await append(redis, keys, 1, 2, ms=20 * HOLD_MS + NEAR_MS)
        read: list[str] = []
        behind = one.stream.behind

        async def reading(place: tuple[int, int], limit: int, **waiting: float) -> Any:
            page = await behind(place, 2, **waiting)
            read.extend(entry_id for entry_id, _ in page)
            return page

        monkeypatch.setattr(one.stream, "behind", reading)
        judged = await one.judging.those([*old, *new])

        assert list(judged.batch.clicks) == [*old, *new]
        assert {click.rule for click in judged.batch.clicks.values()} == {"several-links"}
        assert len(read) == 6  # and of those between, one page


class TestTrouble:
    async def test_deleted_while_they_are_held(self, one: Consumer, redis: Redis, keys: Keys) -> None:
        """Others do not come before their time in the place of those that are gone, and the lag stays known."""
        first = await append(redis, keys, 1, 2, 3)
        await one.next()
        await append(redis, keys, 4, visitor="8")
        await one.next(later=29)
        await redis.xdel(keys.clicks(), *first[:2])

        judged = await one.next(later=1)

        assert judged.ids == first[2:]
        assert (await redis.xpending(keys.clicks(), GROUP))["pending"] == 1
        assert one.judging.waiting == 1
        assert classes(await one.next(later=29)) == {4: "human"}
        assert (await redis.xinfo_groups(keys.clicks()))[0]["lag"] == 0

    async def test_all_that_is_due_was_deleted(self, one: Consumer, redis: Redis, keys: Keys) -> None:
        """Nobody waits for them any more: the next look at the stream blocks instead of turning round at once."""
        await append(redis, keys, 1, 2)
        await one.next()
        await redis.xtrim(keys.clicks(), maxlen=0)

        assert (await one.next(later=30)).ids == ()
        assert one.judging.waiting == 0
        await append(redis, keys, 3, ms=50_000)
        await one.next()
        assert classes(await one.next(later=30)) == {3: "human"}

    async def test_a_group_that_was_set_back(self, one: Consumer, redis: Redis, keys: Keys) -> None:
        """Its owner wants all again: the consumer begins where the group does."""
        ids = await append(redis, keys, 1, 2)
        await one.next()
        await one.acknowledge(await one.next(later=30))
        await append(redis, keys, 3, ms=90_000)
        await redis.xgroup_setid(keys.clicks(), GROUP, "0")

        given = [each for _ in range(4) for each in (await one.next(later=30)).ids]

        assert given[:2] == ids
        assert len(given) == len(set(given)) == 3

    async def test_a_group_that_was_set_ahead(self, one: Consumer, redis: Redis, keys: Keys) -> None:
        """What its owner passed over is not given out; it still is evidence."""
        first, second = await append(redis, keys, 1, 2)
        await one.next()
        await redis.xgroup_setid(keys.clicks(), GROUP, first)

        judged = [await one.next(later=30) for _ in range(2)][1]

        assert (judged.ids, classes(judged)) == ([second], {2: "suspect"})

    async def test_a_group_that_was_set_ahead_of_what_was_read(
        self, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What its owner passed over is not given out when it is read at last."""
        monkeypatch.setattr("redirector.judging.SMALL_PAGE", 2)
        one = Consumer(redis, keys, hold_ms=0)
        await one.stream.join()
        ids = [each for ms in range(1, 7) for each in await append(redis, keys, 1, ms=ms)]
        given = [*(await one.next(1)).ids]
        await redis.xgroup_setid(keys.clicks(), GROUP, ids[4])

        given += [each for judged in [await one.next() for _ in range(6)] for each in judged.ids]

        assert given == [ids[0], ids[5]]


class TestMails:
    async def test_what_is_known_of_a_mail(self, redis: Redis, keys: Keys) -> None:
        """How many links it has, and when it was sent; asked for again after a while."""
        now = 0.0
        campaigns, links = Campaigns(redis, keys), Links(redis, keys)
        mails = Mails(campaigns, links, clock=lambda: now)
        await minted(links, a_link())
        assert await mails.of({"news", "unknown"}) == {"news": Mail(1, None), "unknown": Mail(0, None)}
        await minted(links, a_link("https://www.example.com/other"))

        assert (await mails.of({"news"}))["news"].links == 1
        now = MAIL_SECONDS
        assert (await mails.of({"news"}))["news"].links == 2

    async def test_a_campaign_that_cannot_be_read(self, redis: Redis, keys: Keys) -> None:
        """Tells nothing, and holds nothing up."""
        await redis.hset(keys.campaigns, a_campaign().name, "nonsense")

        assert await Mails(Campaigns(redis, keys), Links(redis, keys)).of({"news"}) == {"news": Mail()}


async def clicked(counting: Counting, clicks: list[Click]) -> None:
    """Appends clicks at this moment of the store's clock."""
    for click in clicks:
        await counting.redis.xadd(counting.keys.clicks(), fields_of(click))


def scan(visitor: int, links: int = 4) -> list[Click]:
    """One clicker's clicks on several links within a second; each has an id of its own."""
    return [a_click(100 * visitor + n, link=n, at=NOON + 100 * n, visitor=str(visitor)) for n in range(links)]


async def counts(counting: Counting) -> dict[str, int]:
    """Class -> clicks, as they are exported."""
    return await counting.counters.totals()


class TestCounted:
    """The worker's loop over a stream that goes on."""

    async def test_the_final_class_is_counted(self, counting: Counting) -> None:
        """What a click became within the hold, and nothing else."""
        async with counting.worker(hold_ms=300):
            await clicked(counting, [*scan(1), a_click(1, visitor="2")])
            await until(lambda total, lag: total == 5 and lag == 0, counting)

        assert await counts(counting) == {"suspect": 4, "human": 1}

    async def test_restarts_in_the_middle_of_holds(self, counting: Counting) -> None:
        """Nothing is lost, counted twice or judged otherwise, whenever a consumer ends and another begins."""
        for visitor in range(12):
            async with counting.worker(f"worker-{visitor % 3}", hold_ms=200, claim_after_ms=50):
                first, *others = scan(visitor)
                await clicked(counting, [first])
                await asyncio.sleep(0.02 * (visitor % 4))
                await clicked(counting, others)
        async with counting.worker("last", hold_ms=200, claim_after_ms=50):
            await until(lambda total, lag: total >= 48 and lag == 0, counting)

        assert await counts(counting) == {"suspect": 48}

    async def test_one_consumer_and_three_come_to_the_same(self, redis: Redis, keys: Keys, counting: Counting) -> None:
        """Whoever counts, the counters are equal, as are those of the stream judged in one go."""
        made = [click for visitor in range(50) for click in scan(visitor, links=1 + visitor % 3)]
        alone = Counting(counting.url, redis, Keys(f"{keys.clicks()}-alone"))
        for each in (counting, alone):
            await each.stream("one").join()
            await clicked(each, made)
        async with (
            counting.worker("one", hold_ms=200),
            counting.worker("two", hold_ms=200),
            counting.worker("three", hold_ms=200),
            alone.worker("one", hold_ms=200),
        ):
            for each in (counting, alone):
                await until(lambda total, lag: total >= len(made) and lag == 0, each)

        several = sum(1 + visitor % 3 for visitor in range(50) if visitor % 3)
        expected = {"suspect": several, "human": len(made) - several}
        assert await counts(counting) == await counts(alone) == expected

    async def test_exported_counters_never_go_down(self, counting: Counting) -> None:
        """A click is counted when its class is final: what was counted is never taken back."""
        seen: list[Counter[str]] = [Counter()]
        async with counting.worker(hold_ms=150):
            for visitor in range(15):
                await clicked(counting, scan(visitor))
                seen.append(Counter(await counts(counting)))
                await asyncio.sleep(0.03)
            await until(lambda total, lag: total >= 60 and lag == 0, counting)
            seen.append(Counter(await counts(counting)))

        assert all(before <= after for before, after in itertools.pairwise(seen))
        assert seen[-1] == {"suspect": 60}

    async def test_what_is_held_is_no_lag(self, counting: Counting) -> None:
        """It has a metric of its own; an alert on the lag does not go off for the hold."""
        async with counting.worker(hold_ms=60_000):
            await clicked(counting, scan(1))
            await sampled("redirector_clicks_held", lambda held: held == 4)
            await sampled("redirector_consumer_lag_clicks", lambda lag: lag == 0, consumer=GROUP)

        assert await counting.stream("looker-on").lag() == 4
        assert await counts(counting) == {}

    async def test_what_is_held_is_nobodys_to_claim(self, counting: Counting) -> None:
        """However soon others claim, they get nothing that is held, and nothing is counted before its time."""
        async with (
            counting.worker("one", hold_ms=60_000, claim_after_ms=1),
            counting.worker("two", hold_ms=60_000, claim_after_ms=1),
        ):
            await clicked(counting, scan(1))
            await sampled("redirector_clicks_held", lambda held: held == 4)
            claimed = await counting.stream("three").claim(BATCH, idle_ms=0)

        assert claimed == []
        assert await counts(counting) == {}

    async def test_everything_is_forgotten_while_clicks_are_held(self, counting: Counting) -> None:
        """A stream that was removed is begun anew, and what comes then is counted once."""
        async with counting.worker(hold_ms=300):
            await clicked(counting, scan(1))
            await sampled("redirector_clicks_held", lambda held: held == 4)
            await counting.redis.delete(counting.keys.clicks())
            await clicked(counting, [a_click(9, visitor="2")])
            await until(lambda total, lag: total == 1 and lag == 0, counting)

        assert await counts(counting) == {"human": 1}

    async def test_a_group_that_is_destroyed_while_clicks_are_held(self, counting: Counting) -> None:
        """It is made again behind what was counted, and what was held is counted once."""
        async with counting.worker(hold_ms=300):
            await clicked(counting, scan(1))
            await until(lambda total, _: total == 4, counting)
            await clicked(counting, scan(2))
            await sampled("redirector_clicks_held", lambda held: held == 4)
            await counting.redis.xgroup_destroy(counting.keys.clicks(), GROUP)
            await until(lambda total, _: total >= 8, counting)

        assert await counts(counting) == {"suspect": 8}


@on_both_stores
async def test_a_store_that_forgot_everything_while_clicks_are_held(kind: str, directory: Path, keys: Keys) -> None:
    """A store that was flushed has neither stream nor group: both are begun anew, and what comes is counted once."""
    with own_store(kind, directory) as url:
        async with connected(url) as client:
            counting = Counting(url, client, keys)
            async with counting.worker(hold_ms=300):
                await clicked(counting, scan(1))
                await sampled("redirector_clicks_held", lambda held: held == 4)
                await client.flushall()
                await clicked(counting, scan(2, links=2))
                await until(lambda total, lag: total == 2 and lag == 0, counting)

            assert await counts(counting) == {"suspect": 2}


async def sampled(metric: str, condition: Callable[[float], bool], **labels: str) -> None:
    """Waits until a metric is as it should be."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition(REGISTRY.get_sample_value(metric, labels) or 0.0):  # noqa: ASYNC110 - a metric sets no event
            await asyncio.sleep(0.02)
