"""The faults: what goes wrong while readers click, each with its beginning and its end."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.chaos.proxy import Trouble
from tests.chaos.worlds import World, signal_for
from tests.processes import eventually

Act = Callable[[World, random.Random], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong in the worlds named; `act` returns when it is over.

    Clicks may only be lost where the disk itself fails, `on_disk`.
    """

    name: str
    worlds: tuple[str, ...]
    act: Act
    on_disk: bool = False


BOTH = ("embedded", "own-store")


def _kill(words: str) -> Act:
    def act(world: World, draw: random.Random) -> None:
        for pid in world.pids(words):
            signal_for(pid, signal.SIGKILL)
        time.sleep(draw.uniform(0, 0.3))

    return act


def _freeze(words: str, longest_seconds: float) -> Act:
    def act(world: World, draw: random.Random) -> None:
        pids = world.pids(words)
        for pid in pids:
            signal_for(pid, signal.SIGSTOP)
        time.sleep(draw.uniform(0.1, longest_seconds))
        for pid in pids:
            signal_for(pid, signal.SIGCONT)

    return act


def _kill_store(world: World, draw: random.Random) -> None:
    os.kill(world.store_pid, signal.SIGKILL)
    time.sleep(draw.uniform(0, 0.3))


def _freeze_store(world: World, draw: random.Random) -> None:
    with _frozen_store(world):
        time.sleep(draw.uniform(0.1, 1.5))


@contextmanager
def _frozen_store(world: World) -> Iterator[None]:
    pid = world.store_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_for(pid, signal.SIGCONT)


def _freeze_supervisor(world: World, draw: random.Random) -> None:
    os.kill(world.running.pid, signal.SIGSTOP)
    time.sleep(draw.uniform(0.1, 1.0))
    os.kill(world.running.pid, signal.SIGCONT)


def _network(trouble: Trouble) -> Act:
    def act(world: World, draw: random.Random) -> None:
        assert world.proxy
        with world.proxy.trouble(trouble):
            time.sleep(draw.uniform(0.2, 1.2))

    return act


def _settings(name: str, trouble: str, usual: str) -> Act:
    """A store that refuses writes by a setting of its own."""

    def act(world: World, draw: random.Random) -> None:
        with world.store() as redis:
            redis.config_set(name, trouble)
            time.sleep(draw.uniform(0.2, 1.0))
            redis.config_set(name, usual)

    return act


def _read_only(world: World, draw: random.Random) -> None:
    with world.store() as redis:
        redis.replicaof("127.0.0.1", "1")  # a master that is not there
        time.sleep(draw.uniform(0.2, 1.0))
        redis.replicaof("NO", "ONE")


def _full_disk(world: World, draw: random.Random) -> None:
    with world.full_disk():
        time.sleep(draw.uniform(0.2, 1.0))


def _full_disk_and_dead_store(world: World, draw: random.Random) -> None:
    with world.full_disk(), _frozen_store(world):
        time.sleep(draw.uniform(0.3, 1.0))


def _dead_store_and_killed_worker(world: World, draw: random.Random) -> None:
    """What is in the spool outlives the process that wrote it."""
    with _frozen_store(world):
        time.sleep(draw.uniform(0.2, 0.6))
        _kill("run redirect")(world, draw)
        time.sleep(draw.uniform(0.2, 1.0))


def _dead_store_and_killed_supervisor(world: World, draw: random.Random) -> None:
    """The same for everything: a server that starts while its store is frozen sends readers on."""
    store = world.store_pid
    os.kill(store, signal.SIGSTOP)
    time.sleep(draw.uniform(0.2, 0.6))
    world.kill_all()
    thaw = threading.Timer(draw.uniform(1.0, 3.0), signal_for, (store, signal.SIGCONT))
    thaw.start()  # where the store is the server's own, it is gone by then, and a new one runs
    world.start()
    thaw.join()


def _kill_everything(world: World, draw: random.Random) -> None:
    time.sleep(draw.uniform(0, 0.2))
    world.kill_everything()


def _everything_at_once(world: World, draw: random.Random) -> None:
    """Worker, consumer and store are killed at the same moment."""
    store = world.store_pid
    for pid in (*world.pids("run redirect"), *world.pids("run worker")):
        signal_for(pid, signal.SIGKILL)
    if world.kind == "embedded":
        with suppress(ProcessLookupError):
            os.kill(store, signal.SIGKILL)
    time.sleep(draw.uniform(0, 0.3))


def _clock_jumps(world: World, draw: random.Random) -> None:
    for _ in range(2):
        world.clock_says(draw.choice(["+1h", "-1h", "+10d", "-30d", "+0"]))
        time.sleep(draw.uniform(0.8, 1.2))
    world.clock_says("+0")


FAULTS = [
    Fault("redirect worker killed", BOTH, _kill("run redirect")),
    Fault("redirect worker frozen", BOTH, _freeze("run redirect", 0.7)),
    Fault("consumer killed", BOTH, _kill("run worker")),
    Fault("consumer frozen until another took over", BOTH, _freeze("run worker", 2.5)),
    Fault("store killed", ("embedded",), _kill_store),
    Fault("store frozen", BOTH, _freeze_store),
    Fault("supervisor killed", BOTH, _kill_everything),
    Fault("supervisor frozen", BOTH, _freeze_supervisor),
    Fault("all roles and the store killed", BOTH, _everything_at_once),
    Fault("store frozen, redirect worker killed", BOTH, _dead_store_and_killed_worker),
    Fault("store frozen, supervisor killed", BOTH, _dead_store_and_killed_supervisor),
    Fault("clock jumps", ("odd-clock",), _clock_jumps),
    Fault("network slow", ("own-store",), _network(Trouble("delay", delay_seconds=0.06))),
    Fault("network slow, within the deadline", ("own-store",), _network(Trouble("delay", delay_seconds=0.015))),
    Fault("network stalls", ("own-store",), _network(Trouble("stall"))),
    Fault("replies are lost", ("own-store",), _network(Trouble("swallow"))),
    Fault("connections are reset", ("own-store",), _network(Trouble("reset"))),
    Fault("requests are cut in half", ("own-store",), _network(Trouble("truncate"))),
    Fault("store says LOADING", ("own-store",), _network(Trouble("answer", words="LOADING it is loading"))),
    Fault("store says NOAUTH", ("own-store",), _network(Trouble("answer", words="NOAUTH Authentication required."))),
    Fault("store says MISCONF", ("own-store",), _network(Trouble("answer", words="MISCONF errors writing to disk"))),
    Fault("store out of memory", BOTH, _settings("maxmemory", "1", "0")),
    Fault("store without enough replicas", BOTH, _settings("min-replicas-to-write", "1", "0")),
    Fault("store read-only", ("own-store",), _read_only),
    Fault("disk full", BOTH, _full_disk, on_disk=True),
    Fault("disk full, store frozen", BOTH, _full_disk_and_dead_store, on_disk=True),
]


def settled(world: World) -> None:
    """Waits until the store answers again."""
    eventually(world.in_order)
