"""The spool: what it took is there after a crash, and what the disk spoiled costs only itself."""

import errno
import os
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from redirector.errors import SpoolFailed, SpoolFull
from redirector.frames import Frame, encoded
from redirector.spool import SEGMENT_BYTES, Spool

DAY = 24 * 3600


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Kept:
    """A directory with a spool in it, opened as often as a test likes; what it lost is counted."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lost: Counter[str] = Counter()
        self.clock = Clock()

    def open(self, max_bytes: int = 100 * 1024 * 1024) -> Spool:
        spool = Spool(
            self.directory,
            max_bytes=max_bytes,
            max_age_seconds=7 * DAY,
            lost=lambda clicks, reason: self.lost.update({reason: clicks}),
            clock=self.clock,
            wall_clock=self.clock,
        )
        spool.open()
        return spool

    def with_frames(self, *numbers: int) -> Spool:
        """A spool that took frames of these numbers."""
        spool = self.open()
        for number in numbers:
            spool.append(a_frame(number))
        return spool

    def segments(self) -> list[Path]:
        return sorted(self.directory.glob("*.frames"))


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """No spool yet."""
    return Kept(tmp_path / "spool")


def a_frame(number: int, click_bytes: int = 10) -> Frame:
    """A frame of two clicks."""
    return Frame("p-1", number, [b"%d" % number * click_bytes, b"second"])


def numbers_in(spool: Spool) -> list[int]:
    """The numbers of all frames that wait, oldest first; they are sent."""
    numbers = []
    while frames := spool.read():
        for position, frame in frames:
            numbers.append(frame.number)
            spool.sent(position, frame)
    return numbers


class TestTakingAndSending:
    def test_what_was_appended_is_read_in_order(self, kept: Kept) -> None:
        """Frames come out as they went in; sent, they are gone from the disk."""
        spool = kept.with_frames(1, 2, 3)
        frames = spool.read()
        assert ([frame for _, frame in frames], spool.clicks) == ([a_frame(1), a_frame(2), a_frame(3)], 6)

        assert numbers_in(spool) == [1, 2, 3]
        assert (spool.clicks, spool.read(), kept.segments()) == (0, [], [])

    def test_what_was_not_sent_is_read_again(self, kept: Kept) -> None:
        """Reading changes nothing; only `sent` does."""
        spool = kept.with_frames(1, 2, 3)
        (position, frame), *_ = spool.read()
        spool.sent(position, frame)

        assert [frame.number for _, frame in spool.read()] == [2, 3]
        assert spool.clicks == 4

    def test_frames_come_while_others_are_sent(self, kept: Kept) -> None:
        """What is appended between reading and sending is read next."""
        spool = kept.with_frames(1)
        ((position, frame),) = spool.read()
        spool.append(a_frame(2))
        spool.sent(position, frame)

        assert numbers_in(spool) == [2]
        spool.append(a_frame(3))
        assert numbers_in(spool) == [3]

    def test_long_spools_have_several_segments(self, kept: Kept) -> None:
        """Each is removed when all of it was sent."""
        spool = kept.open()
        for number in range(5):
            spool.append(Frame("p-1", number, [bytes(SEGMENT_BYTES // 2 - 1000)]))
        assert len(kept.segments()) == 3
        sizes = []
        while frames := spool.read():
            sizes.append(len(frames))
            for position, frame in frames:
                spool.sent(position, frame)

        assert (sizes, kept.segments()) == ([2, 2, 1], [])

    def test_only_its_owner_may_read_it(self, kept: Kept) -> None:
        """Clicks on the disk are nobody else's."""
        kept.with_frames(1)

        assert {path.stat().st_mode & 0o077 for path in (kept.directory, *kept.directory.iterdir())} == {0}


class TestRestart:
    def test_what_waits_outlives_the_process(self, kept: Kept) -> None:
        """Opened again without having been closed, everything is there, and new frames go behind it."""
        kept.with_frames(1, 2)
        spool = kept.open()
        assert spool.clicks == 4
        spool.append(a_frame(3))

        assert numbers_in(spool) == [1, 2, 3]

    def test_what_was_sent_before_an_orderly_end_is_not_sent_again(self, kept: Kept) -> None:
        """`close` writes down how far it was."""
        spool = kept.with_frames(1, 2, 3)
        spool.sent(*spool.read()[0])
        spool.close()
        spool = kept.open()

        assert spool.clicks == 4
        assert numbers_in(spool) == [2, 3]

    def test_after_a_crash_frames_may_be_sent_again(self, kept: Kept) -> None:
        """Never less than once: the store takes them once."""
        spool = kept.with_frames(1, 2, 3)
        spool.sent(*spool.read()[0])

        assert numbers_in(kept.open()) == [1, 2, 3]

    def test_nothing_of_an_earlier_run_is_appended_to(self, kept: Kept) -> None:
        """Nobody knows what of an old segment is on the disk: new frames begin a new one."""
        kept.with_frames(1)
        kept.open().append(a_frame(2))

        assert len(kept.segments()) == 2

    def test_a_segment_that_was_sent_and_not_removed_is_removed(self, kept: Kept) -> None:
        """A crash between the durable cursor and the removal."""
        spool = kept.with_frames(1)
        (path,) = kept.segments()
        data = path.read_bytes()
        assert numbers_in(spool) == [1]
        path.write_bytes(data)

        assert numbers_in(kept.open()) == []
        assert kept.segments() == []

    @pytest.mark.parametrize("cursor", [b"", b"rubbish", b"000000000099 000000000000 00000000\n", b"\xff" * 40])
    def test_a_spoiled_cursor_costs_nothing(self, kept: Kept, cursor: bytes) -> None:
        """Everything that is there is sent."""
        spool = kept.with_frames(1, 2)
        spool.close()
        (kept.directory / "cursor").write_bytes(cursor)

        assert numbers_in(kept.open()) == [1, 2]
        assert kept.lost == {}

    def test_numbers_go_on_after_a_restart(self, kept: Kept) -> None:
        """An emptied spool does not begin again at nothing, which an old cursor would take for sent."""
        spool = kept.with_frames(1)
        assert numbers_in(spool) == [1]
        spool.close()
        kept.with_frames(2).close()

        assert numbers_in(kept.open()) == [2]

    def test_killed_at_any_moment_it_keeps_what_it_acknowledged(self, kept: Kept) -> None:
        """A process that appends is killed: every frame that it said was safe is there, in order and once."""
        program = """
            import sys
            from pathlib import Path
            from redirector.frames import Frame
            from redirector.spool import Spool

            spool = Spool(Path(sys.argv[1]), max_bytes=10**9, max_age_seconds=1000, lost=lambda *_: None)
            spool.open()
            number = 0
            while True:
                number += 1
                spool.append(Frame("p-1", number, [bytes(3000)] * (number % 7)))
                print(number, flush=True)
        """
        for killed_after in (1, 10, 300):
            command = [sys.executable, "-c", textwrap.dedent(program), str(kept.directory)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout
                for _ in range(killed_after):
                    process.stdout.readline()
                process.kill()
                said = killed_after + len(process.stdout.readlines())
            found = numbers_in(kept.open())

            assert found in (list(range(1, said + 1)), list(range(1, said + 2)))
        assert kept.lost == {}


class TestDamage:
    def test_a_torn_tail_is_cut(self, kept: Kept) -> None:
        """A frame that was being written when the process died was promised to nobody: it is no loss."""
        kept.with_frames(1, 2, 3)
        (path,) = kept.segments()
        path.write_bytes(path.read_bytes()[:-3])

        assert numbers_in(kept.open()) == [1, 2]
        assert kept.lost == {}
        assert kept.segments() == []

    @pytest.mark.parametrize("at", [30, 0], ids=["a payload", "a header"])
    def test_a_changed_byte_costs_one_frame(self, kept: Kept, at: int) -> None:
        """The frame is set aside and counted; the others are sent."""
        kept.with_frames(1, 2, 3)
        (path,) = kept.segments()
        data = bytearray(path.read_bytes())
        data[len(data) // 3 + at] ^= 255
        path.write_bytes(data)

        assert numbers_in(kept.open()) == [1, 3]
        assert kept.lost == {"spool_damaged": 2 if at else 1}  # without its header, nobody knows how many there were
        (copy,) = (kept.directory / "quarantine").iterdir()
        assert copy.read_bytes() == bytes(data[len(data) // 3 : len(data) // 3 * 2])

    def test_damage_is_counted_once(self, kept: Kept) -> None:
        """However often the segment is read before it was sent, also after a restart."""
        kept.with_frames(1, 2)
        (path,) = kept.segments()
        path.write_bytes(b"!" + path.read_bytes()[1:])
        spool = kept.open()
        for _ in range(3):
            spool.read()
        kept.open().read()

        assert kept.lost == {"spool_damaged": 1}

    def test_nothing_but_rubbish_is_done_with(self, kept: Kept) -> None:
        """A segment without any sound frame does not stop what comes behind it, and is no crash loop."""
        kept.with_frames(1)
        (path,) = kept.segments()
        path.write_bytes(os.urandom(1000))
        kept.open().append(a_frame(2))

        assert numbers_in(kept.open()) == [2]
        assert kept.lost == {"spool_damaged": 1}
        assert kept.segments() == []

    def test_a_missing_segment_is_counted(self, kept: Kept) -> None:
        """How many clicks it held nobody knows: at least one."""
        for number in (1, 2, 3):
            kept.with_frames(number).close()
        kept.segments()[1].unlink()

        assert numbers_in(kept.open()) == [1, 3]
        assert kept.lost == {"spool_damaged": 1}

    def test_a_segment_that_cannot_be_read_is_counted(self, kept: Kept) -> None:
        """An error of the disk while reading costs what it touches."""
        spool = kept.with_frames(1)
        (path,) = kept.segments()
        path.unlink()
        path.mkdir()  # whoever reads this gets an error, even root

        assert spool.read() == []
        assert kept.lost == {"spool_failed": 2}
        spool.append(a_frame(2))
        assert numbers_in(spool) == [2]

    def test_strange_files_are_left_alone(self, kept: Kept) -> None:
        """What is not the spool's own is neither read nor removed."""
        kept.with_frames(1)
        for name in ("x.frames", "notes.txt"):
            (kept.directory / name).write_text("mine")

        assert numbers_in(kept.open()) == [1]
        assert (kept.directory / "x.frames").read_text() == "mine"


class TestLimits:
    def test_a_full_spool_says_so(self, kept: Kept) -> None:
        """What it has it keeps; and when it was sent, there is room again."""
        spool = kept.open(max_bytes=3 * len(encoded(a_frame(1))))
        for number in (1, 2, 3):
            spool.append(a_frame(number))
        with pytest.raises(SpoolFull, match="has reached its"):
            spool.append(a_frame(4))

        assert numbers_in(spool) == [1, 2, 3]
        spool.append(a_frame(5))
        assert numbers_in(spool) == [5]

    def test_what_is_too_old_is_given_up(self, kept: Kept) -> None:
        """The store remembers a batch's number for two weeks only: what waited too long is counted as lost."""
        spool = kept.with_frames(1)
        kept.clock.now += 8 * DAY

        assert spool.read() == []
        assert (kept.lost, kept.segments(), spool.clicks) == ({"spool_expired": 2}, [], 0)

    def test_age_spans_a_restart(self, kept: Kept) -> None:
        """After a restart the age is taken from the file."""
        kept.with_frames(1).close()
        (path,) = kept.segments()
        os.utime(path, (kept.clock.now - 8 * DAY,) * 2)

        assert kept.open().read() == []
        assert kept.lost == {"spool_expired": 2}

    def test_a_wall_clock_that_jumps_expires_nothing(self, kept: Kept) -> None:
        """While the process runs, only the monotonic clock tells how old a segment is; one from the future is new."""
        wall, spool = Clock(), kept.open()
        spool._wall_clock = wall
        spool.append(a_frame(1))
        wall.now += 100 * DAY
        assert [frame.number for _, frame in spool.read()] == [1]
        os.utime(kept.segments()[0], (kept.clock.now + 100 * DAY,) * 2)

        assert numbers_in(kept.open()) == [1]


class TestDisk:
    """A file system that refuses: the calls into it fail, everything else is real."""

    def test_a_failed_flush_is_never_tried_again_on_the_same_file(
        self, kept: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The frame goes to a new segment, and all of them are read."""
        spool = kept.with_frames(1)
        flushed: list[str] = []
        real = os.fdatasync

        def fails_once(descriptor: int) -> None:
            flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
            if len(flushed) == 1:
                raise OSError(errno.EIO, "Input/output error")
            real(descriptor)

        monkeypatch.setattr(os, "fdatasync", fails_once)
        spool.append(a_frame(2))
        spool.append(a_frame(3))

        assert [Path(name).name for name in flushed] == [f"{number:012d}.frames" for number in (0, 1, 1)]
        assert numbers_in(spool) == [1, 2, 3]

    @pytest.mark.parametrize("call", ["write", "fdatasync", "open"])
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
    def test_a_disk_that_refuses_is_an_error_and_comes_back(
        self, kept: Kept, monkeypatch: pytest.MonkeyPatch, call: str, code: int
    ) -> None:
        """What was refused is not there later; what came before and after is."""
        spool = kept.with_frames(1)

        def refuse(*_: object, **__: object) -> None:
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patched:
            patched.setattr(os, call, refuse)
            if call == "open":
                spool._segments[0].close()  # so that a new segment is needed
            for _ in range(3):
                with pytest.raises(SpoolFailed, match=os.strerror(code)):
                    spool.append(a_frame(2))
        spool.append(a_frame(3))

        assert numbers_in(spool) == [1, 3]
        assert kept.lost == {}

    def test_a_file_that_may_not_grow(self, kept: Kept) -> None:
        """A real limit of the system's: what does not fit is refused, and what fits stays."""
        program = """
            import resource, signal, sys
            from pathlib import Path
            from redirector.errors import SpoolFailed
            from redirector.frames import Frame
            from redirector.spool import Spool

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
            spool = Spool(Path(sys.argv[1]), max_bytes=10**9, max_age_seconds=1000, lost=lambda *_: None)
            spool.open()
            spool.append(Frame("p-1", 1, [bytes(3000)]))
            try:
                spool.append(Frame("p-1", 2, [bytes(9000)]))
            except SpoolFailed as error:
                print(error)
            spool.append(Frame("p-1", 3, [bytes(3000)]))
            print([[frame.number for _, frame in spool.read()]])
        """
        result = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), str(kept.directory)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

        assert "File too large" in result.stdout
        assert numbers_in(kept.open()) == [1, 3]

    def test_a_directory_that_cannot_be_made(self, tmp_path: Path) -> None:
        """The error names the directory, and what to see to; clicks are then refused with the same."""
        (tmp_path / "file").touch()
        kept = Kept(tmp_path / "file" / "spool")
        with pytest.raises(SpoolFailed, match="Not a directory"):
            kept.open()
        spool = Spool(kept.directory, max_bytes=10**6, max_age_seconds=1, lost=lambda *_: None)
        with pytest.raises(SpoolFailed):
            spool.append(a_frame(1))

        assert spool.read() == []
        spool.close()

    def test_a_cursor_that_cannot_be_written_loses_nothing(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """The segment stays on the disk, and is sent again after a restart."""
        spool = kept.with_frames(1)
        monkeypatch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        assert numbers_in(spool) == [1]
        monkeypatch.undo()

        assert numbers_in(kept.open()) == [1]


class TestAdoption:
    def test_what_another_left_is_sent_too(self, kept: Kept, tmp_path: Path) -> None:
        """All of it, behind one's own; the other directory is then empty."""
        other = Kept(tmp_path / "other")
        for number in (11, 12):
            other.with_frames(number).close()
        spool = kept.with_frames(1)
        spool.adopt(other.directory)
        assert spool.clicks == 6

        assert numbers_in(spool) == [1, 11, 12]
        assert other.segments() == []

    def test_it_outlives_a_crash(self, kept: Kept, tmp_path: Path) -> None:
        """What was adopted is there after a restart, and the one who left it can go on."""
        other = Kept(tmp_path / "other")
        other.with_frames(11).close()
        spool = kept.open()
        spool.adopt(other.directory)
        other.with_frames(12).close()

        assert numbers_in(kept.open()) == [11]
        assert numbers_in(other.open()) == [12]
