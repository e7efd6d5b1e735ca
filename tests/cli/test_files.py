"""What a command writes is there whole and for whom it is meant, or what was there before stays."""

import os
import stat
from pathlib import Path

import pytest

from redirector.cli.files import written_to
from redirector.errors import InvalidInput


@pytest.mark.parametrize(("private", "mode"), [(True, 0o600), (False, 0o644)], ids=["private", "for all"])
def test_file_is_for_whom_it_is_meant(tmp_path: Path, synced: list[Path], private: bool, mode: int) -> None:
    """Whatever the mode of the one before was; its name is durable when the block has ended."""
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(0o666)
    before = os.umask(0o022)
    try:
        with written_to(str(path), field="FILE", private=private) as out:
            out.write(b"new")
            while_written = path.read_bytes()
    finally:
        os.umask(before)

    assert (while_written, path.read_bytes()) == (b"old", b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert synced[-1] == tmp_path
    assert list(tmp_path.iterdir()) == [path]


def test_file_stays_when_the_block_fails(tmp_path: Path) -> None:
    """Half a file is none; an error that is not the disk's goes on as it is."""
    path = tmp_path / "out"
    path.write_bytes(b"old")

    with pytest.raises(ZeroDivisionError), written_to(str(path), field="FILE") as out:
        out.write(b"half")
        raise ZeroDivisionError

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_place_that_will_not_do_is_named(tmp_path: Path) -> None:
    """With the option that it came from."""
    with pytest.raises(InvalidInput) as refused, written_to(f"{tmp_path}/missing/out", field="--output"):
        pass

    assert (refused.value.field, refused.value.part) == ("--output", f"{tmp_path}/missing/out")
