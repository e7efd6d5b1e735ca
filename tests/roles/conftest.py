"""What a role keeps on disk goes to a directory of the test's own."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def data_home(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a role keeps on disk goes to a directory of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(directory))
