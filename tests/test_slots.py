"""Slots: one owner each, free again when it dies, and nothing in them is forgotten."""

import errno
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from redirector.errors import InvalidSetting
from redirector.slots import abandoned_journals, own_slot


def test_each_owner_has_its_own(tmp_path: Path) -> None:
    """The first that is free; one that was given back is taken again."""
    with own_slot(tmp_path) as first:
        with own_slot(tmp_path) as second:
            assert [first.name, second.name] == ["redirect-0", "redirect-1"]
        with own_slot(tmp_path) as again:
            assert again == second
    with own_slot(tmp_path) as again:
        assert again == first


def test_a_killed_owner_leaves_it(tmp_path: Path) -> None:
    """A slot is free as soon as its process is gone, however it went."""
    program = """
        import sys, time
        from pathlib import Path
        from redirector.slots import own_slot
        with own_slot(Path(sys.argv[1])) as slot:
            print(slot.name, flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "redirect-0\n"
        with own_slot(tmp_path) as other:
            assert other.name == "redirect-1"
        process.kill()
    with own_slot(tmp_path) as slot:
        assert slot.name == "redirect-0"


def test_abandoned_journals_are_found(tmp_path: Path) -> None:
    """Those with clicks in them, of slots without an owner, and what such a slot had adopted."""
    with ExitStack() as owners:
        slots = [owners.enter_context(own_slot(tmp_path)) for _ in range(4)]
        for journal in ("redirect-0/spool", "redirect-1/spool", "redirect-3/spool", "redirect-3/adopted-0"):
            (tmp_path / journal).mkdir()
            (tmp_path / journal / "000000000000.frames").touch()
        (slots[2] / "spool").mkdir()
    with own_slot(tmp_path), own_slot(tmp_path), abandoned_journals(tmp_path) as found:
        assert found == [slots[3] / "adopted-0", slots[3] / "spool"]


def test_adoption_leaves_the_slot_to_others(tmp_path: Path) -> None:
    """A process that starts while another adopts gets the slot that is free, with the links in it."""
    with own_slot(tmp_path), own_slot(tmp_path) as second:
        (second / "spool").mkdir()
        (second / "spool" / "000000000000.frames").touch()
        (second / "links.sqlite").touch()
    with ThreadPoolExecutor(1) as threads, own_slot(tmp_path):
        with abandoned_journals(tmp_path) as found:
            assert found == [second / "spool"]
            taken = threads.submit(files_of_a_slot, tmp_path)
            (second / "spool").rename(tmp_path / "adopted")

        assert taken.result(60) == ["links.sqlite", "lock", "spool.lock"]


def files_of_a_slot(data_dir: Path) -> list[str]:
    """What a process finds that takes a slot."""
    with own_slot(data_dir) as slot:
        return sorted(path.name for path in slot.iterdir())


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.ENOSPC, errno.EDQUOT], ids=errno.errorcode.get)
def test_a_disk_that_fails_is_no_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    """The process goes on without a slot, and says so; nothing can be made where its slot would be."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, "mkdir", refuse)
        with own_slot(tmp_path / "data") as slot:
            patched.undo()
            with pytest.raises(NotADirectoryError):
                slot.mkdir(parents=True)

    assert f"see to {tmp_path / 'data'}: {os.strerror(code)}" in caplog.text


def test_an_abandoned_slot_that_cannot_be_locked_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What the disk refuses there does not keep a process from what it gives elsewhere."""
    for slot in ("redirect-1", "redirect-2"):
        (tmp_path / slot / "spool").mkdir(parents=True)
        (tmp_path / slot / "spool" / "000000000000.frames").touch()
    (tmp_path / "redirect-1" / "spool.lock").mkdir()  # whoever opens this gets an error
    with abandoned_journals(tmp_path) as found:
        assert found == [tmp_path / "redirect-2" / "spool"]

    assert "redirect-1 is not sent now: Is a directory" in caplog.text


def test_new_slots_outlive_a_power_cut(tmp_path: Path, synced: list[Path]) -> None:
    """The names of the data directory and of the slot are made durable."""
    with own_slot(tmp_path / "data"):
        assert synced == [tmp_path, tmp_path / "data"]


def test_a_directory_that_will_not_do(tmp_path: Path) -> None:
    """The refusal names the setting, the directory and the remedy."""
    (tmp_path / "file").touch()

    with pytest.raises(InvalidSetting, match="Not a directory") as refused, own_slot(tmp_path / "file"):
        pass

    assert (refused.value.field, refused.value.part) == ("REDIRECTOR_DATA_DIR", str(tmp_path / "file"))
