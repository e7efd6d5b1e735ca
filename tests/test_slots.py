"""Slots: one owner each, free again when it dies, and nothing in them is forgotten."""

import subprocess
import sys
import textwrap
from contextlib import ExitStack
from pathlib import Path

import pytest

from redirector.errors import InvalidSetting
from redirector.slots import abandoned_slots, own_slot


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


def test_abandoned_slots_are_found(tmp_path: Path) -> None:
    """Those with something in them, and without an owner; nobody else can take them meanwhile."""
    with ExitStack() as owners:
        slots = [owners.enter_context(own_slot(tmp_path)) for _ in range(4)]
        for slot in (slots[0], slots[1], slots[3]):
            (slot / "left").touch()
    with own_slot(tmp_path) as own, own_slot(tmp_path) as busy, abandoned_slots(tmp_path, "left") as found:
        assert [own, busy, *found] == [slots[0], slots[1], slots[3]]
        with own_slot(tmp_path) as third, own_slot(tmp_path) as next_one:
            assert [third.name, next_one.name] == ["redirect-2", "redirect-4"]


def test_a_directory_that_will_not_do(tmp_path: Path) -> None:
    """The refusal names the setting, the directory and the remedy."""
    (tmp_path / "file").touch()

    with pytest.raises(InvalidSetting, match="Not a directory") as refused, own_slot(tmp_path / "file"):
        pass

    assert (refused.value.field, refused.value.part) == ("REDIRECTOR_DATA_DIR", str(tmp_path / "file"))
