"""A store that is dead, frozen, late or refuses: no reader waits for it, and nothing is lost."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from redirector.clicks import packed
from redirector.store.keys import Keys
from tests.builders import a_click
from tests.recorders import (
    DEADLINE_SECONDS,
    SLACK_SECONDS,
    all_lost,
    click_ids,
    record,
    recording,
    store_up,
    stored,
    until_replayed,
)
from tests.store.stores import asked, frozen, kill, on_both_stores, own_store, until


@on_both_stores
class TestAStoreInTrouble:
    async def test_a_store_that_comes_later_is_found(self, kind: str, directory: Path, keys: Keys) -> None:
        """A recorder that began without its store keeps clicks on the disk, and sends them as soon as there is one."""
        before = all_lost()
        async with recording(f"unix://{directory}/store.sock", keys, directory) as recorder:
            began = time.monotonic()
            await record(recorder, *range(10))
            took = time.monotonic() - began
            up_before = store_up()
            with own_store(kind, directory) as url:
                await until_replayed(recorder)
                await record(recorder, 10)
                up_after = store_up()
                with asked(url) as admin:
                    assert stored(admin, keys) == Counter(click_ids(range(11)))

        assert took < SLACK_SECONDS
        assert (up_before, up_after, all_lost()) == (0, 1, before)

    async def test_a_store_that_is_back_is_up(self, kind: str, directory: Path, keys: Keys) -> None:
        """While readers are still kept from a store after several doubts, the metrics say whether it answers."""
        with own_store(kind, directory) as url:
            async with recording(
                url, keys, directory, deadline_seconds=DEADLINE_SECONDS, clock=lambda: 0.0
            ) as recorder:
                with frozen(url):
                    await record(recorder, 1)
                await until_replayed(recorder)
                with frozen(url):
                    await record(recorder, 2)
                await until(lambda: store_up() == 1)
                trusted = recorder._direct
                kill(url)
                await until(lambda: store_up() == 0)

        assert not trusted

    async def test_a_frozen_store_keeps_nobody(self, kind: str, directory: Path, keys: Keys) -> None:
        """Those who wait go on after the deadline, those who come later at once; after the thaw all are there once."""
        before = all_lost()
        with own_store(kind, directory) as url:
            async with recording(url, keys, directory, deadline_seconds=DEADLINE_SECONDS) as recorder:
                await record(recorder, 1)
                with frozen(url):
                    began = time.monotonic()
                    await record(recorder, *range(2, 12))
                    first = time.monotonic() - began
                    began = time.monotonic()
                    for number in range(12, 22):
                        await record(recorder, number)
                    later = time.monotonic() - began
                await record(recorder, *range(22, 32))
                await until_replayed(recorder)
                await record(recorder, 32)
            with asked(url) as admin:
                assert stored(admin, keys) == Counter(click_ids(range(1, 33)))

        assert first < 2 * DEADLINE_SECONDS + SLACK_SECONDS
        assert later < SLACK_SECONDS
        assert all_lost() == before

    async def test_who_waits_behind_a_frozen_batch_goes_on_with_it(
        self, kind: str, directory: Path, keys: Keys
    ) -> None:
        """Clicks that came while a batch was under way wait for its deadline, not for one of their own."""
        with own_store(kind, directory) as url:
            async with recording(url, keys, directory, deadline_seconds=DEADLINE_SECONDS) as recorder:
                with frozen(url):
                    first = asyncio.create_task(recorder.record(packed(a_click(1))))
                    await until(lambda: first.done() or not recorder._waiting)
                    began = time.monotonic()
                    await record(recorder, 2, 3)
                    took = time.monotonic() - began
                    await first
                await until_replayed(recorder)
            with asked(url) as admin:
                assert stored(admin, keys) == Counter(click_ids(range(1, 4)))

        assert took < 2 * DEADLINE_SECONDS + SLACK_SECONDS

    async def test_a_killed_store_loses_nothing(self, kind: str, directory: Path, keys: Keys) -> None:
        """Killed under load and started again over its data: every click is in the stream once."""
        before = all_lost()
        sent = 0
        with own_store(kind, directory, "--appendfsync", "always") as url:
            async with recording(url, keys, directory) as recorder:
                for _ in range(5):
                    await record(recorder, *range(sent, sent + 20))
                    sent += 20
                under_way = asyncio.create_task(record(recorder, *range(sent, sent + 20)))
                sent += 20
                await asyncio.sleep(0)
                kill(url)
                await under_way
                await record(recorder, *range(sent, sent + 20))
                sent += 20
                with own_store(kind, directory):
                    await until_replayed(recorder)
                    await record(recorder, *range(sent, sent + 20))
                    sent += 20
                    with asked(url) as admin:
                        assert stored(admin, keys) == Counter(click_ids(range(sent)))

        assert all_lost() == before

    @pytest.mark.parametrize(
        ("setting", "trouble", "usual"),
        [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0"), ("replicaof", "127.0.0.1 1", "no one")],
        ids=["out of memory", "too few replicas", "read-only"],
    )
    async def test_a_store_that_refuses_writes_is_waited_out(  # noqa: PLR0917 - three of them say what is wrong
        self, kind: str, directory: Path, keys: Keys, setting: str, trouble: str, usual: str
    ) -> None:
        """Clicks go to the disk until it takes them again; then all of them are there once."""
        before = all_lost()

        def put(value: str) -> None:
            with asked(url) as admin:
                if setting == "replicaof":
                    admin.replicaof(*value.split())
                else:
                    admin.config_set(setting, value)

        with own_store(kind, directory) as url:
            async with recording(url, keys, directory) as recorder:
                await record(recorder, 0)
                put(trouble)
                for number in range(1, 10):
                    await record(recorder, number)
                put(usual)
                await until_replayed(recorder)
                await record(recorder, 10)
            with asked(url) as admin:
                assert stored(admin, keys) == Counter(click_ids(range(11)))

        assert all_lost() == before

    async def test_a_store_that_asks_for_a_password_is_waited_out(self, kind: str, directory: Path, keys: Keys) -> None:
        """A password that somebody set keeps clicks on the disk until it is taken back."""
        with own_store(kind, directory) as url, asked(url) as admin:
            async with recording(url, keys, directory) as recorder:
                admin.config_set("requirepass", "geheim")
                admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                for number in range(5):
                    await record(recorder, number)
                admin.config_set("requirepass", "")
                await until_replayed(recorder)
            assert stored(admin, keys) == Counter(click_ids(range(5)))
