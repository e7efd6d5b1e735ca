"""The faults: what goes wrong while readers click, each with its beginning and its end."""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from tests.chaos.disk import full_for
from tests.chaos.links import GONE
from tests.chaos.proxy import Trouble
from tests.chaos.worlds import CHANGE_SECONDS, World, signal_for
from tests.processes import eventually

Act = Callable[[World, random.Random], None]
Condition = Callable[[World, random.Random], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong in the worlds named; `act` returns when it is over.

    Clicks may only be lost where the disk itself fails, `on_disk`, and readers only go without an answer where their
    server dies, `kills_readers`. No answer takes longer than `slowest_seconds`: what the fault allows, and something
    for a machine that others use too.
    """

    name: str
    worlds: tuple[str, ...]
    act: Act
    slowest_seconds: float = 3.0
    on_disk: bool = False
    kills_readers: bool = False


BOTH = ("embedded", "own-store")

# --- acts


def _kill(words: str) -> Act:
    """Some of the processes with these words are killed, at least one."""

    def act(world: World, draw: random.Random) -> None:
        pids = world.pids(words)
        world.kill(*draw.sample(pids, draw.randint(1, len(pids))))
        time.sleep(draw.uniform(0, 0.3))

    return act


def _freeze(words: str, longest_seconds: float) -> Act:
    def act(world: World, draw: random.Random) -> None:
        with _frozen(*world.pids(words)):
            time.sleep(draw.uniform(0.1, longest_seconds))

    return act


def _kill_store(world: World, draw: random.Random) -> None:
    with world.killed_store():
        time.sleep(draw.uniform(0, 0.6))


def _freeze_supervisor(world: World, draw: random.Random) -> None:
    with _frozen(world.running.pid):
        time.sleep(draw.uniform(0.1, 1.0))


def _kill_everything(world: World, draw: random.Random) -> None:
    time.sleep(draw.uniform(0, 0.2))
    world.kill_everything()


def _restart_without_store(world: World, draw: random.Random) -> None:
    """A server that starts while its store is frozen sends readers on; it is in order once the store is back."""
    store = world.store_pid
    with _frozen(store):
        time.sleep(draw.uniform(0.2, 1.2))
        world.kill_all()
        # A store that is the server's own is gone by then, and a new one runs.
        thaw = threading.Timer(draw.uniform(1.0, 3.0), signal_for, (store, signal.SIGCONT))
        thaw.start()
        try:
            world.start()
        finally:
            thaw.join()


def _everything_at_once(world: World, draw: random.Random) -> None:
    """Worker, consumer and store are killed at the same moment."""
    with world.killed_store():
        world.kill(*world.pids("run redirect"), *world.pids("run worker"))
        time.sleep(draw.uniform(0, 0.3))


def _kill_worker_again(world: World, draw: random.Random) -> None:
    """What is in the spool outlives the processes that wrote it: each begins a segment, or a slot, of its own."""
    for _ in range(draw.randint(1, 2)):
        time.sleep(draw.uniform(0.2, 0.6))
        _kill("run redirect")(world, draw)
    time.sleep(draw.uniform(0.2, 1.0))


def _clock_jumps(world: World, draw: random.Random) -> None:
    for _ in range(2):
        world.clock_says(draw.choice(["+1h", "-1h", "+10d", "-30d", "+0"]))
        time.sleep(draw.uniform(0.8, 1.2))
    world.clock_says("+0")


def _clock_jumps_and_killed_worker(world: World, draw: random.Random) -> None:
    """The clock jumps while the store is frozen, and the worker that starts then finds a spool from another time."""
    world.clock_says(draw.choice(["+1h", "-1h", "+6d", "-30d"]))
    time.sleep(draw.uniform(0.2, 1.2))
    _kill("run redirect")(world, draw)
    time.sleep(draw.uniform(0.2, 1.2))
    world.clock_says("+0")


def _disable_link(world: World, draw: random.Random) -> None:
    """A link is disabled, and leads nowhere as soon as is promised."""
    _leads_nowhere(world, _disabled_link(world, draw))


def _disable_link_and_kill_worker(world: World, draw: random.Random) -> None:
    _kill("run redirect")(world, draw)
    _disable_link(world, draw)


def _disable_link_and_lose_store(world: World, draw: random.Random) -> None:
    """A worker that starts without the store knows, too, that the link is disabled."""
    link = _disabled_link(world, draw)
    with _frozen_store(world, draw):
        _kill("run redirect")(world, draw)
        _leads_nowhere(world, link)


def _disabled_link(world: World, draw: random.Random) -> int:
    """A link that was disabled just so long ago that every redirect process must know."""
    with world.client() as client:
        link = world.links.disable(client, draw)
    time.sleep(CHANGE_SECONDS)
    return link


def _leads_nowhere(world: World, link: int) -> None:
    answers = world.answers_on(link)
    assert answers == {GONE}, f"link {link} was disabled, and a click on it is answered with {answers}"


# --- conditions


@contextmanager
def _frozen(*pids: int) -> Iterator[None]:
    for pid in pids:
        signal_for(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            signal_for(pid, signal.SIGCONT)


def _frozen_store(world: World, draw: random.Random) -> AbstractContextManager[None]:
    return _frozen(world.store_pid)


def _network(trouble: Trouble) -> Condition:
    def condition(world: World, draw: random.Random) -> AbstractContextManager[None]:
        assert world.proxy
        return world.proxy.trouble(trouble)

    return condition


def _late_now_and_then(world: World, draw: random.Random) -> AbstractContextManager[None]:
    """One in ten messages is late, by about as much as the deadline lets it be."""
    late = Trouble("delay", lambda: draw.uniform(0.03, 0.06) if draw.random() < 0.1 else 0.0)
    return _network(late)(world, draw)


def _settings(name: str, trouble: str, usual: str) -> Condition:
    """A store that refuses writes by a setting of its own."""

    @contextmanager
    def condition(world: World, draw: random.Random) -> Iterator[None]:
        with world.store() as redis:
            redis.config_set(name, trouble)
            yield
            redis.config_set(name, usual)

    return condition


@contextmanager
def _read_only(world: World, draw: random.Random) -> Iterator[None]:
    with world.store() as redis:
        redis.replicaof("127.0.0.1", "1")  # a master that is not there
        yield
        redis.replicaof("NO", "ONE")


def _full_disk(world: World, draw: random.Random) -> AbstractContextManager[None]:
    return full_for(world.pids("run redirect"))


def _full_disk_of_store(world: World, draw: random.Random) -> AbstractContextManager[None]:
    return full_for([world.store_pid])


def _full_disk_of_all(world: World, draw: random.Random) -> AbstractContextManager[None]:
    return full_for([world.store_pid, *world.pids("run redirect")])


def _failing_disk(world: World, draw: random.Random) -> AbstractContextManager[None]:
    """Now and then, or always."""
    return world.disk.failing(draw.choice([0.1, 0.5, 1.0]))


def during(*conditions: Condition, act: Act | None = None) -> Act:
    """What happens while all of these hold, the first of them first; for a while, if nothing happens."""

    def acts(world: World, draw: random.Random) -> None:
        with ExitStack() as stack:
            for condition in conditions:
                stack.enter_context(condition(world, draw))
            time.sleep(draw.uniform(0.2, 1.2))
            if act:
                act(world, draw)

    return acts


def _says(words: str) -> Act:
    return during(_network(Trouble("answer", words=words)))


# What readers wait for when their server was killed: the next one.
NEXT_WORKER_SECONDS = 20.0
NEXT_SERVER_SECONDS = 30.0

FAULTS = [
    Fault("redirect worker killed", BOTH, _kill("run redirect"), NEXT_WORKER_SECONDS, kills_readers=True),
    Fault("redirect worker frozen", BOTH, _freeze("run redirect", 0.7)),
    Fault("consumer killed", BOTH, _kill("run worker")),
    Fault("consumer frozen until another took over", BOTH, _freeze("run worker", 2.5)),
    Fault("store killed", BOTH, _kill_store),
    Fault("store frozen", BOTH, during(_frozen_store)),
    Fault("supervisor killed", BOTH, _kill_everything, NEXT_SERVER_SECONDS, kills_readers=True),
    Fault("supervisor frozen", BOTH, _freeze_supervisor),
    Fault("all roles and the store killed", BOTH, _everything_at_once, NEXT_WORKER_SECONDS, kills_readers=True),
    Fault(
        "store frozen, redirect worker killed",
        BOTH,
        during(_frozen_store, act=_kill_worker_again),
        NEXT_WORKER_SECONDS,
        kills_readers=True,
    ),
    Fault(
        "store frozen, supervisor killed",
        BOTH,
        _restart_without_store,
        NEXT_SERVER_SECONDS,
        kills_readers=True,
    ),
    Fault("clock jumps", ("odd-clock",), _clock_jumps),
    Fault(
        "clock jumps, store frozen, redirect worker killed",
        ("odd-clock",),
        during(_frozen_store, act=_clock_jumps_and_killed_worker),
        NEXT_WORKER_SECONDS,
        kills_readers=True,
    ),
    Fault("network slow", ("own-store",), during(_network(Trouble("delay", lambda: 0.06)))),
    Fault("network slow, within the deadline", ("own-store",), during(_network(Trouble("delay", lambda: 0.015)))),
    Fault("network slow now and then", ("own-store",), during(_late_now_and_then)),
    Fault("network stalls", ("own-store",), during(_network(Trouble("stall")))),
    Fault("replies are lost", ("own-store",), during(_network(Trouble("swallow")))),
    Fault("replies are cut in half", ("own-store",), during(_network(Trouble("cut")))),
    Fault("connections are reset", ("own-store",), during(_network(Trouble("reset")))),
    Fault("requests are cut in half", ("own-store",), during(_network(Trouble("truncate")))),
    Fault("store says LOADING", ("own-store",), _says("-LOADING it is loading")),
    Fault("store says NOAUTH", ("own-store",), _says("-NOAUTH Authentication required.")),
    Fault("store says MISCONF", ("own-store",), _says("-MISCONF errors writing to disk")),
    Fault("store says OK to everything", ("own-store",), _says("+OK")),
    Fault("store out of memory", BOTH, during(_settings("maxmemory", "1", "0"))),
    Fault("store without enough replicas", BOTH, during(_settings("min-replicas-to-write", "1", "0"))),
    Fault("store read-only", ("own-store",), during(_read_only)),
    Fault("store's disk full", BOTH, during(_full_disk_of_store)),
    Fault("disk full", BOTH, during(_full_disk), on_disk=True),
    Fault("disk full, store frozen", BOTH, during(_full_disk, _frozen_store), on_disk=True),
    Fault("disk full, the store's too", BOTH, during(_full_disk_of_all), on_disk=True),
    Fault("disk fails", BOTH, during(_failing_disk), on_disk=True),
    Fault("disk fails, store frozen", BOTH, during(_failing_disk, _frozen_store), on_disk=True),
    Fault("link disabled, disk full", BOTH, during(_full_disk, act=_disable_link), on_disk=True),
    Fault(
        "link disabled, redirect worker killed",
        BOTH,
        _disable_link_and_kill_worker,
        NEXT_WORKER_SECONDS,
        kills_readers=True,
    ),
    Fault(
        "link disabled, store frozen, redirect worker killed",
        BOTH,
        _disable_link_and_lose_store,
        NEXT_WORKER_SECONDS,
        kills_readers=True,
    ),
]


def settled(world: World) -> None:
    """Waits until the store answers again."""
    eventually(world.in_order)
