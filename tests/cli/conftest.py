"""The command line within the test's own process: quicker than a process for each of many cases."""

import io
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from redirector.cli.main import main
from redirector.installation import Running


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did: its exit code, its results, and its words."""

    code: object
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """The results as text."""
        return self.stdout.decode()


Command = Callable[..., Outcome]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], directory: Path) -> Command:
    """Runs the program's entry point over an empty data directory, with these variables and no others."""

    def run(*arguments: str, stdin: bytes = b"", **environment: str) -> Outcome:
        level = logging.getLogger("redirector").level
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("REDIRECTOR_")]:
                patch.delenv(name)
            for name, value in {"XDG_DATA_HOME": str(directory), "REDIRECTOR_DEBUG": "", **environment}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["redirector", *arguments])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            patch.setattr(sys, "excepthook", sys.excepthook)  # typer sets one
            with pytest.raises(SystemExit) as ended:
                main()
        logging.getLogger("redirector").setLevel(level)
        stdout, stderr = capfdbinary.readouterr()
        return Outcome(ended.value.code, stdout, stderr.decode())

    return run


@pytest.fixture
def there(server: Running) -> dict[str, str]:
    """The variables that lead to the server which runs for all tests."""
    return {"REDIRECTOR_URL": server.internal_url, "REDIRECTOR_API_KEY": server.api_key}
