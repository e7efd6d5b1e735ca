"""Erasing: complete, once counted, also of what comes late, whatever is killed when."""

from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from redirector.clickers import DAY_MS, visitor
from redirector.count import Tally
from redirector.erase import SKEW_MS, Eraser, clicker_of_entry, earliest, is_erased
from redirector.store.audit import Audit
from redirector.store.clicks import ClickStream, Entry
from redirector.store.connection import connected
from redirector.store.counters import Counters
from redirector.store.erasures import Erasures
from redirector.store.keys import Keys
from tests.builders import NOON, a_click, fields_of
from tests.streams import judging, next_of

GROUP = "counting"
ANN, BOB = 2**59 + 1, 77
TODAY = visitor(NOON // DAY_MS, 5)


class World:
    """A stream, its counting, and who erases."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis, self.keys = redis, keys
        self.seconds = 0.0
        self.erasures = Erasures(redis, keys)
        self.eraser = self.an_eraser()
        self.stream = ClickStream(redis, keys, group=GROUP, consumer="one")
        self.tally = Tally(self.stream, Counters(redis, keys), keys)

    def an_eraser(self) -> Eraser:
        """One as a worker has it that starts now."""
        return Eraser(self.redis, self.keys, group=GROUP, clock=lambda: NOON / 1000, timer=lambda: self.seconds)

    async def click(self, number: int = 1, **properties: Any) -> None:
        """A click comes into the stream."""
        await self.redis.xadd(self.keys.clicks(), fields_of(a_click(number, **properties)))

    async def of_ann(self, number: int = 1, **properties: Any) -> None:
        """A click of Ann's."""
        await self.click(number, recipient=str(ANN), visitor="", **properties)

    async def count(self) -> None:
        """Everything that waits is counted."""
        await self.stream.join()
        while ids := await next_of(self.stream, 100):
            await self.count_those(ids)

    async def count_those(self, ids: list[str]) -> None:
        """These entries, which it was given, are counted."""
        await self.tally.count(await judging(self.stream, self.redis, self.keys).those(ids))

    async def left(self, key: str = "") -> list[str]:
        """The ids of the clicks that are left."""
        entries: Any = await self.redis.xrange(key or self.keys.clicks())
        return [fields[b"id"].decode() for _, fields in entries]


async def all_of(eraser: Eraser) -> None:
    """It erases until it says that there is nothing more."""
    while await eraser.erase():
        pass


@pytest.fixture
def world(redis: Redis, keys: Keys) -> World:
    """Empty."""
    return World(redis, keys)


async def test_every_click_of_a_recipient_is_erased(world: World) -> None:
    """Theirs go, others' stay, and so do the sums: they tell nobody apart."""
    for number in range(3):
        await world.of_ann(number)
        await world.click(10 + number, recipient=str(BOB), visitor="")
    await world.click(20, visitor="5")
    await world.count()
    await world.erasures.ask(ANN, NOON)
    await all_of(world.eraser)

    assert await world.left() == ["test-a", "test-b", "test-c", "test-14"]
    assert await world.erasures.waiting() == {}
    assert await Counters(world.redis, world.keys).totals() == {"human": 7}


async def test_a_visitor_is_erased_for_their_day(world: World) -> None:
    """The same hash on another day was somebody else's."""
    await world.click(1, visitor="5")
    await world.click(2, visitor="5", at=NOON + DAY_MS)
    await world.click(3, visitor="6")
    await world.count()
    await world.erasures.ask(TODAY, NOON)
    await all_of(world.eraser)

    assert await world.left() == ["test-2", "test-3"]


async def test_what_was_clicked_since_stays(world: World) -> None:
    """An erasure is about what was; it is no opting out."""
    await world.of_ann(1, at=NOON)
    await world.of_ann(2, at=NOON + 1)
    await world.count()
    await world.erasures.ask(ANN, NOON)
    await all_of(world.eraser)

    assert await world.left() == ["test-2"]


async def test_no_click_is_erased_before_it_was_counted(world: World) -> None:
    """One that waits to be counted, or to be judged, is counted first; until then the erasure waits."""
    await world.of_ann(1)
    await world.count()
    await world.of_ann(2)
    await next_of(world.stream, 1)  # given, and not counted yet
    await world.of_ann(3)
    await world.erasures.ask(ANN, NOON * 2)
    await all_of(world.eraser)
    before, waits = await world.left(), await world.erasures.waiting()
    await world.count_those(await world.stream.mine(10))
    await world.count()
    await all_of(world.eraser)

    assert (before, waits) == (["test-2", "test-3"], {ANN: NOON * 2})
    assert (await world.left(), await world.erasures.waiting()) == ([], {})
    assert await Counters(world.redis, world.keys).totals() == {"human": 3}


async def test_a_busy_stream_keeps_no_erasure_waiting(world: World) -> None:
    """What came long after the moment need not be counted for it to be done."""
    await world.of_ann(1)
    await world.count()
    await world.erasures.ask(ANN, 5)
    await world.of_ann(2)
    await all_of(world.eraser)

    assert await world.erasures.waiting() == {}


async def test_what_comes_late_is_erased_when_it_was_counted(world: World) -> None:
    """A spool that is replayed after the erasure was done brings nobody back, also to a worker that started since."""
    await world.erasures.ask(ANN, NOON)
    await all_of(world.eraser)
    done = await world.erasures.waiting()
    for eraser in (world.eraser, world.an_eraser()):
        await world.of_ann(1)
        await world.of_ann(2, at=NOON + 1)
        await world.count()
        await all_of(eraser)

    assert done == {}
    assert await world.left() == ["test-2", "test-2"]
    assert await Counters(world.redis, world.keys).totals() == {"human": 4}


async def test_what_was_set_aside_is_erased_too(world: World) -> None:
    """Entries that could not be counted are copies of clicks; who they are of is read as far as it can be."""
    spoiled = {**fields_of(a_click(1, recipient=str(ANN), visitor="")), "class": "alien"}
    await world.redis.xadd(world.keys.clicks(), spoiled)
    await world.redis.xadd(world.keys.clicks(), {**spoiled, "id": "no-moment", "at": "yesterday"})
    await world.redis.xadd(world.keys.clicks(), {**spoiled, "id": "bob", "recipient": "bob"})
    await world.count()
    aside = await world.left(world.keys.poison())
    await world.erasures.ask(ANN, NOON * 2)
    await all_of(world.eraser)

    assert aside == ["test-1", "no-moment", "bob"]
    assert await world.left(world.keys.poison()) == await world.left() == ["bob"]


async def test_an_eraser_that_was_killed_is_followed_by_another(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it done, nothing noted: the next worker does the rest, and what is counted stays counted."""
    for number in range(1_200):
        await world.of_ann(number)
    await world.count()
    await world.erasures.ask(ANN, NOON)
    monkeypatch.setattr("redirector.erase.PAGES_AT_ONCE", 1)
    more = await world.eraser.erase()
    half, waits = len(await world.left()), await world.erasures.waiting()
    await all_of(world.an_eraser())

    assert (more, half, waits) == (True, 700, {ANN: NOON})
    assert (await world.left(), await world.erasures.waiting()) == ([], {})
    assert await Counters(world.redis, world.keys).totals() == {"human": 1_200}


async def test_asking_again_erases_what_came_since(world: World) -> None:
    """An erasure of yesterday does not stand in the way of one of today."""
    await world.of_ann(1, at=NOON)
    await world.count()
    await world.erasures.ask(ANN, NOON)
    await all_of(world.eraser)
    await world.of_ann(2, at=NOON + 5)
    await world.count()
    await all_of(world.eraser)
    between = await world.left()
    await world.erasures.ask(ANN, NOON + 5)
    await all_of(world.eraser)

    assert (between, await world.left()) == (["test-2"], [])


async def test_counting_goes_on_where_it_was(world: World) -> None:
    """A group that somebody destroys after the newest entry was erased counts nothing twice."""
    await world.click(1)
    await world.of_ann(2)
    await world.count()
    await world.erasures.ask(ANN, NOON)
    await all_of(world.eraser)
    await world.redis.xgroup_destroy(world.keys.clicks(), GROUP)
    await world.count()

    assert await Counters(world.redis, world.keys).totals() == {"human": 2}


async def test_it_is_seen_and_audited(world: World) -> None:
    """How many wait is on the metrics; when they are done, the audit has it, and names nobody."""

    def waiting() -> float | None:
        return REGISTRY.get_sample_value("redirector_erasures_waiting")

    await world.of_ann(1)
    await world.erasures.ask(ANN, NOON * 2)
    await all_of(world.eraser)
    before = waiting()
    await world.count()
    await all_of(world.eraser)
    (use,) = await Audit(world.redis, world.keys).since(0)

    assert (before, waiting()) == (1, 0)
    assert (use.who, use.action, use.outcome) == ("worker", "erase", "1 done, 1 clicks erased")
    await all_of(world.eraser)
    assert await Audit(world.redis, world.keys).since(0) == [use]


async def test_what_is_asked_for_meanwhile_waits_for_the_next_round(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers who ask all the time do not keep the walk from its end."""
    monkeypatch.setattr("redirector.erase.PAGES_AT_ONCE", 1)
    for number in range(1_200):
        await world.of_ann(number)
    await world.click(5_000, recipient=str(BOB), visitor="")
    await world.count()
    await world.erasures.ask(ANN, NOON)
    rounds = 1
    while await world.eraser.erase():
        await world.erasures.ask(BOB, NOON + rounds)
        rounds += 1
    after_one = await world.left()
    await all_of(world.eraser)

    assert (rounds, after_one, await world.left()) == (4, ["test-1388"], [])


async def test_a_visitors_erasure_is_not_audited(world: World) -> None:
    """Whoever has a link for everybody is as many visitors as they like, and could push all else out of the audit."""
    await world.click(1, visitor="5")
    await world.count()
    await world.erasures.ask(TODAY, NOON)
    await all_of(world.eraser)

    assert (await world.left(), await Audit(world.redis, world.keys).since(0)) == ([], [])


async def test_a_dead_store_is_asked_another_time(keys: Keys) -> None:
    """The worker goes on when the store is away."""
    async with connected("unix:///nowhere/none.sock") as dead:
        await Eraser(dead, keys, group=GROUP).erase()


def test_only_a_visitors_day_is_looked_through() -> None:
    """Who has a code for everybody can make as many erasures as they like: each is about one day."""
    assert earliest([TODAY], {}) == f"{NOON // DAY_MS * DAY_MS - SKEW_MS}-0"
    assert earliest([TODAY, ANN], {}) == "0-0"


def test_who_asks_again_is_looked_for_since_they_asked() -> None:
    """What lies before was walked through for them; a clock that differs is allowed for."""
    assert earliest([ANN], {ANN: NOON}) == f"{NOON - SKEW_MS}-0"
    assert earliest([TODAY], {TODAY: NOON}) == f"{NOON - SKEW_MS}-0"
    assert earliest([ANN, BOB], {ANN: NOON}) == "0-0"


async def test_walks_back_take_a_tenth_of_the_time(world: World) -> None:
    """After one that took ten seconds the next waits for ninety; what comes late is erased meanwhile."""
    await world.of_ann(1)
    await world.click(2, recipient=str(BOB), visitor="")
    await world.count()
    await world.erasures.ask(ANN, NOON)
    walking = await world.eraser._begun()
    assert walking is not None
    world.seconds = 10
    await world.eraser._is_through(walking)
    await world.erasures.ask(BOB, NOON)
    await world.of_ann(3)
    await world.count()
    world.seconds = 99
    await all_of(world.eraser)
    meanwhile = await world.left()
    world.seconds = 100
    await all_of(world.eraser)

    assert (meanwhile, await world.left()) == (["test-2"], [])
    assert await world.erasures.waiting() == {}


async def test_nobody_waits_for_hours_after_a_long_walk(world: World) -> None:
    """After one that took an hour, as when the store was away, the next waits for ten minutes."""
    await world.erasures.ask(ANN, NOON)
    walking = await world.eraser._begun()
    assert walking is not None
    world.seconds = 3_600
    await world.eraser._is_through(walking)
    await world.of_ann(1)
    await world.count()
    await world.erasures.ask(ANN, NOON + 1)
    world.seconds += 599
    await all_of(world.eraser)
    meanwhile = await world.erasures.waiting()
    world.seconds += 1
    await all_of(world.eraser)

    assert (meanwhile, await world.erasures.waiting()) == ({ANN: NOON + 1}, {})


async def test_how_long_the_first_waits_is_seen(world: World) -> None:
    """Not how long the last one does; nothing once all are through."""

    def waited() -> float | None:
        return REGISTRY.get_sample_value("redirector_erasure_wait_seconds")

    await world.of_ann(1)
    await world.erasures.ask(ANN, NOON - 90_000)
    await world.erasures.ask(BOB, NOON - 5_000)
    await all_of(world.eraser)
    before = waited()
    await world.count()
    await all_of(world.eraser)

    assert (before, waited()) == (90, 0)


async def test_a_recipient_who_asks_again_is_audited_once(world: World) -> None:
    """Whoever has a code could push all else out of the audit; also for a worker that starts later."""
    for number in range(3):
        await world.of_ann(number, at=NOON + number)
        await world.count()
        await world.erasures.ask(ANN, NOON + number)
        await all_of(world.eraser)
    await all_of(later := world.an_eraser())
    await world.erasures.ask(ANN, NOON + 5)
    await all_of(later)

    assert (await world.left(), await world.erasures.waiting()) == ([], {})
    assert len(await Audit(world.redis, world.keys).since(0)) == 1


async def test_a_worker_that_starts_begins_where_the_last_was_done(world: World) -> None:
    """Not at the beginning: before the moment of one that is done all was looked through."""
    await world.redis.xadd(world.keys.clicks(), fields_of(a_click(1)), id=f"{NOON - SKEW_MS}-0")
    await world.count()
    await world.erasures.ask(ANN, NOON)
    await all_of(world.eraser)
    begun = await (later := world.an_eraser())._begun()

    assert begun is not None
    assert begun.walks_back_since is None
    assert set(later._positions.values()) == {f"{NOON - SKEW_MS}-0"}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="deleted under its reader"),
        pytest.param({b"recipient": b"ann"}, id="no token"),
        pytest.param({b"recipient": b"\xff\xfe"}, id="no text"),
        pytest.param({b"recipient": str(TODAY).encode()}, id="a visitor's number"),
        pytest.param({b"visitor": b"5", b"at": b"9" * 400}, id="a visitor of no day"),
    ],
)
def test_an_entry_of_nobody_is_left_alone(fields: dict[bytes, bytes]) -> None:
    """What cannot be read is nobody's."""
    assert clicker_of_entry(Entry.of("1-0", fields)) in {None, visitor(0, 5)}
    assert not is_erased(Entry.of("1-0", fields), {ANN: NOON, BOB: NOON, TODAY: NOON})
