"""What survives what: each promise of the design, kept by the whole program while readers click.

The rounds are those of the chaos suite: they prove that every answered click is in the stream once and counted once,
that every reader was sent to the right place, and that no click is counted as lost unless the disk itself failed.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from redirector.store.embedded import SYNC_EVERY_SECONDS, socket_path
from redirector.store.keys import Keys
from tests.builders import a_click, fields_of
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.rounds import Figures, accounted_for, play
from tests.chaos.worlds import World
from tests.processes import eventually, is_gone, serving

WorldOf = Callable[[str], World]

# Where the clicks that wait lie in a data directory.
SEGMENTS = "redirect-*/*/*.frames"

# Besides the recording deadline of 50 ms: a machine that runs other tests may stall for longer than any store.
SLACK_SECONDS = 1.0


@pytest.fixture(scope="module")
def world_of() -> Iterator[WorldOf]:
    """The whole program, once for each kind of world that a test asks for."""
    with ExitStack() as stack:
        worlds: dict[str, World] = {}

        def of(kind: str) -> World:
            if kind not in worlds:
                worlds[kind] = stack.enter_context(World(kind))
            return worlds[kind]

        yield of


def with_faults(*beginnings: str) -> pytest.MarkDecorator:
    """The test with each fault whose name begins so, in each world that can have it."""
    chosen = [
        pytest.param(kind, fault, id=f"{fault.name}, {kind}")
        for fault in FAULTS
        for kind in fault.worlds
        if fault.name.startswith(beginnings)
    ]
    assert chosen
    return pytest.mark.parametrize(("kind", "fault"), chosen)


def played(world: World, fault: Fault) -> Figures:
    """The figures of a round that went as it must."""
    figures, broken = play(world, fault, random.Random())
    assert not broken, "\n".join(broken)
    assert figures.answered
    return figures


@with_faults("redirect worker killed", "consumer killed", "store killed", "supervisor killed", "all roles and")
def test_any_process_killed(world_of: WorldOf, kind: str, fault: Fault) -> None:
    """Every click that was answered is in the stream once, and in the counters once."""
    played(world_of(kind), fault)


@with_faults("store frozen", "store out of memory", "store read-only", "store says", "store without", "network", "repl")
def test_store_dead_or_refusing(world_of: WorldOf, kind: str, fault: Fault) -> None:
    """Known links redirect, soon; their clicks are counted once afterwards."""
    figures = played(world_of(kind), fault)

    assert "killed" in fault.name or figures.slowest_seconds < SLACK_SECONDS


def test_spool_torn_flipped_and_missing(world_of: WorldOf) -> None:
    """The good part is replayed, the bad part is set aside, counted and logged, and the program starts."""
    world = world_of("embedded")
    _leave_in_the_spool(world)
    spool = world.directory / "redirect-0" / "spool"
    (segment,) = spool.glob("*.frames")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 255
    segment.write_bytes(data[:-7])  # what a crash had left of the last frame
    world.start()
    eventually(lambda: not list(spool.glob("*.frames")))
    world.look()
    missing = world.ledger.give_up()

    assert missing >= 1
    assert 1 <= world.lost() <= missing
    assert len(list((spool / "quarantine").iterdir())) == 2
    assert not world.ledger.doubled


def _leave_in_the_spool(world: World) -> None:
    """Readers click while the store is frozen; then everything is killed, and stays dead."""
    world.refill()
    pid = world.store_pid
    os.kill(pid, signal.SIGSTOP)
    with world.readers() as readers:
        eventually(lambda: len(readers.answered) > 200)
    world.kill_all()
    assert is_gone(pid)


@with_faults("disk full", "disk fails", "store's disk")
def test_disk_full_or_failing(world_of: WorldOf, kind: str, fault: Fault) -> None:
    """The redirect is still sent; when the store cannot take clicks either, those that are lost are counted."""
    played(world_of(kind), fault)


@pytest.mark.parametrize("kind", ["embedded", "own-store"])
@pytest.mark.parametrize("frozen", [False, True], ids=["the store answers", "the store is frozen"])
def test_sigterm(world_of: WorldOf, kind: str, frozen: bool) -> None:
    """It stops accepting, finishes what is in flight, and leaves nothing in memory: all answered clicks are there."""
    world = world_of(kind)
    world.refill()
    store = world.store_pid
    with world.readers() as readers:
        eventually(lambda: len(readers.answered) > 100)
        if frozen:
            os.kill(store, signal.SIGSTOP)
            time.sleep(0.3)
        for pid in world.pids("run redirect"):
            os.kill(pid, signal.SIGTERM)
        time.sleep(0.5)
        if frozen:
            os.kill(store, signal.SIGCONT)

    assert list(accounted_for(world, readers, lost=0)) == []


def test_clock_jumps(world_of: WorldOf) -> None:
    """Nothing is refused, and nothing is lost."""
    (fault,) = (fault for fault in FAULTS if fault.name == "clock jumps")
    played(world_of("odd-clock"), fault)


@with_faults("consumer killed", "consumer frozen")
def test_consumer_dies_between_count_and_acknowledgement(world_of: WorldOf, kind: str, fault: Fault) -> None:
    """Counted once."""
    played(world_of(kind), fault)


def test_power_cut_while_clicks_are_spooled(world_of: WorldOf) -> None:
    """The spool keeps no more than was flushed when all stopped: every click that was answered is among it."""
    world = world_of("embedded")
    world.refill()
    eventually(lambda: not list(world.directory.glob(SEGMENTS)))
    with world.disk.noting_flushes():
        os.kill(world.store_pid, signal.SIGSTOP)
        with world.readers() as readers:
            eventually(lambda: len(readers.answered) > 200)
            world.kill_all()
        world.disk.cut_power(world.directory.glob(SEGMENTS))
    world.start()

    assert list(accounted_for(world, readers, lost=0)) == []


def test_power_cut_under_the_embedded_store(world_of: WorldOf) -> None:
    """What it wrote is flushed within a second, and what was flushed is enough to begin with again."""
    world = world_of("embedded")
    world.refill()
    with world.store() as redis:
        assert redis.config_get("appendonly", "appendfsync") == {"appendonly": "yes", "appendfsync": "no"}
    (file,) = world.directory.glob("valkey/appendonlydir/*.incr.aof")
    with world.disk.noting_flushes():
        with world.readers() as readers:
            eventually(lambda: len(readers.answered) > 200)
        written = file.stat().st_size
        eventually(lambda: world.disk.flushed(file) >= written, SYNC_EVERY_SECONDS + SLACK_SECONDS)
        with world.readers() as last_readers:
            eventually(lambda: len(last_readers.answered) > 200)
            world.kill_all()
        os.truncate(file, world.disk.flushed(file))
    world.start()
    last = Counter(world.links.in_stream(last_readers.answered))

    def only_last_are_missing() -> bool:
        world.look()
        return world.ledger.awaited <= last and world.counted() == world.ledger.in_stream == world.by_topic()

    eventually(only_last_are_missing)
    assert not world.ledger.doubled
    world.ledger.give_up()  # what is missing is none of the next test's


def test_power_cut_with_always(directory: Path) -> None:
    """The embedded store itself then flushes what it wrote, before it answers."""
    with serving(directory, store_appendfsync="always"), Redis(unix_socket_path=str(socket_path(directory))) as redis:
        assert redis.config_get("appendfsync") == {"appendfsync": "always"}


UNREADABLE = {"id": "poison", "recipient": "nobody"}
UNCOUNTABLE = fields_of(a_click(link=2**40, visitor="", recipient="nobody"))


@pytest.mark.parametrize("entry", [UNREADABLE, UNCOUNTABLE], ids=["that is no click", "that a counter refuses"])
def test_poison_entry_in_the_stream(world_of: WorldOf, entry: dict[Any, Any]) -> None:
    """It is set aside, with the reason; the rest goes on."""
    world = world_of("own-store")
    world.refill()
    refusing = Keys().unique_of_link(2**40)
    with world.store() as redis:
        redis.set(refusing, "no HyperLogLog")
        redis.xadd(Keys().clicks(), entry)
    with world.readers() as readers:
        eventually(lambda: len(readers.answered) > 100)

    def counted() -> bool:
        world.look()
        return not world.ledger.awaited and world.counted() == world.ledger.in_stream - 1

    eventually(counted)
    with world.store() as redis:
        eventually(lambda: redis.xlen(Keys().poison()) == 1)
        redis.delete(Keys().poison(), refusing)
    # What is not counted, is none of the next test's.
    world.ledger.doubled.clear()
    world.ledger.in_stream -= 1
