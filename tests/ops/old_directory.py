"""Makes a data directory as a version leaves it behind, for later versions to be tried on.

    python -m tests.ops.old_directory tests/data/data-directory-1.tar.gz

It has links of both kinds, clicks that were counted, and clicks in the spool; everything was killed.
"""

import os
import signal
import sys
import tarfile
from pathlib import Path

import httpx

from redirector.client import Client
from tests.conftest import short_directory
from tests.processes import BROWSER, descendants, eventually, serving

LEFT_OUT = {"lock", "running.json", "valkey.log"}
COUNTED, SPOOLED = 7, 5


def main(target: Path) -> None:
    """Serves, clicks, kills, and packs what is left; `mailed.txt` in it has the tracked URLs' codes."""
    with short_directory() as directory:
        with serving(directory) as running:
            with Client(running.internal_url, running.api_key) as client:
                client.create_campaign("spring", sent=1_000)
                one = client.create_link("https://www.example.com/offer?a=1", "spring", ["solar"])
                client.create_campaign("renewal", tracking="individual", consent="CRM, field 7")
                own = client.create_link("https://bücher.example.com/ü", "renewal", ["account"])
                (reader,) = client.urls(own.id, ["reader-1"])
                for _ in range(COUNTED):
                    click(one.url)
                eventually(lambda: sum(client.report("spring").clicks.values()) == COUNTED)
            processes = descendants(running.pid)
            (store,) = (pid for pid, command in processes.items() if "valkey-server" in command)
            os.kill(store, signal.SIGSTOP)
            for _ in range(SPOOLED):
                click(reader.url)
            for pid in (running.pid, *processes):
                os.kill(pid, signal.SIGKILL)
        (directory / "mailed.txt").write_text(f"{one.url.rpartition('/')[2]}\n{reader.url.rpartition('/')[2]}\n")
        with tarfile.open(target, "w:gz") as packed:
            for path in sorted(directory.rglob("*")):
                if path.is_file() and path.name not in LEFT_OUT and "metrics" not in path.parts:
                    packed.add(path, path.relative_to(directory))


def click(url: str) -> None:
    """A reader clicks."""
    assert httpx.get(url, headers=dict(BROWSER)).status_code == 302


if __name__ == "__main__":
    main(Path(sys.argv[1]))
