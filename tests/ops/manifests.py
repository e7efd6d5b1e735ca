"""What kustomize makes of k8s/, as Kubernetes would be given it."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import needed

ROOT = Path(__file__).parent.parent.parent
K8S = ROOT / "k8s"
Manifest = dict[str, Any]

OVERLAYS = ("single", "production")
ROLES = ("redirect", "api", "worker")
WORKLOADS = ("StatefulSet", "Deployment", "CronJob")


@cache
def rendered(directory: Path) -> tuple[Manifest, ...]:
    """Every object of a kustomization."""
    command = [needed("kubectl"), "kustomize", str(directory)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return tuple(yaml.safe_load_all(made.stdout))


def overlay(name: str) -> tuple[Manifest, ...]:
    """Every object of an overlay."""
    return rendered(K8S / "overlays" / name)


# The test's argument `manifests` is each overlay in turn.
every_overlay = pytest.mark.parametrize("manifests", OVERLAYS, indirect=True)


def of_kind(manifests: tuple[Manifest, ...], *kinds: str) -> list[Manifest]:
    """Those of these kinds."""
    return [each for each in manifests if each["kind"] in kinds]


def named(manifests: tuple[Manifest, ...], kind: str, name: str) -> Manifest:
    """The one object of this kind whose name, without the hash that kustomize adds, is this one."""
    (found,) = [each for each in of_kind(manifests, kind) if unhashed(each["metadata"]["name"]) == name]
    return found


def unhashed(name: str) -> str:
    """A generated name without its hash."""
    stem, _, tail = name.rpartition("-")
    return stem if len(tail) == 10 and set(tail) <= set("bcdfghkm2456789t") else name


def pod_of(workload: Manifest) -> Manifest:
    """The pod that a workload makes: its metadata and its spec."""
    spec = workload["spec"]
    template: Manifest = (spec["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else spec)["template"]
    return template


def containers(manifests: tuple[Manifest, ...]) -> Iterator[tuple[Manifest, Manifest]]:
    """Each container with its workload."""
    for workload in of_kind(manifests, *WORKLOADS):
        spec = pod_of(workload)["spec"]
        for container in (*spec.get("initContainers", []), *spec["containers"]):
            yield workload, container


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector fits; an empty one fits everything."""
    for each in selector.get("matchExpressions", []):
        assert each["operator"] == "In", "the tests know no other operator"
        if labels.get(each["key"]) not in each["values"]:
            return False
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())


def in_bytes(quantity: str) -> int:
    """A quantity of Kubernetes' in bytes."""
    number, unit = re.fullmatch(r"(\d+)([KMG]i)", quantity).groups()  # type: ignore[union-attr]
    return int(number) << {"Ki": 10, "Mi": 20, "Gi": 30}[unit]
