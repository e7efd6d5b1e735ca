"""What readers were promised, with the whole program running: on every process, without the store, after kills."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
from redis import Redis

from redirector.clicks import packed
from redirector.client import Client
from redirector.frames import Frame
from redirector.installation import Running
from redirector.spool import Spool
from redirector.store.embedded import socket_path
from redirector.store.keys import Keys
from tests.builders import a_click, fields_of
from tests.processes import FIREFOX, descendants, eventually, is_gone, serving

KEYS = Keys()
BROWSER = {"User-Agent": FIREFOX}
MANY = 20_000


def store_of(directory: Path) -> Redis:
    """A client of the embedded store."""
    return Redis(unix_socket_path=str(socket_path(directory)), decode_responses=True)


def pids(running: Running, part: str) -> set[int]:
    """The server's processes with this in their command lines."""
    return {pid for pid, command in descendants(running.pid).items() if part in command}


@contextmanager
def frozen_store(running: Running) -> Iterator[None]:
    """The store answers nothing while the block lasts."""
    (pid,) = pids(running, "valkey-server")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def kill(running: Running, part: str) -> None:
    """Those processes are killed, and others in their place."""
    before = pids(running, part)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: all(map(is_gone, before)) and len(pids(running, part) - before) == len(before))


def follow(url: str) -> None:
    """A reader clicks, on a connection of its own, and arrives."""
    assert httpx.get(url, headers=BROWSER, timeout=20).status_code == 302


def ask(url: str, act: str) -> None:
    """The reader of this link asks for it."""
    assert httpx.post(url.replace("/c/", "/privacy/") + f"/{act}", headers=BROWSER).status_code == 200


def minted(running: Running) -> tuple[str, str, str]:
    """A link for everybody, Ann's, and Bob's."""
    with Client(running.internal_url, running.api_key) as client:
        everybody = client.create_link("https://www.example.com/a", "news")
        client.create_campaign("club", tracking="individual", consent="CRM, field 7")
        own = client.create_link("https://www.example.com/b", "club")
        ann, bob = client.urls(own.id, ["ann", "bob"])
    return everybody.url, ann.url, bob.url


def exported(running: Running, recipient: str) -> list[dict[str, str]]:
    """The clicks that the operator can find of a recipient."""
    with Client(running.internal_url, running.api_key) as client:
        return [each for each in client.export_recipient(recipient) if "kind" not in each]


def counted(running: Running) -> int:
    """How many clicks were counted."""
    with Client(running.internal_url, running.api_key) as client:
        return sum(client.topics().clicks.values())


def test_an_opt_out_holds_everywhere_and_without_the_store(directory: Path) -> None:
    """On two processes at once; and when both are killed while the store is frozen, on those that come after them."""
    with serving(directory, workers=2) as running:
        everybody, ann, bob = minted(running)
        ask(ann, "opt-out")
        ask(everybody, "opt-out")
        store = store_of(directory)
        knowing = store.xinfo_stream(KEYS.changes)["last-generated-id"]
        eventually(lambda: cursors(directory) == {knowing})
        for _ in range(20):
            follow(ann)
            follow(everybody)
        with frozen_store(running):
            kill(running, "run redirect")
            for _ in range(10):
                follow(ann)
                follow(everybody)
            follow(bob)
        eventually(lambda: bool(store.xlen(KEYS.clicks())))
        clicks: Any = store.xrange(KEYS.clicks())

    assert [fields["link"] for _, fields in clicks] == ["2"]
    assert clicks[0][1].get("recipient")


def cursors(directory: Path) -> set[str]:
    """Up to which change the file of each of both processes followed the store."""
    found = set()
    for number in range(2):
        with closing(sqlite3.connect(f"file:{directory}/redirect-{number}/links.sqlite?mode=ro", uri=True)) as file:
            found |= {row[0] for row in file.execute("SELECT cursor FROM following")} or {""}
    return found


def test_what_a_spool_brings_after_the_erasure_is_erased(directory: Path) -> None:
    """A click that waited on a disk while its reader had everything erased is counted, and goes."""
    with serving(directory, count_hold_ms=0) as running:
        _, ann, _ = minted(running)
        follow(ann)
        eventually(lambda: counted(running) == 1)
        (click,) = exported(running, "ann")
        ask(ann, "erase")
        eventually(lambda: not exported(running, "ann"))
    late = a_click(1, id="1", recipient=click["recipient"], visitor="", at=int(click["at"]), campaign="club", link=2)
    waiting = Spool(directory / "redirect-0" / "spool", max_bytes=10**6, max_age_seconds=10**6, lost=lambda *_: None)
    waiting.open()
    waiting.append(Frame("gone-1", 1, [packed(late)]))
    waiting.close()
    with serving(directory, count_hold_ms=0) as running:
        eventually(lambda: counted(running) == 2)
        eventually(lambda: not exported(running, "ann"))


def test_a_worker_that_is_killed_in_the_middle_leaves_nothing(directory: Path) -> None:
    """The one in its place erases the rest; every click was counted, and is counted once."""
    with serving(directory, count_hold_ms=0) as running, Client(running.internal_url, running.api_key) as client:
        _, ann, bob = minted(running)
        follow(ann)
        follow(bob)
        eventually(lambda: counted(running) == 2)
        (token,) = {click["recipient"] for click in exported(running, "ann")}
        store = store_of(directory)
        with store.pipeline(transaction=False) as pipeline:
            for number in range(MANY):
                pipeline.xadd(KEYS.clicks(), fields_of(a_click(number, recipient=token, visitor="")))
            pipeline.execute()
        eventually(lambda: counted(running) == MANY + 2)
        client.forget_recipient("ann")
        eventually(lambda: int(store.xlen(KEYS.clicks())) < MANY)
        kill(running, "run worker")
        eventually(lambda: not exported(running, "ann"))
        left, sums = len(exported(running, "bob")), counted(running)

    assert (left, sums) == (1, MANY + 2)
