"""Counting: what clicks add, and that each is counted once, whatever dies when."""

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from redirector.clicks import Click, ClickClass, from_fields, packed
from redirector.count import HOUR_MS, TRIES, Tally, additions, agent_of, month_of
from redirector.errors import StoreError
from redirector.judging import Judged
from redirector.store.clicks import ClickAppender, ClickStream
from redirector.store.counters import Additions, Counters
from redirector.store.keys import Keys
from tests.builders import NOON, a_click
from tests.store.stores import entries
from tests.streams import judging, next_of

KEYS = Keys()
CLICKS = st.builds(
    a_click,
    number=st.integers(1, 10**6),
    at=st.integers(NOON - 3 * HOUR_MS, NOON + 3 * HOUR_MS),
    link=st.integers(1, 4),
    campaign=st.sampled_from(["news", "spring"]),
    topics=st.lists(st.sampled_from(["solar", "billing", "wind"]), unique=True, max_size=3).map(tuple),
    class_=st.sampled_from(ClickClass),
)


class Readers:
    """A stream with clicks in it, and consumers of one group."""

    def __init__(self, redis: Redis, store_url: str, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys
        self.counters = Counters(redis, keys)
        self._url = store_url

    async def click(self, *clicks: Click) -> None:
        appender = ClickAppender(self._url, self.keys, deadline_seconds=5)
        await appender.open()
        await appender.append(f"p-{clicks[0].id}", 1, [packed(click) for click in clicks])
        await appender.close()

    async def consumer(self, name: str) -> ClickStream:
        stream = ClickStream(self.redis, self.keys, group="counting", consumer=name)
        await stream.join()
        return stream

    async def judged(self, ids: list[str], stream: ClickStream) -> Judged:
        return await judging(stream, self.redis, self.keys).those(ids)

    async def count(self, ids: list[str], stream: ClickStream) -> int:
        return await Tally(stream, self.counters, self.keys).count(await self.judged(ids, stream))


@pytest.fixture
def readers(redis: Redis, store_url: str, keys: Keys) -> Readers:
    """Readers whose clicks lie in a stream of the test's own."""
    return Readers(redis, store_url, keys)


def uncounted(reason: str) -> float:
    """How many entries this process has passed over."""
    return REGISTRY.get_sample_value("redirector_clicks_uncounted_total", {"reason": reason}) or 0.0


class TestAdditions:
    def test_what_one_click_adds(self) -> None:
        """One in its class, its link, its hour and each of its topics; and its reader to three unique counts."""
        click = a_click(link=7, topics=("solar", "billing"), client="Firefox", lang="de")

        assert additions([click], KEYS) == Additions(
            sums={
                KEYS.totals(): {"human": 1},
                KEYS.by_link("news"): {"7:human": 1},
                KEYS.by_hour("news"): {f"{NOON // HOUR_MS}:human": 1},
                KEYS.by_topic(): {"solar:human": 1, "billing:human": 1},
                KEYS.by_reader("news"): {"agent:unknown/unknown/Firefox": 1, "lang:de": 1, "country:unknown": 1},
            },
            uniques={
                KEYS.unique_of_link(7): {click.visitor},
                KEYS.unique_of_campaign("news"): {click.visitor},
                KEYS.unique_of_topic("solar", "2026-11"): {click.visitor},
                KEYS.unique_of_topic("billing", "2026-11"): {click.visitor},
            },
        )

    @pytest.mark.parametrize("class_", [class_ for class_ in ClickClass if class_ is not ClickClass.HUMAN])
    def test_who_is_no_human_is_no_unique_clicker(self, class_: ClickClass) -> None:
        """Robots and their like are counted as clicks, never as readers."""
        added = additions([a_click(class_=class_)], KEYS)

        assert added.uniques == {}
        assert KEYS.by_reader("news") not in added.sums

    def test_what_is_known_of_readers_adds_up(self) -> None:
        """Each human click is in one cell of each breakdown of its campaign."""
        clicks = [a_click(n, lang=lang, country="DE") for n, lang in enumerate(["de", "de", "fr", ""])]
        added = additions([*clicks, a_click(9, campaign="other", lang="de")], KEYS).sums

        assert {
            name: n for name, n in added[KEYS.by_reader("news")].items() if name.startswith(("lang", "country"))
        } == {
            "lang:de": 2,
            "lang:fr": 1,
            "lang:unknown": 1,
            "country:DE": 4,
        }
        assert added[KEYS.by_reader("other")]["lang:de"] == 1

    @pytest.mark.parametrize(
        ("os", "counted"),
        [
            pytest.param("Mac OS X", ("desktop", "Mac OS X", "Firefox"), id="as the program writes it"),
            pytest.param("", ("desktop", "unknown", "Firefox"), id="not known"),
            pytest.param("a/b", ("desktop", "a_b", "Firefox"), id="another writer's, with a slash"),
            pytest.param("/", ("desktop", "_", "Firefox"), id="a slash alone"),
            pytest.param("a:b", ("desktop", "a:b", "Firefox"), id="another writer's, with a colon"),
        ],
    )
    def test_device_system_and_program_are_counted_as_one(self, os: str, counted: tuple[str, ...]) -> None:
        """Each human click is in one cell of all three, and no name can pass for two."""
        clicks = [a_click(n, device="desktop", os=os, client="Firefox") for n in range(2)]
        by_reader = additions(clicks, KEYS).sums[KEYS.by_reader("news")]

        agents = {name.removeprefix("agent:"): n for name, n in by_reader.items() if name.startswith("agent:")}
        assert {agent_of(name): n for name, n in agents.items()} == {counted: 2}

    @pytest.mark.parametrize("path", ["", "desktop", "desktop/Windows", "desktop//Firefox", "a/b/c/d", "//"])
    def test_what_is_no_device_system_and_program_is_none(self, path: str) -> None:
        """Another program may have written it."""
        assert agent_of(path) is None

    def test_a_reader_who_objects_is_no_unique_clicker(self) -> None:
        """A click of which nothing is kept counts for its topic, and for nobody."""
        added = additions([a_click(visitor="")], KEYS)

        assert added.uniques == {}
        assert added.sums[KEYS.by_topic()] == {"solar:human": 1}

    def test_a_recipient_is_one_reader_on_every_day(self) -> None:
        """With consent, a reader who comes back is the same one."""
        clicks = [a_click(n, recipient="1f", visitor="", at=NOON + n * 24 * HOUR_MS) for n in range(3)]

        assert additions(clicks, KEYS).uniques[KEYS.unique_of_link(7)] == {"1f"}

    def test_a_shard_adds_to_its_own(self) -> None:
        """All that a shard's clicks add lies in the shard's slot."""
        added = additions([a_click()], KEYS, shard=3)

        assert {key.split(":")[1] for key in [*added.sums, *added.uniques]} == {"{3}"}


@pytest.mark.parametrize(
    ("moment", "month"),
    [
        pytest.param(0, "1970-01", id="first"),
        pytest.param(NOON, "2026-11", id="noon"),
        pytest.param(1_798_761_599_999, "2026-12", id="last millisecond of a year"),
        pytest.param(1_798_761_600_000, "2027-01", id="first of the next"),
        pytest.param(10**14 - 1, "5138-11", id="the last that a click can have"),
    ],
)
def test_months_are_utc(moment: int, month: str) -> None:
    """A month begins at midnight UTC, and every click has one."""
    assert month_of(moment) == month


class TestCounting:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(clicks=st.lists(CLICKS, min_size=1, max_size=60), batch=st.integers(1, 25))
    async def test_the_counters_are_what_the_stream_adds_up_to(
        self, redis: Redis, store_url: str, clicks: list[Click], batch: int
    ) -> None:
        """However the clicks fall into batches, the counters equal a plain recount of the stream."""
        readers = Readers(redis, store_url, Keys("recount"))
        await redis.delete(*[key async for key in redis.scan_iter("recount:*")] or ["none"])
        await readers.click(*clicks)
        stream = await readers.consumer("one")
        for _ in range(0, len(clicks), batch):
            given = await next_of(stream, batch)
            assert await readers.count(given, stream) == len(given)
        stored = [
            from_fields([part for field in fields.items() for part in field])
            for _, fields in await entries(redis, readers.keys.clicks())
        ]

        assert await readers.counters.totals() == Counter(click.class_.value for click in stored)
        assert await readers.counters.by_topic() == Counter(
            (topic, click.class_.value) for click in stored for topic in click.topics
        )
        for campaign in ("news", "spring"):
            its = [click for click in stored if click.campaign == campaign]
            assert await readers.counters.by_link(campaign) == Counter(
                (str(click.link), click.class_.value) for click in its
            )
            assert await readers.counters.by_hour(campaign) == Counter(
                (str(click.at // HOUR_MS), click.class_.value) for click in its
            )
            humans = {click.visitor for click in its if click.class_ is ClickClass.HUMAN}
            assert await readers.counters.unique([readers.keys.unique_of_campaign(campaign)]) == [
                pytest.approx(len(humans), abs=1)
            ]

    async def test_a_batch_counted_twice_counts_once(self, readers: Readers) -> None:
        """A consumer that does not know whether its last call arrived may make it again."""
        await readers.click(a_click(1), a_click(2))
        stream = await readers.consumer("one")
        entries = await next_of(stream, 10)

        assert await readers.count(entries, stream) == 2
        assert await readers.count(entries, stream) == 0
        assert await readers.counters.totals() == {"human": 2}

    async def test_a_consumer_that_wakes_up_adds_nothing(self, readers: Readers) -> None:
        """One that was frozen lost its entries to another, which counted them: it finds out, and counts none."""
        await readers.click(a_click(1), a_click(2))
        frozen, other = await readers.consumer("one"), await readers.consumer("two")
        entries = await next_of(frozen, 10)
        await readers.count(await other.claim(10, idle_ms=0), other)

        assert await readers.count(entries, frozen) == 0
        assert await readers.counters.totals() == {"human": 2}

    async def test_what_was_taken_but_not_counted_is_left_to_its_new_owner(self, readers: Readers) -> None:
        """The one that lost entries leaves them alone even while nobody has counted them yet."""
        await readers.click(a_click(1), a_click(2))
        frozen, other = await readers.consumer("one"), await readers.consumer("two")
        entries = await next_of(frozen, 10)
        taken = await other.claim(10, idle_ms=0)

        assert await readers.count(entries, frozen) == 0
        assert await readers.count(taken, other) == 2
        assert await readers.counters.totals() == {"human": 2}

    async def test_of_a_batch_half_lost_the_rest_is_counted(self, readers: Readers) -> None:
        """Each entry is counted by whoever has it, with its own link and class."""
        await readers.click(a_click(1, link=1), a_click(2, link=2), a_click(3, link=3, class_=ClickClass.BOT))
        stream, other = await readers.consumer("one"), await readers.consumer("two")
        entries = await next_of(stream, 10)
        taken = await other.claim(1, idle_ms=0)

        assert await readers.count(entries, stream) == 2
        assert await readers.counters.by_link("news") == {("2", "human"): 1, ("3", "bot"): 1}
        assert await readers.count(taken, other) == 1
        assert await readers.counters.totals() == {"human": 2, "bot": 1}

    async def test_of_poison_half_lost_the_rest_is_set_aside(self, readers: Readers) -> None:
        """What is another consumer's by now is its to set aside."""
        for name in ("theirs", "own"):
            await readers.redis.xadd(readers.keys.clicks(), {"id": name})
        stream, other = await readers.consumer("one"), await readers.consumer("two")
        given = await next_of(stream, 10)
        taken = await other.claim(1, idle_ms=0)

        assert await readers.count(given, stream) == 1
        assert [fields[b"id"] for _, fields in await entries(readers.redis, readers.keys.poison())] == [b"own"]
        assert await readers.count(taken, other) == 1
        assert await readers.redis.xlen(readers.keys.poison()) == 2

    async def test_two_consumers_of_one_name_count_once(self, readers: Readers) -> None:
        """Processes that were given the same name see each other's entries, and still count each once."""
        await readers.click(*(a_click(number) for number in range(10)))
        stream, twin = await readers.consumer("one"), await readers.consumer("one")
        first, second = await next_of(stream, 4), await next_of(twin, 6)
        both = await stream.mine(10)

        assert await readers.count(second, twin) == 6
        assert await readers.count(both, stream) == 4
        assert await readers.count(first, stream) == 0
        assert await readers.counters.totals() == {"human": 10}

    async def test_between_reading_and_counting_nothing_is_lost(self, readers: Readers) -> None:
        """What a consumer was given before it died is claimed and counted by the next, once."""
        await readers.click(a_click(1), a_click(2))
        await next_of(await readers.consumer("dead"), 10)
        heir = await readers.consumer("heir")

        assert await next_of(heir, 10) == []
        assert await readers.count(await heir.claim(10, idle_ms=0), heir) == 2
        assert await readers.counters.totals() == {"human": 2}
        assert await heir.lag() == 0

    async def test_poison_is_set_aside_and_the_rest_counted(self, readers: Readers) -> None:
        """An entry that nobody can read is kept elsewhere with the reason, and never comes again."""
        await readers.click(a_click(1))
        await readers.redis.xadd(readers.keys.clicks(), {"id": "x", "class": "human"})
        await readers.redis.xadd(readers.keys.clicks(), {b"\xff": b"\xfe" * 5000})
        await readers.click(a_click(2))
        stream = await readers.consumer("one")
        given = await next_of(stream, 10)

        assert await readers.count(given, stream) == 4
        assert await readers.counters.totals() == {"human": 2}
        assert await stream.mine(10) == []
        poison = [
            (fields[b"poison_id"].decode(), fields[b"poison_reason"].decode())
            for _, fields in await entries(readers.redis, readers.keys.poison())
        ]
        assert poison == [
            (given[1], "at: the entry has no such field"),
            (given[2], "id: the entry has no such field"),
        ]

    async def test_an_entry_that_was_deleted_is_done_with(self, readers: Readers) -> None:
        """What was trimmed before it was counted is acknowledged, and is no poison."""
        await readers.click(a_click(1), a_click(2))
        stream = await readers.consumer("one")
        entries = await next_of(stream, 10)
        await readers.redis.xdel(readers.keys.clicks(), entries[0])

        assert await readers.count(await stream.mine(10), stream) == 2
        assert await readers.counters.totals() == {"human": 1}
        assert await readers.redis.xlen(readers.keys.poison()) == 0

    async def test_entries_that_were_deleted_are_not_passed_over_silently(
        self, readers: Readers, caplog: pytest.LogCaptureFixture
    ) -> None:
        """They are on a metric, and in the log once a minute, however they come to the consumer."""
        await readers.click(*(a_click(number) for number in range(6)))
        stream, heir = await readers.consumer("one"), await readers.consumer("heir")
        given = await next_of(stream, 6)
        await readers.redis.xdel(readers.keys.clicks(), *given[:4])
        now = 1_000.0
        tally = Tally(heir, readers.counters, readers.keys, clock=lambda: now)
        before = uncounted("trimmed")

        await tally.count(await readers.judged(await heir.claim(2, idle_ms=0), heir))
        await tally.count(await readers.judged(await heir.claim(2, idle_ms=0), heir))
        assert uncounted("trimmed") == before + 4
        assert [message.split()[0] for message in caplog.messages] == ["2"]
        now += 60
        await readers.redis.xdel(readers.keys.clicks(), given[4])
        await tally.count(await readers.judged(await heir.claim(2, idle_ms=0), heir))

        assert uncounted("trimmed") == before + 5
        assert [message.split()[0] for message in caplog.messages] == ["2", "3"]
        assert await readers.counters.totals() == {"human": 1}

    async def test_what_a_counter_refuses_is_tried_a_few_times(self, readers: Readers) -> None:
        """The rest is counted at once; the refused entry stays pending, and is set aside at the last try."""
        broken = readers.keys.unique_of_link(3)
        await readers.redis.set(broken, "no HyperLogLog")
        await readers.click(*(a_click(number, link=number) for number in range(7)))
        stream = await readers.consumer("one")
        before = uncounted("set_aside")

        assert await readers.count(await next_of(stream, 10), stream) == 6
        assert [await readers.count(await stream.mine(10), stream) for _ in range(TRIES - 2)] == [0] * (TRIES - 2)
        assert await readers.redis.xlen(readers.keys.poison()) == 0
        assert await readers.count(await stream.mine(10), stream) == 1
        assert await stream.mine(10) == []
        assert await readers.counters.totals() == {"human": 6}
        assert uncounted("set_aside") == before + 1
        ((_, fields),) = await entries(readers.redis, readers.keys.poison())
        assert fields[b"link"] == b"3"
        assert fields[b"poison_reason"] == f"{broken} does not hold what clicks are added to".encode()

    async def test_beside_what_a_counter_refuses_everything_is_done_with_once(self, readers: Readers) -> None:
        """A click, something that is none, and what was deleted: each as if the refused click were not there."""
        await readers.redis.set(readers.keys.unique_of_link(3), "no HyperLogLog")
        await readers.click(*(a_click(number, link=number) for number in range(1, 5)))
        await readers.redis.xadd(readers.keys.clicks(), {"id": "x"})
        stream = await readers.consumer("one")
        given = await next_of(stream, 10)
        await readers.redis.xdel(readers.keys.clicks(), given[0])
        before = uncounted("set_aside"), uncounted("trimmed")

        assert await readers.count(given, stream) == 4
        assert (uncounted("set_aside"), uncounted("trimmed")) == (before[0] + 1, before[1] + 1)
        assert await readers.counters.totals() == {"human": 2}
        assert await stream.mine(10) == [given[2]]

    async def test_what_everybody_adds_to_is_no_entrys_fault(self, readers: Readers) -> None:
        """While the totals refuse, clicks are neither counted nor set aside, and the error names the key."""
        await readers.redis.set(readers.keys.totals(), "no hash")
        await readers.click(a_click(1), a_click(2))
        stream = await readers.consumer("one")
        await next_of(stream, 10)
        for _ in range(TRIES + 1):
            with pytest.raises(StoreError, match=re.escape(readers.keys.totals())):
                await readers.count(await stream.mine(10), stream)
        await readers.redis.delete(readers.keys.totals())

        assert await readers.count(await stream.mine(10), stream) == 2
        assert await readers.counters.totals() == {"human": 2}

    async def test_what_can_neither_be_counted_nor_set_aside_stays(self, readers: Readers) -> None:
        """A poison stream that is none keeps back what it should hold, and nothing else."""
        await readers.redis.set(readers.keys.poison(), "no stream")
        await readers.redis.xadd(readers.keys.clicks(), {"id": "x"})
        await readers.click(a_click(1))
        stream = await readers.consumer("one")
        await next_of(stream, 10)
        for _ in range(TRIES + 1):
            await readers.count(await stream.mine(10), stream)

        assert await readers.counters.totals() == {"human": 1}
        assert len(await stream.mine(10)) == 1

    async def test_unknown_fields_do_no_harm(self, readers: Readers) -> None:
        """A newer version may write more fields than this one reads."""
        await readers.click(a_click(1))
        ((_, fields),) = await entries(readers.redis, readers.keys.clicks())
        more: Any = {**fields, b"colour": b"red"}
        await readers.redis.xadd(readers.keys.clicks(), more)
        stream = await readers.consumer("one")

        assert await readers.count(await next_of(stream, 10), stream) == 2
        assert await readers.counters.totals() == {"human": 2}

    async def test_nothing_is_nothing(self, readers: Readers) -> None:
        """An empty batch counts nothing."""
        assert await readers.count([], await readers.consumer("one")) == 0
        assert await readers.counters.totals() == {}
