"""What is damaged in a journal is cut, copied to the quarantine, or passed over; the rest is sent."""

import os
from pathlib import Path

import pytest

from tests.spools import DAY, Kept, a_frame, numbers_in


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """No spool yet."""
    return Kept(tmp_path / "spool")


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

    def test_a_segment_that_cannot_be_read_at_the_start_costs_only_itself(self, kept: Kept) -> None:
        """Clicks are taken all the same, and what lies behind it is sent."""
        for number in (1, 2, 3):
            kept.with_frames(number).close()
        kept.segments()[1].unlink()
        kept.directory.joinpath("000000000001.frames").mkdir()  # whoever reads this gets an error, even root
        spool = kept.open()
        spool.append(a_frame(4))

        assert numbers_in(spool) == [1, 3, 4]
        assert kept.lost == {"spool_failed": 1}

    def test_a_segment_that_was_never_read_is_not_given_up_for_nothing(self, kept: Kept) -> None:
        """How many clicks it held nobody knows: at least one. One without a byte held none."""
        kept.with_frames(1).close()
        (path,) = kept.segments()
        path.unlink()
        path.mkdir()  # whoever reads this gets an error, even root
        kept.directory.joinpath("000000000001.frames").touch()
        spool = kept.open()
        kept.clock.now += 8 * DAY
        spool.expire()

        assert (kept.lost, spool.clicks) == ({"spool_expired": 1}, 0)

    def test_a_segment_that_can_be_read_later_costs_nothing(self, kept: Kept, tmp_path: Path) -> None:
        """What the disk refuses at the start is asked of it once more."""
        kept.with_frames(1, 2).close()
        (path,) = kept.segments()
        path.rename(tmp_path / "away")
        path.mkdir()
        spool = kept.open()
        path.rmdir()
        (tmp_path / "away").rename(path)

        assert numbers_in(spool) == [1, 2]
        assert kept.lost == {}

    def test_a_cursor_that_cannot_be_read_costs_nothing(self, kept: Kept) -> None:
        """Everything is sent again, and new clicks are taken."""
        kept.with_frames(1, 2).close()
        (kept.directory / "cursor").unlink()
        (kept.directory / "cursor").mkdir()
        spool = kept.open()
        spool.append(a_frame(3))

        assert numbers_in(spool) == [1, 2, 3]
        assert kept.lost == {}

    def test_a_sent_segment_that_cannot_be_removed_is_no_trouble(self, kept: Kept) -> None:
        """It is not sent again, and new clicks are taken."""
        spool = kept.with_frames(1)
        (path,) = kept.segments()
        assert numbers_in(spool) == [1]
        spool.close()
        path.mkdir()  # whoever unlinks this gets an error
        spool = kept.open()
        spool.append(a_frame(2))

        assert numbers_in(spool) == [2]
        assert kept.lost == {}

    def test_a_name_that_is_taken_is_passed_over(self, kept: Kept) -> None:
        """A file that came from elsewhere does not keep the spool from taking clicks."""
        spool = kept.open()
        (kept.directory / "000000000000.frames").write_text("mine")
        spool.append(a_frame(1))

        assert numbers_in(spool) == [1]

    def test_a_missing_last_segment_is_counted(self, kept: Kept) -> None:
        """The cursor knows that it was there; what comes next is not taken for what was sent of it."""
        spool = kept.with_frames(1, 2)
        spool.sent(*spool.read()[0])
        spool.close()
        kept.segments()[0].unlink()
        spool = kept.with_frames(3)

        assert numbers_in(spool) == [3]
        assert kept.lost == {"spool_damaged": 1}

    def test_damage_is_counted_once_on_a_disk_that_takes_no_copy(self, kept: Kept) -> None:
        """However often the segment is read."""
        spool = kept.with_frames(1, 2)
        (path,) = kept.segments()
        path.write_bytes(b"!" + path.read_bytes()[1:])
        (kept.directory / "quarantine").touch()  # where the copies should go
        for _ in range(3):
            assert [frame.number for _, frame in spool.read()] == [2]

        assert kept.lost == {"spool_damaged": 1}

    def test_new_damage_is_not_taken_for_old(self, kept: Kept) -> None:
        """Without its cursor the spool begins to count its segments anew, and what is set aside has old names."""
        for number in (1, 2):
            spool = kept.with_frames(number)
            (path,) = kept.segments()
            path.write_bytes(b"!" + path.read_bytes()[1:])
            assert numbers_in(spool) == []
            spool.close()
            (kept.directory / "cursor").unlink()

        assert kept.lost == {"spool_damaged": 2}
        assert len(list((kept.directory / "quarantine").iterdir())) == 2

    def test_strange_files_are_left_alone(self, kept: Kept) -> None:
        """What is not the spool's own is neither read nor removed."""
        kept.with_frames(1)
        for name in ("x.frames", "notes.txt"):
            (kept.directory / name).write_text("mine")

        assert numbers_in(kept.open()) == [1]
        assert (kept.directory / "x.frames").read_text() == "mine"
