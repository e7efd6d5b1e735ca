"""The local file of every link, campaign and opt-out: what a redirect process knows when it starts without the store.

It is a copy. Its newest rows may be lost, but never without the cursor that says how far it followed the store; a
spoiled file is put aside, and one that cannot be written is no reason to keep a reader waiting.
"""

import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Final, TypeVar
from urllib.parse import quote
from zlib import crc32

from redirector.store.records import made_after

FORMAT: Final = 2

MAX_NUMBER: Final = 2**63 - 1  # what a column of SQLite holds

# Rows of links come with a checksum of their number and record: one flipped bit could lead readers to another host.
_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS links (number INTEGER PRIMARY KEY, record BLOB NOT NULL, seal INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS campaigns (name TEXT PRIMARY KEY, record BLOB NOT NULL, seal INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS following (only INTEGER PRIMARY KEY CHECK (only = 1), cursor TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS opted_out (number INTEGER PRIMARY KEY, record BLOB NOT NULL, seal INTEGER NOT NULL);
PRAGMA user_version = {FORMAT};
COMMIT;
"""

_LINK: Final = "SELECT record, seal FROM links WHERE number = ?"
_CAMPAIGN: Final = "SELECT record, seal FROM campaigns WHERE name = ?"
_CURSOR: Final = "SELECT cursor FROM following"
_HAS_OPTED_OUT: Final = "SELECT 1 FROM sqlite_master WHERE name = 'opted_out'"
_WHO_OPTED_OUT: Final = "SELECT number, record, seal FROM opted_out"
_LAST_LINKS_FIRST: Final = "SELECT number, record, seal FROM links ORDER BY number DESC"

# A row that stays as it was costs no write: after a gap, most of a million do.
_KEEP_CAMPAIGN: Final = """INSERT INTO campaigns VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET record = excluded.record, seal = excluded.seal
WHERE (record IS NOT excluded.record OR seal IS NOT excluded.seal)"""
_KEEP_OPTED_OUT: Final = _KEEP_CAMPAIGN.replace("campaigns", "opted_out")
# A store that forgot a number has given it out anew: the first link is in mails already sent.
_KEEP_LINK: Final = (
    _KEEP_CAMPAIGN.replace("campaigns", "links") + " AND NOT is_younger(number, record, excluded.record)"
)
_FORGET_CURSOR: Final = "DELETE FROM following"
_KEEP_CURSOR: Final = "INSERT OR REPLACE INTO following VALUES (1, ?)"

# What the disk or a neighbour is to blame for, and not the file.
_PASSING: Final = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
}

Key = TypeVar("Key", int, str)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Records:
    """Links by number and campaigns by name, as the store keeps them: not parsed. `opted_out` has whole parts of it."""

    links: dict[int, bytes] = field(default_factory=dict)
    campaigns: dict[str, bytes] = field(default_factory=dict)
    opted_out: dict[int, bytes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.links or self.campaigns or self.opted_out)

    def __or__(self, newer: "Records") -> "Records":
        return Records(self.links | newer.links, self.campaigns | newer.campaigns, self.opted_out | newer.opted_out)


class CatalogFile:
    """One process's file. Reads are for the event loop, some microseconds each; `open` and `write` are for a thread.

    No method raises what SQLite or the disk raise: a read finds nothing, a write says that it did not succeed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._in_use = RLock()
        self._younger: list[int] = []  # links of the write under way that were made after those of their numbers here
        self.spoiled = False

    @property
    def writable(self) -> bool:
        """Whether there is a file to write to."""
        return self._writer is not None

    def open(self) -> None:
        """Opens the file, a new one if need be. A file that cannot be written is read as far as it goes."""
        with self._in_use:
            self.close()
            try:
                if self.spoiled or not self._is_opened():
                    self._put_aside()
                    self._is_opened()
            except (sqlite3.Error, OSError) as error:
                log.warning("links are kept in memory only: %s cannot be written: %s", self._path, error)
                self.close()
                self._open_for_reading()

    def close(self) -> None:
        """Closes the file, once what a thread does with it has ended."""
        with self._in_use:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    with suppress(sqlite3.Error):
                        connection.close()
            self._reader = self._writer = None

    def link(self, number: int) -> bytes | None:
        """The record of this link, if it is there and whole."""
        return self._record(_LINK, number) if number <= MAX_NUMBER else None

    def campaign(self, name: str) -> bytes | None:
        """The record of this campaign, if it is there and whole."""
        return self._record(_CAMPAIGN, name)

    def opted_out(self) -> Iterator[tuple[int, bytes]]:
        """Every part of who opted out that is there and whole, with its number."""
        if self._row(_HAS_OPTED_OUT):  # a file of format 1 that cannot be written has none
            yield from self._whole_rows(_WHO_OPTED_OUT, "part {} of who opted out is not what was written")

    def last_number(self) -> int:
        """The highest number of a link that is there and whole; 0 when there is none."""
        rows = self._whole_rows(_LAST_LINKS_FIRST, "the record of {} is not what was written")
        return next((number for number, _ in rows), 0)

    def _whole_rows(self, question: str, complaint: str) -> Iterator[tuple[int, bytes]]:
        if self._reader is None:
            return
        try:
            for number, record, seal in self._reader.execute(question):
                if isinstance(record, bytes) and seal == _seal(number, record):
                    yield number, record
                else:
                    self._found_spoiled(complaint.format(number))
        except sqlite3.Error as error:
            if _is_spoiled(error, reading=True):
                self._found_spoiled(str(error))

    def cursor(self) -> str:
        """The change that the file followed the store up to; empty before everything was copied once."""
        row = self._row(_CURSOR)
        return str(row[0]) if row else ""

    def write(self, records: Records, cursor: str | None) -> bool:
        """Keeps the records and, unless it is None, the cursor, all or nothing; answers whether it did."""
        with self._in_use:
            if self._writer is None:
                return False
            self._younger.clear()
            try:
                with _transaction(self._writer) as connection:
                    connection.executemany(_KEEP_LINK, _sealed(records.links))
                    connection.executemany(_KEEP_CAMPAIGN, _sealed(records.campaigns))
                    connection.executemany(_KEEP_OPTED_OUT, _sealed(records.opted_out))
                    if cursor is not None:
                        connection.execute(_KEEP_CURSOR, (cursor,))
            except sqlite3.Error as error:
                self.spoiled = self.spoiled or _is_spoiled(error, reading=False)
                log.warning("links are kept in memory only: %s cannot be written: %s", self._path, error)
                return False
            if self._younger:
                log.error(
                    "the store gave %d numbers out twice, such as %d: the links that had them first are answered",
                    len(self._younger),
                    self._younger[0],
                )
            return True

    def _is_younger(self, number: int, known: object, new: object) -> bool:
        """For SQLite, which calls it where a link in the file would be replaced by another record."""
        younger = made_after(new, known)
        if younger:
            self._younger.append(number)
        return younger

    def _record(self, question: str, key: int | str) -> bytes | None:
        row = self._row(question, key)
        if row is None:
            return None
        record, seal = row
        if isinstance(record, bytes) and seal == _seal(key, record):
            return record
        self._found_spoiled(f"the record of {key!r} is not what was written")
        return None

    def _row(self, question: str, *keys: int | str) -> tuple[object, ...] | None:
        if self._reader is None:
            return None
        try:
            row: tuple[object, ...] | None = self._reader.execute(question, keys).fetchone()
        except sqlite3.Error as error:
            if _is_spoiled(error, reading=True):
                self._found_spoiled(str(error))
            return None
        return row

    def _found_spoiled(self, how: str) -> None:
        if not self.spoiled:
            log.warning("%s is spoiled, and will be replaced when the store answers: %s", self._path, how)
        self.spoiled = True

    def _is_opened(self) -> bool:
        """Opens it for reading and writing; answers False if what lies there is no such file."""
        try:
            _make_private(self._path)
            self._writer = _connection(self._path, wait_seconds=1)
            self._writer.create_function("is_younger", 3, self._is_younger)
            self._prepare(self._writer)
            self._reader = _connection(self._path)
            self._reader.execute(_CURSOR).fetchone()
        except IsADirectoryError:
            return False
        except sqlite3.Error as error:
            if not _is_spoiled(error, reading=False):
                raise
            self.close()
            return False
        return True

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the newest rows, but not the file
        connection.execute("PRAGMA journal_size_limit = 16777216")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not (version or tables):
            connection.executescript(_SCHEMA)
        elif version == 1:  # its links are kept, but it passed over who opted out: it must be filled again
            connection.execute(_FORGET_CURSOR)
            connection.executescript(_SCHEMA)
        elif version != FORMAT:
            raise sqlite3.DatabaseError(f"its format is {version}, not {FORMAT}")

    def _put_aside(self) -> None:
        self.close()
        aside = self._path.with_name(self._path.name + ".spoiled")
        self._path.replace(aside)
        # What a new file finds beside it, it would take for its own.
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self.spoiled = False
        log.warning("%s was spoiled: it was put aside as %s, and is filled anew", self._path, aside.name)

    def _open_for_reading(self) -> None:
        """On a disk that is full or read-only not even a read may lock the file."""
        with suppress(sqlite3.Error):
            self._reader = _connection(self._path, how="?mode=ro&immutable=1")
            self._reader.execute(_CURSOR).fetchone()
            return
        self.close()


def _connection(path: Path, *, how: str = "", wait_seconds: float = 0) -> sqlite3.Connection:
    # The thread that writes is not always the same one; only one at a time uses a connection.
    name = f"file:{quote(str(path))}{how}"
    return sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False, timeout=wait_seconds)


def _make_private(path: Path) -> None:
    """The file and the directories that it needs are for their owner alone."""
    for directory in reversed(path.parents):
        if not directory.exists():
            directory.mkdir(mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:  # whatever ends the block, nothing half done stays
        with suppress(sqlite3.Error):  # some errors have rolled it back already
            connection.execute("ROLLBACK")
        raise


def _seal(key: int | str, record: bytes) -> int:
    return crc32(record, key & 0xFFFFFFFF if isinstance(key, int) else crc32(key.encode()))


def _sealed(records: Mapping[Key, bytes]) -> Iterable[tuple[Key, bytes, int]]:
    return ((key, record, _seal(key, record)) for key, record in records.items())


def _is_spoiled(error: sqlite3.Error, *, reading: bool) -> bool:
    """Whether the file itself is to blame. What cannot be read is of no use; what cannot be written may be whole."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    return reading if code == sqlite3.SQLITE_IOERR else code not in _PASSING
