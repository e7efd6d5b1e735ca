"""A segment is safe on the disk up to its size, is closed for good by the first failure, and never another's file."""

import os
from pathlib import Path

import pytest

from redirector.segment import SEGMENT_BYTES, SEGMENT_SECONDS, Segment, remove


def refuses(_: int) -> None:
    """A disk that has failed."""
    raise OSError(5, "Input/output error")


def test_file_that_is_there_is_never_written_to(tmp_path: Path) -> None:
    """Whoever made it."""
    (tmp_path / "1").write_bytes(b"theirs")

    with pytest.raises(FileExistsError):
        Segment.made(tmp_path / "1", 0.0)
    assert (tmp_path / "1").read_bytes() == b"theirs"


def test_what_was_appended_is_there(tmp_path: Path, synced: list[Path]) -> None:
    """Its size and clicks are those of the file, whose name is made durable with the first bytes."""
    segment = Segment.made(tmp_path / "1", 0.0)
    segment.append(b"abc", 2)
    segment.append(b"de", 1)
    segment.close()

    assert (segment.size, segment.clicks) == (5, 3)
    assert segment.path.read_bytes() == b"abcde"
    assert synced == [tmp_path]


def test_full_or_old_one_takes_no_more(tmp_path: Path) -> None:
    """Nor does one that was closed."""
    segment = Segment.made(tmp_path / "1", 100.0)
    segment.append(b"abc", 1)

    assert segment.takes(SEGMENT_BYTES - 3, 100.0)
    assert not segment.takes(SEGMENT_BYTES - 2, 100.0)
    assert not segment.takes(1, 100.0 + SEGMENT_SECONDS)
    segment.close()
    assert not segment.takes(1, 100.0)


def test_failure_closes_it_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody was told to be safe is cut off, and nothing is written behind it."""
    segment = Segment.made(tmp_path / "1", 0.0)
    segment.append(b"abc", 1)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", refuses)
        with pytest.raises(OSError, match="Input/output"):
            segment.append(b"de", 1)

    assert (segment.size, segment.clicks) == (3, 1)
    assert segment.path.read_bytes() == b"abc"
    assert not segment.takes(1, 0.0)


def test_removing_tells_what_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that is not there is removed already; one that cannot be removed stays, and is told of."""
    remove(tmp_path / "missing")
    said_nothing = caplog.messages == []
    (tmp_path / "1").mkdir()
    remove(tmp_path / "1")

    assert said_nothing
    assert "1 was sent, and cannot be removed" in caplog.text
