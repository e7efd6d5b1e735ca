"""What is set aside of a spool is kept for as long as clicks are, and no longer."""

import os
import time
from pathlib import Path

import pytest

from redirector.quarantine import Quarantine, forget
from redirector.spool import Spool
from tests.conftest import short_directory
from tests.processes import serving
from tests.spools import DAY, Kept, a_frame, numbers_in

NOW = 1_795_435_200.0  # 2026-11-23T12:00:00Z


def set_aside(data_dir: Path, *, days_ago: float, segment: int = 0, slot: str = "redirect-0/spool") -> Path:
    """A copy of what was written so long ago, in the spool of a process."""
    directory = data_dir / slot / "quarantine"
    directory.parent.mkdir(parents=True, exist_ok=True)
    copy = Quarantine(directory).keep(f"{segment:012d}-0", b"a click", written_at=NOW - days_ago * DAY)
    assert copy
    return copy


@pytest.mark.parametrize("slot", ["redirect-0/spool", "redirect-0/adopted-0", "redirect-7/spool"])
def test_what_is_too_old_is_removed(tmp_path: Path, slot: str) -> None:
    """Also what was adopted, and what a process left that never came back; what is younger stays."""
    old = set_aside(tmp_path, days_ago=31, segment=1, slot=slot)
    young = set_aside(tmp_path, days_ago=29, segment=2, slot=slot)
    for _ in range(2):
        forget(tmp_path, before=NOW - 30 * DAY)

    assert (old.exists(), young.exists()) == (False, True)


def test_it_stays_with_its_segment(tmp_path: Path) -> None:
    """While the rest of the segment waits, it says that its clicks were counted as lost."""
    copy = set_aside(tmp_path, days_ago=31)
    segment = copy.parent.parent / "000000000000.frames"
    segment.touch()
    forget(tmp_path, before=NOW - 30 * DAY)
    stayed = copy.exists()
    segment.unlink()
    forget(tmp_path, before=NOW - 30 * DAY)

    assert (stayed, copy.exists()) == (True, False)


def test_nothing_is_set_aside(tmp_path: Path) -> None:
    """A directory without a spool, or none at all, is no error."""
    forget(tmp_path, before=NOW)
    forget(tmp_path / "nowhere", before=NOW)


def test_what_cannot_be_removed_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The others go all the same."""
    copy = set_aside(tmp_path, days_ago=31)
    (copy.parent / "000000000000-0").mkdir()  # a directory is no copy, and cannot be removed as one
    os.utime(copy.parent / "000000000000-0", (NOW - 31 * DAY, NOW - 31 * DAY))
    forget(tmp_path, before=NOW - 30 * DAY)

    assert not copy.exists()
    assert "000000000000-0 is older than what is kept of clicks, and cannot be removed: " in caplog.text


def test_copy_has_the_age_of_its_segment(tmp_path: Path) -> None:
    """Clicks that waited for days before they were found damaged are not kept for as many days more."""
    kept = Kept(tmp_path / "redirect-0" / "spool")
    kept.with_frames(1, 2)
    (segment,) = kept.segments()
    segment.write_bytes(b"!" + segment.read_bytes()[1:])
    os.utime(segment, (NOW - 5 * DAY, NOW - 5 * DAY))
    assert numbers_in(kept.open()) == [2]

    (copy,) = (kept.directory / "quarantine").iterdir()
    assert copy.stat().st_mtime == NOW - 5 * DAY


def test_adopted_journal_goes_with_its_last_copy(tmp_path: Path) -> None:
    """A journal that was kept for what was set aside in it is gone at the start after that was forgotten."""
    own, other = Kept(tmp_path / "redirect-0" / "spool"), Kept(tmp_path / "redirect-1" / "spool")
    own.directory.parent.mkdir()
    other.with_frames(1)
    (segment,) = other.segments()
    segment.write_bytes(b"!" + segment.read_bytes()[1:])
    spool: Spool = own.adopting(other)
    spool.append(a_frame(2))
    assert numbers_in(spool) == [2]
    adopted = tmp_path / "redirect-0" / "adopted-0"
    assert len(list(adopted.glob("quarantine/*"))) == 1
    forget(tmp_path, before=time.time() + DAY)

    numbers_in(own.open())
    assert not adopted.exists()


def test_server_forgets_at_its_start() -> None:
    """With the period of clicks: what is set aside for longer is gone once a server is ready, the rest is not."""
    with short_directory() as directory:
        days_ago = (time.time() - NOW) / DAY  # of the moment that the others are reckoned from
        old = set_aside(directory, days_ago=3.1 - days_ago, segment=1)
        young = set_aside(directory, days_ago=2.9 - days_ago, segment=2)
        with serving(directory, stream_retention_days=3):
            pass

        assert (old.exists(), young.exists()) == (False, True)
