"""docs/operating.md says what is there: its commands are read, and run as far as they can be without an engine."""

import configparser
import os
import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from redirector.doctor import FILES
from redirector.settings import PREFIX, Settings
from tests.conftest import Run, needed
from tests.ops.dockerfile import instructions
from tests.ops.engine import GRACE_SECONDS
from tests.ops.manifests import (
    K8S,
    ROLES,
    ROOT,
    Manifest,
    containers,
    every_overlay,
    in_bytes,
    named,
    of_kind,
    overlay,
    pod_of,
)

DOCUMENT = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
INSTALLED = "/opt/redirector/bin"
COMMANDS = [shlex.split(line) for script in SCRIPTS for line in script.replace("\\\n", " ").splitlines() if line]


def beginning(*words: str) -> list[list[str]]:
    """The document's commands that begin so, without these words."""
    found = [command[len(words) :] for command in COMMANDS if command[: len(words)] == list(words)]
    assert found
    return found


def given(command: list[str], option: str) -> list[str]:
    """Each value of an option."""
    return [value for name, value in pairwise(command) if name == option]


def test_no_command_is_of_another_kind() -> None:
    """Every command is one of those that the tests below look at."""
    known = {("docker", "build"), ("docker", "run"), ("docker", "exec"), ("docker", "cp")}
    known |= {("kubectl", verb) for verb in ("create", "apply", "rollout", "exec")}
    known |= {
        ("python3", "-m"),
        (f"{INSTALLED}/pip", "install"),
        ("useradd", "--system"),
        ("systemctl", "enable"),
        ("sudo", "-u"),
    }

    others = [command for command in COMMANDS if "=" not in command[0] and command[0] != "mv"]
    assert {tuple(command[:2]) for command in others} == known


def test_files_are_replaced_in_one_step() -> None:
    """What is moved comes from below the directory it goes to: no copy that a reader may find half done."""
    moves = [command for command in COMMANDS if command[0] == "mv"]

    assert moves
    assert all(Path(target).parent in Path(source).parents for _, source, target in moves)


@pytest.mark.parametrize("script", SCRIPTS, ids=range(len(SCRIPTS)))
def test_shell_understands_the_commands(script: str) -> None:
    """The blocks are proper shell."""
    subprocess.run([needed("bash"), "-n"], input=script, text=True, check=True)


def unit() -> configparser.ConfigParser:
    """The document's systemd unit; what stands in it several times has the values in lines."""
    (block,) = re.findall(r"^```ini\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign] # systemd tells capitals apart
    read.read_string(re.sub(r"^Environment=(\w+)=", r"\1=", block, flags=re.MULTILINE))
    return read


def test_machine_is_installed_as_the_image_is() -> None:
    """The same locked packages, hashed, and then the program itself, into the directory that systemd starts it from."""
    (place,) = beginning("python3", "-m", "venv")
    of_index, itself = beginning(f"{INSTALLED}/pip", "install")

    assert f"{place[0]}/bin" == INSTALLED
    assert {"--require-hashes", "requirements/runtime.txt"} <= set(of_index)
    assert itself == ["--no-deps", "--no-build-isolation", "."]


def test_unit_starts_and_stops_the_program(run: Run) -> None:
    """It names a command that is there, the directory that systemd makes, known settings, and an end in order."""
    service = unit()["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    (user,) = (command[-1] for command in beginning("useradd"))
    settings = {name.removeprefix(PREFIX).lower(): value for name, value in service.items() if name.startswith(PREFIX)}

    assert program == f"{INSTALLED}/redirector"
    assert run(*arguments, "--help").returncode == 0
    assert service["User"] == user
    assert beginning("sudo", "-u") == [[user, program, "doctor", "--data-dir", settings["data_dir"]]]
    assert settings["data_dir"] == f"/var/lib/{service['StateDirectory']}"
    assert Settings.model_validate(settings).trusted_proxies == ("127.0.0.1",)
    assert int(service["LimitNOFILE"]) >= FILES
    assert (service["KillMode"], int(service["TimeoutStopSec"])) == ("mixed", GRACE_SECONDS)


def test_image_is_built_with_its_arguments() -> None:
    """The build arguments are those of the Dockerfile."""
    (build,) = beginning("docker", "build")
    arguments = {
        name
        for each in instructions((ROOT / "Dockerfile").read_text("utf-8"))
        if each.keyword == "ARG"
        for name in each.assigned()
    }

    assert {each.partition("=")[0] for each in given(build, "--build-arg")} == arguments


def test_container_is_run_as_it_was_tested() -> None:
    """Read-only, without privileges, with the image's volume and ports, known settings, and the grace period."""
    (run,) = beginning("docker", "run")
    steps = {each.keyword: each for each in instructions((ROOT / "Dockerfile").read_text("utf-8"))}

    assert {"--read-only", "--cap-drop", "--security-opt"} <= set(run)
    assert given(run, "--tmpfs") == ["/tmp"]
    assert given(run, "--stop-timeout") == [str(GRACE_SECONDS)]
    assert [each.partition(":")[2] for each in given(run, "--volume")] == [steps["VOLUME"].text]
    assert [each.rpartition(":")[2] for each in given(run, "--publish")] == steps["EXPOSE"].words()
    for each in given(run, "--env"):
        assert each.partition("=")[0].removeprefix(PREFIX).lower() in Settings.model_fields


def test_pods_have_the_same_grace_period() -> None:
    """Kubernetes waits as long."""
    for workload in of_kind(overlay("production"), "StatefulSet", "Deployment"):
        assert pod_of(workload)["spec"]["terminationGracePeriodSeconds"] == GRACE_SECONDS


SIZES = {
    found[1]: found.groups()[1:]
    for found in re.finditer(r"^\| (\w+) \| (\w+), (\w+) \| (\w+), (\w+) \| (.+) \|$", DOCUMENT, re.MULTILINE)
}


@every_overlay
def test_pods_are_as_large_as_the_document_says(manifests: tuple[Manifest, ...]) -> None:
    """Requests and limits are those of the table, and what was measured beside them fits in."""
    stay = [each for workload, each in containers(manifests) if workload["kind"] != "CronJob"]
    for container in stay:
        *bounds, measured = SIZES[container["name"]]
        resources = container["resources"]
        assert bounds == [resources[kind][what] for kind in ("requests", "limits") for what in ("cpu", "memory")]
        megabytes = [int(number) for number in re.findall(r"\b(\d+) MB\b", measured)]
        assert min(megabytes) * 1e6 <= in_bytes(resources["requests"]["memory"])
        assert max(megabytes) * 1e6 <= in_bytes(resources["limits"]["memory"]) * 2 / 3

    assert {container["name"] for container in stay} <= SIZES.keys() == {*ROLES, "valkey"}


def test_store_has_room_to_rewrite_its_file() -> None:
    """Valkey's limit of memory is the document's, and its container has twice that; its volume, thrice."""
    manifests = overlay("single")
    configured = named(manifests, "ConfigMap", "redirector-valkey")["data"]["valkey.conf"]
    (gigabytes,) = re.findall(r"^maxmemory (\d+)gb$", configured, re.MULTILINE)
    store = named(manifests, "StatefulSet", "redirector-valkey")
    (container,), (claim,) = pod_of(store)["spec"]["containers"], store["spec"]["volumeClaimTemplates"]

    used = int(gigabytes) << 30
    assert f"`maxmemory` of {used >> 20} MB" in DOCUMENT
    assert in_bytes(container["resources"]["limits"]["memory"]) >= 2 * used
    assert in_bytes(claim["spec"]["resources"]["requests"]["storage"]) >= 3 * used


def test_defaults_are_what_the_sizes_say() -> None:
    """The sizes are worked out for the settings' own defaults."""
    defaults = Settings()

    assert (defaults.workers, defaults.links_in_memory) == (1, 100_000)
    assert (defaults.stream_retention_days, defaults.spool_max_bytes) == (30, 1 << 30)
    assert f"The doctor wants {FILES:,} or more" in DOCUMENT


def test_commands_inside_are_the_programs(run: Run) -> None:
    """What is run in a container or a pod is a command of the program, with options that it has."""
    inside = {tuple(command[1:]) for command in beginning("docker", "exec")}
    inside |= {tuple(command[command.index("--") + 1 :]) for command in beginning("kubectl", "exec")}

    for program, *arguments in inside:
        assert program == "redirector"
        assert run(*arguments, "--help").returncode == 0, arguments


def test_secrets_have_the_keys_that_the_pods_want() -> None:
    """kubectl makes each Secret of the document, with exactly the keys that its overlay's pods are given."""
    made = [secret_of(script) for script in SCRIPTS if "create secret" in script]

    assert made == [secret_keys("single"), secret_keys("production")]


def secret_of(script: str) -> set[str]:
    """The keys of the Secret that a script makes, which kubectl prints instead of sending it."""
    lines = script.replace("\\\n", " ").splitlines()
    command = "\n".join(line for line in lines if line.startswith("password=") or "create secret" in line)
    kubectl = Path(needed("kubectl")).parent
    printed = subprocess.run(
        [needed("bash"), "-ec", command + " --dry-run=client --output=yaml"],
        env={"PATH": f"{kubectl}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    secret = yaml.safe_load(printed.stdout)
    assert (secret["metadata"]["name"], secret["metadata"]["namespace"]) == ("redirector", "redirector")
    return set(secret["data"])


def secret_keys(name: str) -> set[str]:
    """The keys of the Secret that an overlay's pods are given."""
    return {
        each["valueFrom"]["secretKeyRef"]["key"]
        for _, container in containers(overlay(name))
        for each in container.get("env", [])
    }


def test_objects_and_directories_are_there() -> None:
    """What kubectl is pointed at exists: overlays, and workloads by their kind and name."""
    applied = [given(command, "-k")[0] for command in beginning("kubectl", "apply")]
    workloads = {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in overlay("single")}
    pointed_at = {word for command in COMMANDS for word in command if re.match(r"(statefulset|deployment)/", word)}

    assert applied == ["k8s/overlays/single", "k8s/overlays/production"]
    assert pointed_at <= workloads


def test_files_that_are_named_are_there() -> None:
    """Every path under k8s/ in the document exists."""
    for path in re.findall(r"`(k8s/[^`]+)`", DOCUMENT):
        assert (K8S.parent / path).exists(), path
