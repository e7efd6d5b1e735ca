"""What is on a leash dies with the process that started it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from redirector.store import leash
from tests.processes import eventually, is_gone

# Starts a sleeper on its leash, says the sleeper's process id, and waits to be killed.
OWNER = """
import subprocess, sys
from redirector.store.leash import leashed
process = subprocess.Popen(leashed("/bin/sleep", "600"), start_new_session=True)
print(process.pid, flush=True)
process.wait()
"""


def test_it_dies_with_its_owner() -> None:
    """A SIGKILL of the owner, which runs no code of its own any more, ends the leashed program too."""
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        sleeper = int(owner.stdout.readline())
        eventually(lambda: Path(f"/proc/{sleeper}/comm").read_text() == "sleep\n")
        owner.kill()

    eventually(lambda: is_gone(sleeper))


def test_it_is_not_begun_for_a_dead_owner() -> None:
    """When its owner died before the leash was on, the program is never run."""
    command = leash.leashed("/bin/echo", "it runs")
    ended = subprocess.run(
        [*command[:4], str(os.getppid()), *command[5:]], capture_output=True, check=False, timeout=20
    )

    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, b"")


def test_its_words_and_its_end_are_its_own() -> None:
    """On the leash, a program gets its arguments as they are, and its exit code comes back."""
    ended = subprocess.run(
        leash.leashed("/bin/sh", "-c", 'printf "%s" "$1"; exit 7', "sh", "a b'$c"), capture_output=True, check=False
    )

    assert (ended.returncode, ended.stdout) == (7, b"a b'$c")
