"""A Valkey of one's own: its data lasts, and it lives and dies with its owner."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from redirector.errors import DataDirectoryInUse, InvalidSetting, StoreUnavailable
from redirector.store.connection import connected
from redirector.store.embedded import (
    MAX_SOCKET_PATH_BYTES,
    EmbeddedStore,
    ownership,
    socket_path,
    sync_append_only_files,
)
from redirector.store.suitability import findings
from tests.processes import command_line, descendants, is_gone
from tests.store.stores import until

# Owns a store over the directory, says its process id, and waits to be killed.
OWNER = """
import asyncio, sys
from pathlib import Path
from redirector.store.embedded import EmbeddedStore, ownership

async def own(directory):
    with ownership(directory) as lock:
        store = EmbeddedStore(directory, lock)
        await store.start()
        print(store.pid, flush=True)
        await store.ended()

asyncio.run(own(Path(sys.argv[1])))
"""


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[tuple[EmbeddedStore, Redis]]:
    """A store over the directory, and a client of it."""
    with ownership(directory) as lock:
        store = EmbeddedStore(directory, lock)
        await store.start()
        try:
            async with connected(store.url) as client:
                yield store, client
        finally:
            await store.stop()


class TestOwnership:
    def test_the_directory_is_made_for_its_owner_alone(self, directory: Path) -> None:
        """A data directory that is not there yet is made, parents too, for nobody else to read."""
        with ownership(directory / "a" / "b"):
            mode = (directory / "a" / "b").stat().st_mode

        assert mode & 0o777 == 0o700

    def test_a_second_owner_is_refused(self, directory: Path) -> None:
        """The refusal names the process that owns the directory, the directory and the remedy."""
        with (
            ownership(directory),
            pytest.raises(DataDirectoryInUse, match=f"in use by process {os.getpid()}") as refused,
            ownership(directory, wait_seconds=0),
        ):
            pass

        assert (refused.value.field, refused.value.part) == ("--data-dir", str(directory))

    def test_afterwards_it_is_free(self, directory: Path) -> None:
        """Who leaves the directory leaves it to the next, who has it at once."""
        with ownership(directory):
            pass
        with ownership(directory, wait_seconds=0) as lock:
            assert lock > 0

    def test_the_next_owner_waits_for_the_last_one(self, directory: Path) -> None:
        """An owner that is about to end, as after a kill, is waited for."""
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        leaving = threading.Timer(0.2, os.close, [descriptor])
        leaving.start()
        with ownership(directory, wait_seconds=20) as lock:
            leaving.join()
            assert lock > 0

    def test_what_is_no_directory_is_refused(self, directory: Path) -> None:
        """A file in the directory's place is a wrong setting, not a traceback."""
        (directory / "file").write_text("")
        with pytest.raises(InvalidSetting) as refused, ownership(directory / "file"):
            pass

        assert (refused.value.field, refused.value.part) == ("--data-dir", str(directory / "file"))


class TestSocketPath:
    def test_a_long_path_is_refused(self, directory: Path) -> None:
        """A socket's path has an end; the refusal says which directory is too deep."""
        deep = directory / ("x" * (MAX_SOCKET_PATH_BYTES - len(os.fsencode(directory)) - len("//valkey.sock") + 1))
        with pytest.raises(InvalidSetting) as refused:
            socket_path(deep)

        assert refused.value.part == str(deep)[:100]

    async def test_the_longest_path_works(self, directory: Path) -> None:
        """One byte less, and a store runs there."""
        deep = directory / ("x" * (MAX_SOCKET_PATH_BYTES - len(os.fsencode(directory)) - len("//valkey.sock")))
        async with running(deep) as (_, client):
            assert await client.ping()


class TestRunning:
    async def test_it_will_do(self, directory: Path) -> None:
        """The embedded store is one against which nothing speaks."""
        async with running(directory) as (store, client):
            assert store.url == f"unix://{directory}/valkey.sock"
            assert await findings(client) == []

    async def test_nobody_else_may_talk_to_it(self, directory: Path) -> None:
        """Its socket and its data are its user's alone, and it listens on no port."""
        async with running(directory) as (_, client):
            assert (directory / "valkey.sock").stat().st_mode & 0o777 == 0o700
            assert (directory / "valkey").stat().st_mode & 0o777 == 0o700
            assert (await client.config_get("port"))["port"] == "0"

    async def test_its_data_lasts(self, directory: Path) -> None:
        """What was written is there after the store was stopped and started."""
        async with running(directory) as (_, client):
            await client.set("a", "1")
        async with running(directory) as (_, client):
            assert await client.get("a") == b"1"

    async def test_its_data_lasts_over_a_kill(self, directory: Path) -> None:
        """What was acknowledged is there after a SIGKILL of the store, and the same owner can start it again."""
        with ownership(directory) as lock:
            store = EmbeddedStore(directory, lock)
            await store.start()
            async with connected(store.url) as client:
                for number in range(200):
                    await client.rpush("a", number)
            os.kill(store.pid, signal.SIGKILL)
            assert await store.ended() == -signal.SIGKILL
            await store.start()
            async with connected(store.url) as client:
                assert await client.llen("a") == 200
            await store.stop()

    async def test_an_unfinished_rewriting_leaves_nothing(self, directory: Path) -> None:
        """What a rewriting had written when everything was killed is deleted at the next start."""
        (directory / "valkey").mkdir()
        (directory / "valkey" / "temp-rewriteaof-bg-7.aof").write_bytes(b"yesterday's salt")
        async with running(directory) as (_, client):
            assert await client.ping()

        assert not (directory / "valkey" / "temp-rewriteaof-bg-7.aof").exists()

    async def test_a_torn_end_is_cut_off(self, directory: Path) -> None:
        """After a power cut the last command may be half written: the rest is there."""
        async with running(directory) as (_, client):
            await client.set("a", "1")
        (log,) = (directory / "valkey" / "appendonlydir").glob("*.incr.aof")
        with log.open("ab") as file:
            file.write(b"*3\r\n$3\r\nSET\r\n$1\r\nb")
        async with running(directory) as (_, client):
            assert await client.get("a") == b"1"

    async def test_with_always_each_write_is_on_disk(self, directory: Path) -> None:
        """`always` is Valkey's own: it syncs before it answers."""
        with ownership(directory) as lock:
            store = EmbeddedStore(directory, lock, appendfsync="always")
            await store.start()
            async with connected(store.url) as client:
                assert (await client.config_get("appendfsync"))["appendfsync"] == "always"
            await store.stop()

    async def test_stopping_is_complete_and_can_be_repeated(self, directory: Path) -> None:
        """After `stop` there is no process and no socket; stopping again, or what never ran, does nothing."""
        with ownership(directory) as lock:
            store = EmbeddedStore(directory, lock)
            await store.stop()
            assert store.pid == 0
            await store.start()
            pid = store.pid
            await store.stop()
            await store.stop()

        assert is_gone(pid)
        assert store.pid == 0
        assert not (directory / "valkey.sock").exists()

    async def test_stopping_what_was_killed(self, directory: Path) -> None:
        """A store that is dead already is stopped."""
        with ownership(directory) as lock:
            store = EmbeddedStore(directory, lock)
            await store.start()
            os.kill(store.pid, signal.SIGKILL)
            await store.ended()
            await store.stop()

        assert store.pid == 0

    async def test_spoiled_data_is_said(self, directory: Path) -> None:
        """A store that cannot read its data says so at once, and where its own words are; it does not run then."""
        async with running(directory) as (_, client):
            await client.set("a", "1")
        (log,) = (directory / "valkey" / "appendonlydir").glob("*.incr.aof")
        log.write_bytes(b"this is no append-only file\r\n" + log.read_bytes())
        with ownership(directory) as lock:
            store = EmbeddedStore(directory, lock)
            with pytest.raises(StoreUnavailable) as raised:
                await store.start()

        assert str(directory / "valkey.log") in raised.value.remedy
        assert "Bad file format" in (directory / "valkey.log").read_text()
        assert store.pid == 0

    async def test_a_store_that_says_nothing_does_not_go_on_running(self, directory: Path) -> None:
        """One that was given up is ended, so that the next attempt is the only one over these files."""
        with ownership(directory) as lock:
            store = EmbeddedStore(directory, lock)
            with pytest.raises(StoreUnavailable, match="says nothing"):
                await store.start(within_seconds=0)
            still_running = [line for line in descendants(os.getpid()).values() if str(directory) in line]

        assert still_running == []

    async def test_what_the_disk_refuses_is_told(self, directory: Path) -> None:
        """An error of the disk comes out as the store's, with the remedy; the next attempt may succeed."""
        in_the_way = directory / "valkey.sock"
        (in_the_way / "file").mkdir(parents=True)
        with ownership(directory) as lock:
            store = EmbeddedStore(directory, lock)
            with pytest.raises(StoreUnavailable, match=r"cannot be started: .*valkey\.sock") as raised:
                await store.start()
            (in_the_way / "file").rmdir()
            in_the_way.rmdir()
            await store.start()
            await store.stop()

        assert "see to the disk" in raised.value.remedy

    async def test_much_data_is_waited_for(self, directory: Path) -> None:
        """A store that is still reading its data is not given up, however long that takes."""
        folder = directory / "valkey" / "appendonlydir"
        folder.mkdir(parents=True)
        (folder / "appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
        with (folder / "appendonly.aof.1.incr.aof").open("wb") as file:
            for _ in range(40):
                file.write(b"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n" * 100_000)
        with ownership(directory) as lock:
            store = EmbeddedStore(directory, lock)
            await store.start(within_seconds=1)
            async with connected(store.url) as client:
                assert await client.get("a") == b"4000000"
            await store.stop()


class TestOwner:
    def test_the_store_dies_with_its_owner(self, directory: Path) -> None:
        """A SIGKILL of the owner ends the store too, and the directory is free for the next owner."""
        owner = subprocess.Popen([sys.executable, "-c", OWNER, str(directory)], stdout=subprocess.PIPE, text=True)
        assert owner.stdout
        store = int(owner.stdout.readline())
        assert "valkey" in command_line(store)
        owner.kill()
        owner.communicate()
        with ownership(directory, wait_seconds=20):
            assert is_gone(store)

    async def test_the_directory_is_taken_until_the_store_is_gone(self, directory: Path) -> None:
        """The store holds its owner's lock: while it runs, nobody else can begin over the same files."""
        with ownership(directory) as lock:
            store = EmbeddedStore(directory, lock)
            await store.start()
        with pytest.raises(DataDirectoryInUse), ownership(directory, wait_seconds=0):
            pass
        await store.stop()
        with ownership(directory, wait_seconds=0) as lock:
            assert lock > 0


class TestSyncing:
    @staticmethod
    def files(directory: Path) -> tuple[Path, Path]:
        """Two append-only files, of which the second cannot be synced: syncing it is an error, and so can be seen."""
        folder = directory / "appendonlydir"
        folder.mkdir()
        good, unsyncable = folder / "appendonly.aof.1.incr.aof", folder / "appendonly.aof.2.incr.aof"
        good.write_bytes(b"")
        unsyncable.symlink_to("/dev/null")
        return good, unsyncable

    def test_the_newest_file_is_synced(self, directory: Path) -> None:
        """The file that is being written goes to the disk, and an error of the disk is not hidden."""
        good, _ = self.files(directory)
        os.utime(good, (0, 0))

        with pytest.raises(OSError, match="Invalid argument"):
            sync_append_only_files(directory)

    def test_older_files_are_left_alone(self, directory: Path) -> None:
        """A file that is no longer written was synced when it was closed."""
        good, unsyncable = self.files(directory)
        os.utime(good, (2**32, 2**32))

        sync_append_only_files(directory)
        assert unsyncable.stat().st_mtime < good.stat().st_mtime

    def test_a_file_that_vanishes_is_passed_over(self, directory: Path) -> None:
        """The store may remove an old file between the look and the sync."""
        good, unsyncable = self.files(directory)
        os.utime(good, (0, 0))
        unsyncable.unlink()
        unsyncable.symlink_to(directory / "gone")

        sync_append_only_files(directory)
        assert good.exists()

    def test_before_the_first_write_there_is_nothing_to_sync(self, directory: Path) -> None:
        """A directory without append-only files is no error."""
        sync_append_only_files(directory)
        assert list(directory.iterdir()) == []

    async def test_what_could_not_be_synced_is_written_anew(
        self, directory: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """After an error of the disk the store writes its file anew, and that one is synced; nothing ends."""
        async with running(directory) as (store, client):
            await client.set("a", "1")
            folder = directory / "valkey" / "appendonlydir"
            (folder / "appendonly.aof.9.incr.aof").symlink_to("/dev/null")  # cannot be synced
            os.utime(folder / "appendonly.aof.1.incr.aof", (0, 0))
            syncing = asyncio.create_task(store.keep_synced(every_seconds=0.01))
            await until((folder / "appendonly.aof.2.base.rdb").exists)
            said = len(caplog.records)
            await asyncio.sleep(0.1)
            ended = syncing.done()
            syncing.cancel()

        assert not ended
        assert "Invalid argument" in caplog.text
        assert len(caplog.records) == said

    async def test_a_disk_that_goes_on_failing_is_tried_again_and_again(
        self, directory: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Also while the store is away and cannot write its file anew."""
        (directory / "valkey").mkdir()
        good, _ = self.files(directory / "valkey")
        os.utime(good, (0, 0))
        syncing = asyncio.create_task(EmbeddedStore(directory, 0).keep_synced(every_seconds=0))
        await until(lambda: len(caplog.records) > 2)
        ended = syncing.done()
        syncing.cancel()

        assert not ended
        assert "Invalid argument" in caplog.records[0].message
        assert "the store does not answer" in caplog.records[2].message

    async def test_with_always_the_store_does_it(self, directory: Path) -> None:
        """With `always` nothing is left to sync."""
        (directory / "valkey").mkdir()
        good, _ = self.files(directory / "valkey")
        os.utime(good, (0, 0))
        store = EmbeddedStore(directory, 0, appendfsync="always")

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.keep_synced(every_seconds=0), 0.05)
