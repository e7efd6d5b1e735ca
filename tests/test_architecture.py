"""What `docs/architecture.md` says of the files is so: they exist, and none is left out."""

import re
from collections import Counter

import pytest

from tests.test_readme import ROOT

PACKAGE = ROOT / "redirector"
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = sorted(set(re.findall(r"`([\w/]+\.(?:py|lua))`", TEXT)))


def test_every_module_has_its_tier() -> None:
    """The table of the tiers names each module and folder of the package once, and no other."""
    rows = [row.split("|")[3] for row in TEXT.splitlines() if re.match(r"\| (doors|acts|store|words) ", row)]
    named = [name.removesuffix(".py").removesuffix("/") for row in rows for name in re.findall(r"`([\w./]+)`", row)]
    there = [path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"]

    assert len(rows) == 4
    assert Counter(named) == Counter(name for name in there if not name.startswith("__"))


@pytest.mark.parametrize("name", FILES)
def test_file_that_is_named_exists(name: str) -> None:
    """A file is named from the root, from the package, or, a script, by itself."""
    assert any((base / name).is_file() for base in (ROOT, PACKAGE, PACKAGE / "store"))
