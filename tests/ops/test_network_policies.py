"""Who may reach whom in the cluster, worked out from the network policies as a cluster does."""

from typing import Any

import pytest

from tests.ops.manifests import (
    ROLES,
    WORKLOADS,
    Manifest,
    containers,
    every_overlay,
    named,
    of_kind,
    overlay,
    pod_of,
    selects,
)

# Who asks: a namespace and the pod's labels.
INGRESS = ("ingress-nginx", {"app.kubernetes.io/name": "ingress-nginx"})
MONITORING = ("monitoring", {"app.kubernetes.io/name": "prometheus"})
TOOLING = ("marketing", {"redirector/client": "true"})
SOMEBODY_IN_MARKETING = ("marketing", dict[str, str]())
SOMEBODY = ("default", {"redirector/client": "true"})
INTERNAL = {(f"redirector-{role}", "internal") for role in ROLES}


@every_overlay
@pytest.mark.parametrize(
    ("who", "reaches"),
    [
        pytest.param(INGRESS, {("redirector-redirect", "public")}, id="ingress"),
        pytest.param(MONITORING, INTERNAL, id="monitoring"),
        pytest.param(TOOLING, {("redirector-api", "internal")}, id="tooling"),
        pytest.param(SOMEBODY_IN_MARKETING, set(), id="somebody in the namespace of the tooling"),
        pytest.param(SOMEBODY, set(), id="somebody"),
    ],
)
def test_only_who_is_meant_gets_in(
    manifests: tuple[Manifest, ...], who: tuple[str, dict[str, str]], reaches: set[tuple[str, str]]
) -> None:
    """The network policies let in the ingress to the public port, and monitoring and tooling to the internal one."""
    reached = {
        (workload["metadata"]["name"], port["name"])
        for workload, container in containers(manifests)
        for port in container.get("ports", [])
        if lets_in(manifests, who, pod_of(workload)["metadata"]["labels"], port)
    }

    assert reached == reaches


def test_store_is_reached_by_the_program_only() -> None:
    """In `single`, the roles and the nightly rewriting may go to the store, and nobody else gets in."""
    manifests = overlay("single")
    store = pod_of(named(manifests, "StatefulSet", "redirector-valkey"))
    (port,) = store["spec"]["containers"][0]["ports"]

    let_in = {
        each["metadata"]["name"]
        for each in of_kind(manifests, *WORKLOADS)
        if lets_in(manifests, ("redirector", pod_of(each)["metadata"]["labels"]), store["metadata"]["labels"], port)
    }

    assert let_in == {*(f"redirector-{role}" for role in ROLES), "redirector-valkey-rewrite"}


@every_overlay
def test_pods_reach_names_and_the_store_only(manifests: tuple[Manifest, ...]) -> None:
    """Of everything outside, a role reaches the cluster's names and the store; Valkey reaches names alone."""
    for each in of_kind(manifests, *WORKLOADS):
        labels = pod_of(each)["metadata"]["labels"]
        ports = {
            (port["port"], port.get("protocol", "TCP"))
            for policy in policies_for(manifests, labels, "Egress")
            for rule in policy["spec"].get("egress", [])
            for port in rule["ports"]
        }
        to_store = set() if each["metadata"]["name"] == "redirector-valkey" else {(6379, "TCP")}
        assert ports == {(53, "UDP"), (53, "TCP")} | to_store, each["metadata"]["name"]


def policies_for(manifests: tuple[Manifest, ...], labels: dict[str, str], direction: str) -> list[Manifest]:
    """The network policies about a pod in one direction; there must be one, or all would be allowed."""
    found = [
        each
        for each in of_kind(manifests, "NetworkPolicy")
        if direction in each["spec"]["policyTypes"] and selects(each["spec"]["podSelector"], labels)
    ]
    assert found
    return found


def lets_in(
    manifests: tuple[Manifest, ...], who: tuple[str, dict[str, str]], labels: dict[str, str], port: dict[str, Any]
) -> bool:
    """Whether the policies let a pod of this namespace and labels in to the port of a pod with those labels."""
    return any(
        any(is_meant(peer, *who) for peer in rule["from"])
        and any(each["port"] in {port["name"], port["containerPort"]} for each in rule["ports"])
        for policy in policies_for(manifests, labels, "Ingress")
        for rule in policy["spec"].get("ingress", [])
    )


def is_meant(peer: Manifest, namespace: str, labels: dict[str, str]) -> bool:
    """Whether a policy's peer is this pod; one without a namespace is in the policy's own."""
    there = {"matchLabels": {"kubernetes.io/metadata.name": "redirector"}}
    return selects(peer.get("namespaceSelector", there), {"kubernetes.io/metadata.name": namespace}) and selects(
        peer.get("podSelector", {}), labels
    )
