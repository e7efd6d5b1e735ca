"""The spool: within its bounds, and with what processes that are gone had left."""

import errno
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from redirector.errors import SpoolFailed, SpoolFull
from redirector.frames import encoded
from tests.spools import DAY, Kept, a_frame, numbers_in


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """No spool yet, in a slot."""
    slot = tmp_path / "redirect-0"
    slot.mkdir()
    return Kept(slot / "spool")


@pytest.fixture
def other(tmp_path: Path) -> Kept:
    """The spool of a process that is gone, for which no frame is there yet."""
    return Kept(tmp_path / "redirect-1" / "spool")


def test_a_full_spool_says_so(kept: Kept) -> None:
    """What it has it keeps; and when it was sent, there is room again."""
    spool = kept.open(max_bytes=3 * len(encoded(a_frame(1))))
    for number in (1, 2, 3):
        spool.append(a_frame(number))
    with pytest.raises(SpoolFull, match="has reached its"):
        spool.append(a_frame(4))

    assert numbers_in(spool) == [1, 2, 3]
    spool.append(a_frame(5))
    assert numbers_in(spool) == [5]


class TestAdoption:
    def test_what_another_left_is_sent_first(self, kept: Kept, other: Kept) -> None:
        """All of it, in its order, and then one's own; nothing of it stays behind."""
        for number in (11, 12):
            other.with_frames(number).close()
        kept.with_frames(1)
        spool = kept.adopting(other)
        assert spool.clicks == 6

        assert numbers_in(spool) == [11, 12, 1]
        assert [path.name for path in kept.directory.parent.iterdir()] == ["spool"]
        assert list(other.directory.parent.iterdir()) == []

    def test_it_outlives_a_crash(self, kept: Kept, other: Kept) -> None:
        """What was adopted is there after a restart, and the one who left it can go on."""
        other.with_frames(11).close()
        kept.adopting(other)
        other.with_frames(12).close()

        assert numbers_in(kept.open()) == [11]
        assert numbers_in(other.open()) == [12]

    def test_what_was_sent_before_is_not_sent_again(self, kept: Kept, other: Kept) -> None:
        """A journal is adopted with its cursor."""
        left = other.with_frames(11, 12)
        left.sent(*left.read()[0])
        left.close()
        spool = kept.adopting(other)

        assert (spool.clicks, numbers_in(spool)) == (2, [12])

    @pytest.mark.parametrize("killed_at", [1, 2, 3])
    def test_it_is_never_done_by_half(
        self, kept: Kept, other: Kept, monkeypatch: pytest.MonkeyPatch, killed_at: int
    ) -> None:
        """Killed at whatever call that changes names, one of the two has all frames of an epoch, and the other none.

        The store takes an epoch's frames in their order only: older ones that come late would be passed over.
        """
        for number in (11, 12, 13):
            other.with_frames(number).close()
        spool = kept.open()
        calls = count(1)

        def killed_in(call: Callable[..., None]) -> Callable[..., None]:
            def counted(*arguments: object) -> None:
                if next(calls) == killed_at:
                    raise KeyboardInterrupt
                call(*arguments)

            return counted

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(os, "rename", killed_in(os.rename))
            patched.setattr(os, "fsync", killed_in(os.fsync))
            spool.adopt(other.directory)

        assert sorted([numbers_in(kept.open()), numbers_in(other.open())]) == [[], [11, 12, 13]]

    def test_the_new_name_is_durable_before_the_old_one_is_gone(
        self, kept: Kept, other: Kept, synced: list[Path]
    ) -> None:
        """The adopter's directory is synced before the other, so that a power cut finds the journal in one of them."""
        other.with_frames(11).close()
        spool = kept.open()
        synced.clear()
        spool.adopt(other.directory)

        assert synced[:2] == [kept.directory.parent, other.directory.parent]

    def test_a_refusal_leaves_it_where_it_was(self, kept: Kept, other: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """A disk that does not rename is an error, and costs nothing."""
        other.with_frames(11).close()
        spool = kept.with_frames(1)

        def refuse(*_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patched, pytest.raises(SpoolFailed, match="Input/output error"):
            patched.setattr(os, "rename", refuse)
            spool.adopt(other.directory)

        assert (numbers_in(spool), numbers_in(other.open())) == ([1], [11])

    def test_it_goes_as_soon_as_the_disk_lets_it(
        self, kept: Kept, other: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was sent and cannot be removed is not forgotten until the next start."""
        other.with_frames(11).close()
        spool = kept.adopting(other)
        with monkeypatch.context() as broken:
            broken.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
            assert numbers_in(spool) == [11]
        stayed = list(kept.directory.parent.glob("adopted-*/*.frames"))

        assert (len(stayed), spool.read()) == (1, [])
        assert list(kept.directory.parent.glob("adopted-*")) == []

    def test_it_grows_old_too(self, kept: Kept, other: Kept) -> None:
        """What was adopted and cannot be sent is given up like one's own."""
        other.with_frames(11).close()
        spool = kept.adopting(other)
        kept.clock.now += 8 * DAY
        spool.expire()

        assert (kept.lost, spool.clicks) == ({"spool_expired": 2}, 0)
        assert list(kept.directory.parent.glob("adopted-*/*.frames")) == []

    def test_what_was_set_aside_stays(self, kept: Kept, other: Kept) -> None:
        """An adopted journal that was sent is removed, but not what somebody may want to look at."""
        other.with_frames(11, 12).close()
        (path,) = other.segments()
        path.write_bytes(b"!" + path.read_bytes()[1:])
        spool = kept.adopting(other)

        assert numbers_in(spool) == [12]
        assert len(list(kept.directory.parent.glob("adopted-0/quarantine/*"))) == 1
        assert kept.lost == {"spool_damaged": 1}
