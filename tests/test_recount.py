"""Judging again: a report is counted anew from the stream, and nothing else changes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from redirector.behaviour import Mail
from redirector.classify import RULES_VERSION
from redirector.clicks import Click, ClickClass, packed
from redirector.count import Tally
from redirector.errors import ClicksMissing
from redirector.gateways import Gateways
from redirector.hold import Hold
from redirector.recount import Recounted, Recounting
from redirector.report import report
from redirector.rules import JUDGES
from redirector.store.campaigns import Campaigns
from redirector.store.clicks import ClickAppender, ClickStream
from redirector.store.counters import Counters
from redirector.store.keys import Keys
from redirector.store.links import Links
from redirector.worker import Worker
from tests.builders import NOON, a_campaign, a_click, a_link, minted
from tests.store.stores import entries
from tests.streams import judging

GROUP = "counting"
HOLD_MS = 300


class Mailing:
    """A campaign `news` with three links, a consumer that counts its clicks, and recounts of it."""

    def __init__(self, url: str, redis: Redis, keys: Keys) -> None:
        self.url, self.redis, self.keys = url, redis, keys
        self.counters = Counters(redis, keys)
        self.links: list[int] = []
        self._batches = 0

    async def click(self, *clicks: Click) -> None:
        """Clicks come into the stream, as one batch."""
        appender = ClickAppender(self.url, self.keys, deadline_seconds=5)
        await appender.open()
        self._batches += 1
        await appender.append(f"p-{self._batches}", 1, [packed(click) for click in clicks])
        await appender.close()

    @asynccontextmanager
    async def counting(self, *, rules: int = RULES_VERSION) -> AsyncIterator[None]:
        """While the block lasts, a consumer counts."""
        stream = ClickStream(self.redis, self.keys, group=GROUP, consumer=f"one-{rules}")
        judges = judging(stream, self.redis, self.keys, hold_ms=HOLD_MS, rules=rules)
        worker = Worker(stream, judges, Tally(stream, self.counters, self.keys).count, claim_after_ms=1_000)
        running = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            worker.stop()
            await running

    async def counted(self, clicks: int) -> None:
        """Returns when so many are."""
        async with asyncio.timeout(20):
            while True:
                if sum((await self.counters.totals()).values()) >= clicks:
                    return
                await asyncio.sleep(0.02)

    async def recount(
        self, *, rules: int = RULES_VERSION, keep: bool = False, without_missing: bool = False
    ) -> Recounted:
        """Counts the report anew."""
        recounting = Recounting(
            self.redis, self.keys, "news", hold=Hold(JUDGES[rules], Gateways(), hold_ms=HOLD_MS), hold_ms=HOLD_MS,
            mail=Mail(len(self.links)), group=GROUP, run="test",
        )  # fmt: skip
        return await recounting.run(keep=keep, without_missing=without_missing)

    async def shown(self) -> object:
        """Everything that a report of it shows."""
        return await report(
            "news", Campaigns(self.redis, self.keys), Links(self.redis, self.keys), self.counters, self.keys, min_cell=1
        )

    async def exported(self) -> object:
        """Everything that Prometheus is shown."""
        return await self.counters.totals(), await self.counters.by_topic()


@pytest.fixture
async def mailing(store_url: str, redis: Redis, keys: Keys) -> Mailing:
    """The campaign with its links."""
    news = Mailing(store_url, redis, keys)
    await Campaigns(redis, keys).create(a_campaign())
    for number in range(3):
        url = f"https://www.example.com/{number}"
        news.links.append((await minted(Links(redis, keys), a_link(url))).link.number)
    return news


def readers_and_a_scanner(links: list[int]) -> list[Click]:
    """Ten readers with a click each, and one who clicked all links at once; and clicks of another campaign."""
    readers = [a_click(number, link=links[number % 3], visitor=f"reader{number}") for number in range(10)]
    scanner = [a_click(20 + place, link=link, visitor="scanner") for place, link in enumerate(links)]
    others = [a_click(30 + number, campaign="spring", link=99, visitor="scanner") for number in range(4)]
    return [*readers, *scanner, *others]


async def test_the_same_rules_change_nothing(mailing: Mailing) -> None:
    """What was counted by rules is what they count again, to the last hour, reader and estimate."""
    clicks = readers_and_a_scanner(mailing.links)
    async with mailing.counting():
        for start in range(0, len(clicks), 4):
            await mailing.click(*clicks[start : start + 4])
        await mailing.counted(len(clicks))
    shown, exported = await mailing.shown(), await mailing.exported()

    result = await mailing.recount()

    assert dict(result.after) == result.before
    assert Counter(class_ for _, class_ in result.after.elements()) == {"human": 10, "suspect": 3}
    assert result.rules == {"no-sign": 10, "all-links": 3}
    assert (await mailing.shown(), await mailing.exported()) == (shown, exported)


async def test_other_rules_change_the_report_and_nothing_else(mailing: Mailing) -> None:
    """By the first version, which looked at no behaviour, the scanner is three humans; Prometheus sees no change."""
    clicks = readers_and_a_scanner(mailing.links)
    async with mailing.counting():
        await mailing.click(*clicks)
        await mailing.counted(len(clicks))
    exported, others = await mailing.exported(), await mailing.counters.by_link("spring")

    result = await mailing.recount(rules=1)
    found = await report(
        "news", Campaigns(mailing.redis, mailing.keys), Links(mailing.redis, mailing.keys), mailing.counters,
        mailing.keys, min_cell=1,
    )  # fmt: skip

    assert result.missing == 0
    assert found.clicks == {"human": 13}
    assert found.unique_clickers == 11
    assert sum(sum(clicks.values()) for clicks in found.hours.values()) == 13
    assert (await mailing.exported(), await mailing.counters.by_link("spring")) == (exported, others)

    await mailing.recount()
    assert await mailing.counters.by_link("news") == result.before


async def test_counters_of_an_earlier_kind_are_replaced(mailing: Mailing) -> None:
    """A recount leaves no field that is counted no more, and counts what is counted instead."""
    clicks = [a_click(n, link=mailing.links[0], device="phone", os="iOS", client="Safari") for n in range(3)]
    async with mailing.counting():
        await mailing.click(*clicks)
        await mailing.counted(3)
    by_reader, shown = mailing.keys.by_reader("news"), await mailing.shown()
    await mailing.redis.delete(by_reader)
    await mailing.redis.hset(by_reader, mapping={"device:phone": 3, "os:iOS": 3, "client:Safari": 3})
    before = await mailing.shown()

    await mailing.recount()

    assert before != shown
    assert await mailing.shown() == shown
    assert set(await mailing.counters.by_reader("news")) == {
        ("agent", "phone/iOS/Safari"), ("lang", "unknown"), ("country", "unknown"),
    }  # fmt: skip


async def test_dry_run_changes_nothing(mailing: Mailing) -> None:
    """It says what would change, and leaves no trace."""
    clicks = readers_and_a_scanner(mailing.links)
    async with mailing.counting():
        await mailing.click(*clicks)
        await mailing.counted(len(clicks))
    shown, names = await mailing.shown(), {key async for key in mailing.redis.scan_iter(f"{mailing.keys.prefix}:*")}

    result = await mailing.recount(rules=1, keep=True)

    assert Counter(class_ for _, class_ in result.after.elements()) == {"human": 13}
    assert await mailing.shown() == shown
    assert {key async for key in mailing.redis.scan_iter(f"{mailing.keys.prefix}:*")} == names


async def test_clicks_that_are_counted_meanwhile_are_in(mailing: Mailing) -> None:
    """A recount under load ends with every click that was counted, once."""
    clicks = [a_click(number, link=mailing.links[0], visitor=f"reader{number}") for number in range(600)]
    async with mailing.counting():
        await mailing.click(*clicks[:200])
        await mailing.counted(200)

        async def more() -> None:
            for start in range(200, 600, 20):
                await mailing.click(*clicks[start : start + 20])
                await asyncio.sleep(0.02)

        clicking = asyncio.create_task(more())
        recounts = 0
        while not clicking.done():
            await mailing.recount()
            recounts += 1
        await clicking
        await mailing.counted(600)
    await mailing.recount()

    assert recounts
    assert await mailing.counters.by_link("news") == {(str(mailing.links[0]), "human"): 600}
    assert await mailing.counters.unique([mailing.keys.unique_of_campaign("news")]) == [pytest.approx(600, rel=0.05)]


async def test_what_left_the_stream_is_not_given_up_silently(mailing: Mailing) -> None:
    """A campaign whose clicks were trimmed or erased keeps its report, unless somebody says that it need not."""
    clicks = [a_click(number, link=mailing.links[number % 3], class_=ClickClass.BOT) for number in range(6)]
    async with mailing.counting():
        await mailing.click(*clicks)
        await mailing.counted(6)
    before = await mailing.counters.by_link("news")
    ids = [entry_id.decode() for entry_id, _ in await entries(mailing.redis, mailing.keys.clicks())]
    await mailing.redis.xdel(mailing.keys.clicks(), *ids[:2])

    with pytest.raises(ClicksMissing, match="2 of its 6"):
        await mailing.recount()
    assert await mailing.counters.by_link("news") == before

    result = await mailing.recount(without_missing=True)
    assert result.missing == 2
    assert sum((await mailing.counters.by_link("news")).values()) == 4


async def test_campaign_without_clicks(mailing: Mailing) -> None:
    """There is nothing to count, with a group or without one."""
    assert await mailing.recount() == Recounted()
    async with mailing.counting():
        await mailing.click(a_click(1, campaign="spring"))
        await mailing.counted(1)

    assert (await mailing.recount()).after == {}


async def test_poison_is_passed_over(mailing: Mailing) -> None:
    """What was set aside when it was counted is no click of the recount either."""
    await mailing.redis.xadd(mailing.keys.clicks(), {"id": "x", "campaign": "news"})
    async with mailing.counting():
        await mailing.click(a_click(1, link=mailing.links[0], at=NOON))
        await mailing.counted(1)

    result = await mailing.recount()

    assert dict(result.after) == result.before == {(str(mailing.links[0]), "human"): 1}
