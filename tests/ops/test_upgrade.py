"""A data directory that an earlier version left behind opens under this one: nothing that it had is lost."""

import os
import tarfile
from pathlib import Path

import httpx
import pytest

from redirector.client import Client
from tests.ops.old_directory import COUNTED, SPOOLED
from tests.processes import eventually, serving

DIRECTORIES = sorted((Path(__file__).parent.parent / "data").glob("data-directory-*.tar.gz"))


@pytest.mark.parametrize("packed", DIRECTORIES, ids=lambda path: path.name)
def test_earlier_directory_opens(directory: Path, packed: Path) -> None:
    """Links in mails lead where they did, what was counted stays, and clicks from its spool are counted once."""
    with tarfile.open(packed) as archive:
        archive.extractall(directory, filter="data")
    for path in directory.rglob("*"):
        os.utime(path)  # as if it had been left a moment ago: clicks are given up after 13 days
    everybody, reader = (directory / "mailed.txt").read_text().split()

    with serving(directory) as running, Client(running.internal_url, running.api_key) as client:
        eventually(lambda: sum(client.report("renewal").clicks.values()) == SPOOLED)
        locations = [httpx.get(f"{running.public_url}/d/{code}").headers["location"] for code in (everybody, reader)]
        counted = sum(client.report("spring").clicks.values())
        again = client.create_link("https://www.example.com/offer?a=1", "spring", ["solar"])

    assert locations == ["https://www.example.com/offer?a=1", "https://xn--bcher-kva.example.com/%C3%BC"]
    assert counted == COUNTED
    assert again.url.rpartition("/")[2] == everybody
