"""What is installed is what is locked, also by the pip that comes with Python 3.11."""

import re
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@pytest.mark.parametrize(("file", "at_least"), [("dev.txt", {"coverage", "redis"}), ("runtime.txt", {"redis"})])
def test_extras_are_locked_too(file: str, at_least: set[str]) -> None:
    """To a pip before 23.3 `name[extra]` is not `name`: it takes the newest of it, and refuses that as unlocked."""
    lines = re.findall(r"^[^\s#]+==[^\s;]+", (Path("requirements") / file).read_text("utf-8"), re.MULTILINE)
    extras = {each.name: each.extras for each in map(Requirement, lines)}
    wanted = [(name, each) for name in ("redirector", *extras) for each in _with_extras(name)]

    assert {each.name for _, each in wanted} >= at_least
    assert [(name, str(each)) for name, each in wanted if not each.extras <= extras[canonicalize_name(each.name)]] == []


def _with_extras(name: str) -> Iterator[Requirement]:
    """What a package needs here with extras; nothing if it is not for this system."""
    try:
        needs = [Requirement(line) for line in requires(name) or ()]
    except ModuleNotFoundError:
        return
    yield from (each for each in needs if each.extras and (each.marker is None or each.marker.evaluate()))
