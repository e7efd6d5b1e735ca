"""What outlives a power cut: the calls that the disk needs for it are made, in the right order."""

import os
from pathlib import Path

import pytest

from redirector.durable import make_directory, write_all


def test_each_new_directory_is_synced_where_its_name_stands(tmp_path: Path, synced: list[Path]) -> None:
    """From the top down; and they are for their owner alone."""
    make_directory(tmp_path / "a" / "b")

    assert synced == [tmp_path, tmp_path / "a"]
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "a", tmp_path / "a" / "b")} == {0}


def test_a_directory_that_is_there_is_synced_too(tmp_path: Path, synced: list[Path]) -> None:
    """Whoever made it may have been killed before its name was durable."""
    (tmp_path / "a").mkdir()
    make_directory(tmp_path / "a")

    assert synced == [tmp_path]


def test_a_parent_that_is_closed_to_us_is_no_reason_to_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory may be ours in one that only others may list."""

    def refuse(*_: object, **__: object) -> int:
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        make_directory(tmp_path / "a")

    assert (tmp_path / "a").is_dir()


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    """What stands in the way is an error."""
    (tmp_path / "a").touch()

    with pytest.raises(FileExistsError):
        make_directory(tmp_path / "a")


def test_all_is_written_in_however_many_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk may take less than it was given."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    with (tmp_path / "file").open("wb") as file:
        write_all(file.fileno(), b"ten bytes!")

    assert (tmp_path / "file").read_bytes() == b"ten bytes!"
