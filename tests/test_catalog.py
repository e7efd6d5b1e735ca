"""The file of links: what was written is read, what was spoiled is not, and a disk that fails is no catastrophe."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from redirector.catalog import CatalogFile, Records

LINK = b'{"destination":"https://www.example.com/"}'
CAMPAIGN = b'{"tracking":"aggregate"}'
PARTS = {0: b"", 5: b"12345678"}
RECORDS = Records({7: LINK, 2**53: b"{}"}, {"news": CAMPAIGN, "über": b"{}"}, PARTS)


@pytest.fixture
def path(directory: Path) -> Path:
    """Where the file lies, in a directory that is not there yet."""
    return directory / "data" / "redirect-0" / "links.sqlite"


@pytest.fixture
def file(path: Path) -> Iterator[CatalogFile]:
    """The file with some records in it, open."""
    with closing(CatalogFile(path)) as opened:
        opened.open()
        assert opened.write(RECORDS, "5-0")
        yield opened


def read(path: Path) -> tuple[bytes | None, bytes | None, str]:
    """What a process that starts now finds of link 7, of its campaign, and the cursor."""
    with closing(CatalogFile(path)) as file:
        file.open()
        return file.link(7), file.campaign("news"), file.cursor()


class TestKeeping:
    def test_what_was_written_is_read(self, file: CatalogFile, path: Path) -> None:
        """At once by the one that wrote, and by whoever opens the file later."""
        now = (file.link(7), file.campaign("news"), file.cursor())
        file.close()

        assert now == read(path) == (LINK, CAMPAIGN, "5-0")

    @pytest.mark.usefixtures("file")
    def test_it_is_there_without_a_goodbye(self, path: Path, directory: Path) -> None:
        """A process that is killed leaves behind what it wrote."""
        shutil.copytree(path.parent, directory / "left")

        assert read(directory / "left" / path.name) == (LINK, CAMPAIGN, "5-0")

    def test_newer_takes_the_place_of_older(self, file: CatalogFile) -> None:
        """A record is written over, others and the cursor stay."""
        assert file.write(Records({7: b"new"}, {"news": b"newer"}), None)

        assert (file.link(7), file.campaign("news"), file.cursor()) == (b"new", b"newer", "5-0")
        assert file.campaign("über") == b"{}"

    @pytest.mark.parametrize(
        ("known", "new", "kept"),
        [
            pytest.param(b'{"created_at":5}', b'{"created_at":5,"disabled":true}', False, id="the same link, changed"),
            pytest.param(b'{"created_at":5}', b'{"created_at":6}', True, id="a younger one"),
            pytest.param(b'{"created_at":6}', b'{"created_at":5}', False, id="an older one"),
            pytest.param(b"{", b'{"created_at":5}', False, id="unreadable before"),
            pytest.param(b'{"created_at":5}', b'{"created_at":"6"}', False, id="unreadable now"),
            pytest.param(b'{"created_at":5}', b"\xff" * 10, False, id="no text"),
        ],
    )
    def test_the_first_link_of_a_number_stays(self, file: CatalogFile, known: bytes, new: bytes, kept: bool) -> None:
        """A store that gives a number out anew does not lead readers of old mails astray; what cannot be read loses."""
        assert file.write(Records({9: known}), None)
        assert file.write(Records({9: new}), None)

        assert file.link(9) == (known if kept else new)

    def test_the_last_number_is_that_of_a_whole_link(self, file: CatalogFile, path: Path) -> None:
        """A flipped bit in a number does not use up all numbers."""
        before = file.last_number()
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE links SET number = 9223372036854775807 WHERE number > 7")

        assert (before, file.last_number()) == (2**53, 7)
        assert file.spoiled

    def test_who_opted_out_is_read_part_by_part(self, file: CatalogFile) -> None:
        """A part is written over by a newer one; others stay."""
        before = dict(file.opted_out())
        assert file.write(Records(opted_out={5: b"", 6: b"87654321"}), None)

        assert before == PARTS
        assert dict(file.opted_out()) == {0: b"", 5: b"", 6: b"87654321"}

    @pytest.mark.parametrize("number", [8, 0, -1, 2**53 + 1, 2**63, 2**100])
    def test_what_is_not_there_is_none(self, file: CatalogFile, number: int) -> None:
        """Also for numbers that no column can hold."""
        assert file.link(number) is None
        assert file.campaign("old") is None

    @pytest.mark.usefixtures("file")
    def test_it_is_private(self, path: Path) -> None:
        """Destinations may be confidential: the files and directories are their owner's alone."""
        files = sorted(path.parent.iterdir())

        assert [each.name for each in files] == ["links.sqlite", "links.sqlite-shm", "links.sqlite-wal"]
        assert {oct(each.stat().st_mode) for each in files} == {"0o100600"}
        assert {oct(each.stat().st_mode) for each in (path.parent, path.parent.parent)} == {"0o40700"}

    def test_a_file_that_is_not_open_answers_nothing(self, path: Path) -> None:
        """Neither before it was opened nor after it was closed; closing twice does no harm."""
        file = CatalogFile(path)
        file.close()

        assert (file.link(7), file.campaign("news"), file.cursor(), file.last_number()) == (None, None, "", 0)
        assert not file.write(RECORDS, "6-0")


def not_a_database(path: Path) -> None:
    """Text, where a database was."""
    path.write_bytes(b"links!\n" * 1_000)


def random_bytes_inside(path: Path) -> None:
    """All but the file's first words are noise."""
    content = bytearray(path.read_bytes())
    content[100:] = bytes((each * 7 + 13) % 256 for each in range(len(content) - 100))
    path.write_bytes(content)


def cut_in_half(path: Path) -> None:
    """Its second half is lost."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def another_format(path: Path) -> None:
    """A later version of the program wrote it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def somebody_elses(path: Path) -> None:
    """Another program's database."""
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


def a_directory(path: Path) -> None:
    """Something that is no file at all."""
    path.unlink()
    path.mkdir()
    (path / "keepsake").touch()


class TestSpoiled:
    @pytest.mark.parametrize(
        "spoil", [not_a_database, random_bytes_inside, cut_in_half, another_format, somebody_elses, a_directory]
    )
    def test_it_is_put_aside(
        self, file: CatalogFile, path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
    ) -> None:
        """What cannot be read at the start is kept under another name, a new file begun, and the operator told."""
        file.close()
        spoil(path)
        with closing(CatalogFile(path)) as begun:
            begun.open()
            before = (begun.link(7), begun.cursor())
            written = begun.write(RECORDS, "6-0")

        assert (before, written) == ((None, ""), True)
        assert read(path) == (LINK, CAMPAIGN, "6-0")
        assert path.with_name("links.sqlite.spoiled").exists()
        assert "put aside as links.sqlite.spoiled" in caplog.text

    def test_only_one_is_put_aside(self, file: CatalogFile, path: Path) -> None:
        """A file that is spoiled again and again does not fill the disk."""
        file.close()
        for _ in range(3):
            not_a_database(path)
            read(path)

        assert sorted(each.name for each in path.parent.iterdir()) == ["links.sqlite", "links.sqlite.spoiled"]

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param("record = CAST(replace(record, 'www', 'wwv') AS BLOB) WHERE number = 7", id="record"),
            pytest.param("record = 'text' WHERE number = 7", id="type"),
            pytest.param("seal = 1 WHERE number = 7", id="seal"),
            pytest.param("number = 8 - number WHERE number = 7", id="number"),
        ],
    )
    def test_a_flipped_bit_leads_nobody_astray(self, file: CatalogFile, path: Path, change: str) -> None:
        """A row that is not what was written is not answered, and the file is known to be spoiled."""
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"UPDATE links SET {change}")  # noqa: S608 - the cases above

        assert (file.link(7), file.link(1)) == (None, None)
        assert file.spoiled

    def test_it_is_replaced_when_it_is_opened_again(self, file: CatalogFile, path: Path) -> None:
        """Found out while it was in use, it is put aside at the next opening."""
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE links SET seal = 1")
        file.link(7)
        file.open()

        assert (file.link(7), file.cursor(), file.spoiled) == (None, "", False)

    def test_a_part_that_was_changed_is_not_answered(self, file: CatalogFile) -> None:
        """Who opted out is no less sealed than a link."""
        with closing(sqlite3.connect(file._path, isolation_level=None)) as connection:
            connection.execute("UPDATE opted_out SET seal = 1 WHERE number = 5")

        assert dict(file.opted_out()) == {0: b""}
        assert file.spoiled

    def test_a_file_without_opt_outs_that_cannot_be_written_is_read(self, file: CatalogFile, path: Path) -> None:
        """One of the version before has no such table: on a disk that is read-only, that is no fault of the file."""
        file.close()
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("DROP TABLE opted_out")
        file._open_for_reading()

        assert (dict(file.opted_out()), file.link(7), file.spoiled) == ({}, LINK, False)

    def test_lost_tables_are_found_out(self, file: CatalogFile, path: Path) -> None:
        """Neither a read nor a write raises what SQLite raises."""
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("DROP TABLE links")

        assert file.link(7) is None
        assert not file.write(RECORDS, "6-0")
        assert file.spoiled

    def test_a_neighbour_who_locks_it_spoils_nothing(self, file: CatalogFile, path: Path) -> None:
        """A backup that holds the file makes a write fail, and no more than that."""
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")

            assert not file.write(Records({7: b"new"}), "6-0")
            assert (file.link(7), file.cursor(), file.spoiled) == (LINK, "5-0", False)


FULL_DISK = """
import resource, sys
from pathlib import Path
from redirector.catalog import CatalogFile, Records

def limited(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

path = Path(sys.argv[1])
file = CatalogFile(path)
file.open()
assert file.write(Records({7: b"old"}), "5-0")
limited(200_000)
numbers = iter(range(100, 10_000))
while file.write(Records({7: b"new", next(numbers): bytes(10_000)}), "6-0"):
    pass
print(file.link(7), file.cursor(), file.spoiled)
file.close()
limited(0)
file.open()
print(file.link(7), file.cursor(), file.spoiled, file.writable)
limited(resource.RLIM_INFINITY)
file.open()
print(file.write(Records({7: b"newer"}), "7-0"), file.link(7), file.cursor())
"""


class TestFailingDisk:
    def test_full(self, path: Path) -> None:
        """A write that finds no room changes nothing; what is there is read, also by a process that starts then."""
        done = subprocess.run(
            [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False, timeout=60
        )

        assert done.stdout.splitlines() == [
            "b'new' 6-0 False",
            "b'new' 6-0 False False",
            "True b'newer' 7-0",
        ], done.stderr
        assert "cannot be written" in done.stderr

    def test_no_place_for_a_file(self, path: Path, directory: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Where no directory can be made there is no file; the operator is told."""
        (directory / "data").touch()

        assert read(path) == (None, None, "")
        assert "links are kept in memory only" in caplog.text

    def test_no_place_to_put_it_aside(self, path: Path, file: CatalogFile, caplog: pytest.LogCaptureFixture) -> None:
        """A spoiled file that cannot be moved is not used."""
        file.close()
        not_a_database(path)
        path.with_name("links.sqlite.spoiled").mkdir()

        assert read(path) == (None, None, "")
        assert "links are kept in memory only" in caplog.text
