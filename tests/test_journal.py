"""A journal: what it took is there after a crash, and what the disk spoiled costs only itself."""

import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from redirector import segment
from redirector.errors import SpoolFailed
from redirector.frames import Frame
from redirector.segment import SEGMENT_BYTES
from redirector.spool import Spool
from tests.spools import DAY, Clock, Kept, a_frame, numbers_in


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """No spool yet."""
    return Kept(tmp_path / "spool")


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


class TestAge:
    """How long what waits may wait."""

    def test_what_is_too_old_is_given_up(self, kept: Kept) -> None:
        """The store remembers a batch's number for two weeks only: what waited too long is counted as lost."""
        spool = kept.with_frames(1)
        kept.clock.now += 8 * DAY

        assert spool.read() == []
        assert (kept.lost, kept.segments(), spool.clicks) == ({"spool_expired": 2}, [], 0)

    def test_what_is_too_old_is_given_up_without_being_read(self, kept: Kept) -> None:
        """For whoever has nobody to send it to; what is younger stays."""
        spool = kept.with_frames(1)
        kept.clock.now += 4 * DAY
        spool.append(a_frame(2))
        kept.clock.now += 4 * DAY
        spool.expire()

        assert (kept.lost, len(kept.segments())) == ({"spool_expired": 2}, 1)
        assert numbers_in(spool) == [2]

    def test_age_is_that_of_the_oldest_frame(self, kept: Kept) -> None:
        """A few clicks now and then do not keep the first of them waiting for ever."""
        spool = kept.open()
        for number in range(10):
            spool.append(a_frame(number))
            kept.clock.now += DAY

        assert numbers_in(spool) == [3, 4, 5, 6, 7, 8, 9]
        assert kept.lost == {"spool_expired": 6}

    def test_clicks_of_an_hour_share_a_segment(self, kept: Kept) -> None:
        """What is young goes where there is room; after an hour the next segment begins."""
        spool = kept.open()
        for number in range(4):
            spool.append(a_frame(number))
            kept.clock.now += 1_000

        assert len(kept.segments()) == 1
        spool.append(a_frame(4))
        assert len(kept.segments()) == 2

    def test_age_spans_a_restart(self, kept: Kept) -> None:
        """A process counts on from the age that it found."""
        kept.with_frames(1).close()
        os.utime(kept.segments()[0], (kept.clock.now - 5 * DAY,) * 2)
        spool = kept.open()
        kept.clock.now += 1 * DAY
        assert [frame.number for _, frame in spool.read()] == [1]
        kept.clock.now += 1 * DAY

        assert spool.read() == []
        assert kept.lost == {"spool_expired": 2}

    @pytest.mark.parametrize("days", [8, 12, 56 * 365, -56 * 365])
    def test_a_wall_clock_that_jumps_over_a_restart_loses_nothing(self, kept: Kept, days: int) -> None:
        """What a start finds has a day to be sent, however old it seems."""
        kept.with_frames(1).close()
        os.utime(kept.segments()[0], (kept.clock.now - days * DAY,) * 2)
        spool = kept.open()
        kept.clock.now += DAY - 1

        assert numbers_in(spool) == [1]
        assert kept.lost == {}

    def test_what_the_store_forgets_is_not_sent(self, kept: Kept) -> None:
        """After two weeks in which no process ran, it is given up at once: it could be counted twice."""
        kept.with_frames(1).close()
        os.utime(kept.segments()[0], (kept.clock.now - 14 * DAY,) * 2)

        assert kept.open().read() == []
        assert kept.lost == {"spool_expired": 2}

    def test_a_wall_clock_that_jumps_while_it_runs_expires_nothing(self, kept: Kept) -> None:
        """While the process runs, only the monotonic clock tells how old a segment is."""
        spool = kept.open()
        spool._own._wall_clock = wall = Clock()
        spool.append(a_frame(1))
        wall.now += 100 * DAY

        assert numbers_in(spool) == [1]


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
                spool._own._segments[0].close()  # so that a new segment is needed
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

    def test_a_directory_that_can_be_made_later(self, tmp_path: Path) -> None:
        """A disk that refused at the start and does so no more takes clicks, with no restart."""
        (tmp_path / "file").touch()
        kept = Kept(tmp_path / "file" / "spool")
        spool = kept.closed()
        with pytest.raises(SpoolFailed):
            spool.open()
        (tmp_path / "file").unlink()
        spool.append(a_frame(1))

        assert numbers_in(spool) == [1]

    def test_its_directory_is_durable_before_clicks_are(self, kept: Kept, synced: list[Path]) -> None:
        """A power cut takes back neither the directory nor the segment in it."""
        kept.with_frames(1)

        assert synced == [kept.directory.parent, kept.directory]

    def test_a_cursor_that_cannot_be_written_loses_nothing(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """The segment stays on the disk, and is sent again after a restart."""
        spool = kept.with_frames(1)
        monkeypatch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        assert numbers_in(spool) == [1]
        monkeypatch.undo()

        assert numbers_in(kept.open()) == [1]

    def test_what_was_sent_leaves_a_full_disk(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """The cursor has its room from the start: nothing need grow for a segment to go."""
        spool = kept.with_frames(1)
        real = os.pwrite

        def without_room(descriptor: int, data: bytes, offset: int) -> int:
            if offset + len(data) > os.fstat(descriptor).st_size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(descriptor, data, offset)

        monkeypatch.setattr(os, "pwrite", without_room)

        assert numbers_in(spool) == [1]
        assert kept.segments() == []

    @pytest.mark.parametrize("when", ["with the next", "with another reading", "at the end"])
    def test_what_could_not_be_removed_goes_later(self, kept: Kept, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
        """As soon as the disk takes the cursor again, all that was sent is removed, with no restart."""
        spool = kept.with_frames(1)
        with monkeypatch.context() as broken:
            broken.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
            assert numbers_in(spool) == [1]
            spool.append(a_frame(2))
            assert numbers_in(spool) == [2]
        stayed, was_tidy = len(kept.segments()), spool.is_tidy
        if when == "at the end":
            spool.close()
        elif when == "with another reading":
            assert numbers_in(spool) == []
        else:
            spool.append(a_frame(3))
            assert numbers_in(spool) == [3]

        assert (stayed, kept.segments()) == (2, [])
        assert (was_tidy, spool.is_tidy) == (False, True)


class TestThreads:
    """One appends, one reads and sends, and the event loop asks how many clicks wait."""

    def test_all_at_once(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """While segments come and go, and some are taken back, nobody stumbles, and every frame is sent once."""
        monkeypatch.setattr(segment, "SEGMENT_BYTES", 1)  # each frame has a segment of its own
        monkeypatch.setattr(os, "fsync", lambda _: None)
        monkeypatch.setattr(os, "fdatasync", lambda _: None)
        monkeypatch.setattr(os, "write", FailsNowAndThen())
        spool = kept.open()

        def append() -> list[int]:
            return [number for number in range(2_000) if took(spool, number)]

        with switching_often(), ThreadPoolExecutor(2) as threads:
            appended = threads.submit(append)
            sent: list[int] = []

            def send() -> None:
                while not appended.done() or spool.clicks:
                    sent.extend(numbers_in(spool))

            sending = threads.submit(send)
            while not sending.done():
                assert spool.clicks >= 0

        sending.result()
        assert sent == appended.result()
        assert kept.segments() == []

    def test_nobody_waits_to_know_how_many_clicks_there_are(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """A disk that takes its time for a flush does not keep the event loop."""
        spool = kept.with_frames(1)
        flushing, go_on = Event(), Event()

        def flush(_: int) -> None:
            flushing.set()
            assert go_on.wait(60)

        monkeypatch.setattr(os, "fdatasync", flush)
        with ThreadPoolExecutor(2) as threads:
            appending = threads.submit(spool.append, a_frame(2))
            assert flushing.wait(60)
            try:
                assert threads.submit(lambda: spool.clicks).result(10) == 2
            finally:
                go_on.set()
            appending.result()

        assert spool.clicks == 4


class FailsNowAndThen:
    """A write that the disk refuses twice in a row, again and again."""

    def __init__(self) -> None:
        self.real = os.write
        self.calls = 0

    def __call__(self, descriptor: int, data: bytes) -> int:
        self.calls += 1
        if self.calls % 10 in (0, 1):
            raise OSError(errno.EIO, "Input/output error")
        return self.real(descriptor, data)


def took(spool: Spool, number: int) -> bool:
    """Whether the spool took a frame of this number."""
    try:
        spool.append(a_frame(number))
    except SpoolFailed:
        return False
    return True


@contextmanager
def switching_often() -> Iterator[None]:
    """Threads give way to each other at almost every step, as they do on a busy machine."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
