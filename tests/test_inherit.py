"""Links for a new slot: those of another are copied, and nothing that fails there stops anybody."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from redirector.catalog import CatalogFile, Records
from redirector.inherit import inherit_links


@contextmanager
def a_catalog(slot: Path, cursor: str) -> Iterator[CatalogFile]:
    """The links file of a slot, in use: a link whose record is the cursor."""
    with closing(CatalogFile(slot / "links.sqlite")) as file:
        file.open()
        assert file.write(Records({7: cursor.encode()}), cursor)
        yield file


def known_in(slot: Path) -> tuple[str, bytes | None]:
    """The cursor of the slot's file, and its record of link 7."""
    with closing(CatalogFile(slot / "links.sqlite")) as file:
        file.open()
        return file.cursor(), file.link(7)


def a_slot(tmp_path: Path, number: int) -> Path:
    """A slot with nothing in it."""
    slot = tmp_path / f"redirect-{number}"
    slot.mkdir()
    return slot


def test_a_new_slot_knows_what_another_knows(tmp_path: Path) -> None:
    """Also while the other is in use, and what it wrote last is not in the file itself yet."""
    slot = a_slot(tmp_path, 1)
    with a_catalog(tmp_path / "redirect-0", "1-0"):
        inherit_links(slot)

    assert known_in(slot) == ("1-0", b"1-0")
    assert [path.name for path in slot.iterdir()] == ["links.sqlite"]
    assert (slot / "links.sqlite").stat().st_mode & 0o077 == 0


def test_the_one_that_changed_last_is_copied(tmp_path: Path) -> None:
    """It is the one that is in use."""
    slot = a_slot(tmp_path, 2)
    for number, changed_at in ((0, 2_000), (1, 1_000)):
        with a_catalog(tmp_path / f"redirect-{number}", f"{number}-0"):
            pass
        os.utime(tmp_path / f"redirect-{number}" / "links.sqlite", (changed_at, changed_at))
    inherit_links(slot)

    assert known_in(slot) == ("0-0", b"0-0")


def test_what_a_slot_has_it_keeps(tmp_path: Path) -> None:
    """A file that is there is followed up from the store; it is not replaced."""
    for number in (0, 1):
        with a_catalog(tmp_path / f"redirect-{number}", f"{number}-0"):
            pass
    inherit_links(tmp_path / "redirect-0")

    assert known_in(tmp_path / "redirect-0") == ("0-0", b"0-0")


def test_a_copy_that_was_not_finished_is_made_again(tmp_path: Path) -> None:
    """A process that was killed while it copied leaves nothing that looks like links."""
    slot = a_slot(tmp_path, 1)
    (slot / "links.copy").write_bytes(b"half of it")
    with a_catalog(tmp_path / "redirect-0", "1-0"):
        inherit_links(slot)

    assert known_in(slot) == ("1-0", b"1-0")


def test_what_cannot_be_copied_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A spoiled file is named, and the next one is taken."""
    slot = a_slot(tmp_path, 2)
    with a_catalog(tmp_path / "redirect-0", "0-0"):
        pass
    os.utime(tmp_path / "redirect-0" / "links.sqlite", (1_000, 1_000))
    (a_slot(tmp_path, 1) / "links.sqlite").write_bytes(b"rubbish" * 1_000)
    inherit_links(slot)

    assert known_in(slot) == ("0-0", b"0-0")
    assert "redirect-1/links.sqlite cannot be copied" in caplog.text


def test_the_first_slot_has_nobody_to_ask(tmp_path: Path) -> None:
    """It stays without links."""
    slot = a_slot(tmp_path, 0)
    inherit_links(slot)

    assert list(slot.iterdir()) == []
