"""The cluster's files: valid for the API, safe by its strictest rules, and true to the program they run."""

from pathlib import Path
from shutil import copytree

import kubernetes_validate
import pytest

from redirector import __version__
from redirector.settings import PREFIX, Settings
from tests.ops.manifests import (
    K8S,
    OVERLAYS,
    ROLES,
    WORKLOADS,
    Manifest,
    containers,
    every_overlay,
    in_bytes,
    named,
    of_kind,
    overlay,
    pod_of,
    rendered,
    selects,
    unhashed,
)

CUSTOM = {"PodMonitor", "PrometheusRule"}

# The oldest version whose preStop can sleep, and the newest whose schemas there are.
VERSIONS = ("1.30", ".".join(kubernetes_validate.__version__.split(".")[:2]))


@every_overlay
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(manifests: tuple[Manifest, ...], version: str) -> None:
    """Kubernetes' own schemas take every object, and know every field."""
    for each in manifests:
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, version, strict=True)


def test_wrong_field_would_be_found() -> None:
    """The validation is strict: a misspelt field fails."""
    deployment = named(overlay("production"), "Deployment", "redirector-api")

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment | {"specs": {}}, VERSIONS[0], strict=True)


def test_pod_monitor_scrapes_every_role() -> None:
    """The Prometheus operator finds the pods of each role by their labels, and on each the port and path of metrics."""
    manifests = overlay("production")
    (monitor,) = of_kind(manifests, "PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]

    found = [
        container["name"]
        for workload, container in containers(manifests)
        if selects(monitor["spec"]["selector"], pod_of(workload)["metadata"]["labels"])
        and endpoint["port"] in {port["name"] for port in container["ports"]}
    ]

    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["spec"].keys() == {"jobLabel", "selector", "podMetricsEndpoints"}
    assert endpoint.keys() == {"port", "path", "interval", "scrapeTimeout", "metricRelabelings"}
    assert endpoint["path"] == "/metrics"
    assert sorted(found) == sorted(ROLES)


@every_overlay
def test_objects_have_the_recommended_labels(manifests: tuple[Manifest, ...]) -> None:
    """Every object says what it is, of which installation, which part, and in which version where it runs something."""
    wanted = {"name", "instance", "component", "part-of", "managed-by"}
    for each in manifests:
        labels = {name.removeprefix("app.kubernetes.io/") for name in each["metadata"]["labels"]}
        assert wanted <= labels, each["metadata"]["name"]
        if each["kind"] in WORKLOADS:
            assert "version" in labels
            assert wanted | {"version"} <= {
                name.removeprefix("app.kubernetes.io/") for name in pod_of(each)["metadata"]["labels"]
            }


@every_overlay
def test_version_is_the_programs(manifests: tuple[Manifest, ...]) -> None:
    """Image and label are of the version that stands beside them in the tree, and no claim for a volume names one."""
    for workload, container in containers(manifests):
        if container["name"] in ROLES:
            assert workload["metadata"]["labels"]["app.kubernetes.io/version"] == __version__
            assert container["image"].endswith(f"/redirector:{__version__}")
        for claim in workload["spec"].get("volumeClaimTemplates", []):
            assert "app.kubernetes.io/version" not in claim["metadata"]["labels"]


@every_overlay
def test_selectors_find_their_pods(manifests: tuple[Manifest, ...]) -> None:
    """Each workload, service, disruption budget and spread is about the pods of exactly one component."""
    pods = {each["metadata"]["name"]: pod_of(each)["metadata"]["labels"] for each in of_kind(manifests, *WORKLOADS)}
    for each in of_kind(manifests, "StatefulSet", "Deployment", "Service", "PodDisruptionBudget"):
        selector = each["spec"]["selector"]
        selector = {"matchLabels": selector} if each["kind"] == "Service" else selector
        found = [name for name, labels in pods.items() if selects(selector, labels)]
        assert len(found) == 1, each["metadata"]["name"]
        if each["kind"] in WORKLOADS:
            assert found == [each["metadata"]["name"]]
            for spread in pod_of(each)["spec"].get("topologySpreadConstraints", []):
                assert selects(spread["labelSelector"], pods[each["metadata"]["name"]])


@every_overlay
def test_pods_keep_the_restricted_standard(manifests: tuple[Manifest, ...]) -> None:
    """The namespace enforces the strictest Pod Security standard, and every pod would pass it."""
    namespace = named(manifests, "Namespace", "redirector")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"

    for each in of_kind(manifests, *WORKLOADS):
        spec = pod_of(each)["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any(spec.get(shared) for shared in ("hostNetwork", "hostPID", "hostIPC"))
        for volume in spec.get("volumes", []):
            assert volume.keys() - {"name"} <= {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}


@every_overlay
def test_containers_are_bounded(manifests: tuple[Manifest, ...]) -> None:
    """No container without requests, limits, dropped capabilities and a read-only root; none stays without probes."""
    for workload, container in containers(manifests):
        for bound in ("requests", "limits"):
            assert container["resources"][bound].keys() == {"cpu", "memory"}, container["name"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        if workload["kind"] != "CronJob":
            assert {"startupProbe", "livenessProbe", "readinessProbe", "lifecycle"} <= container.keys()
            grace = pod_of(workload)["spec"]["terminationGracePeriodSeconds"]
            assert container["lifecycle"]["preStop"]["sleep"]["seconds"] < grace / 2


@every_overlay
def test_pods_hold_no_token(manifests: tuple[Manifest, ...]) -> None:
    """No pod is given a token for the cluster's API, nor addresses of services in the names of settings."""
    accounts = {each["metadata"]["name"]: each for each in of_kind(manifests, "ServiceAccount")}
    for each in of_kind(manifests, *WORKLOADS):
        spec = pod_of(each)["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert accounts[spec["serviceAccountName"]]["automountServiceAccountToken"] is False


@every_overlay
def test_ports_and_volumes_are_named_alike(manifests: tuple[Manifest, ...]) -> None:
    """A probe's port is one of its container's, a mount one of its pod's volumes, a port the setting's default."""
    for workload, container in containers(manifests):
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            for how in ("httpGet", "tcpSocket"):
                assert container.get(probe, {}).get(how, {"port": "internal"})["port"] in {*ports, "internal"}
        for name, port in ports.items():
            assert name == "store" or port == Settings.model_fields[f"{name}_port"].default
        claims = workload["spec"].get("volumeClaimTemplates", [])
        volumes = {each["name"] for each in pod_of(workload)["spec"].get("volumes", [])}
        volumes |= {each["metadata"]["name"] for each in claims}
        assert {each["name"] for each in container.get("volumeMounts", [])} <= volumes


@every_overlay
def test_settings_are_known(manifests: tuple[Manifest, ...]) -> None:
    """Every key of the settings' ConfigMap, and every variable that begins so, is one that `config explain` knows."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    settings = named(manifests, "ConfigMap", "redirector")["data"]
    variables = {
        each["name"]
        for _, container in containers(manifests)
        for each in container.get("env", [])
        if each["name"].startswith(PREFIX)
    }

    assert settings
    assert settings.keys() <= known
    assert variables == {"REDIRECTOR_SECRET", "REDIRECTOR_STORE_URL"}


@every_overlay
def test_secrets_are_apart(manifests: tuple[Manifest, ...]) -> None:
    """No secret stands in the tree: they come from one Secret that the operator makes, and only these keys of it."""
    referred = {
        (each["valueFrom"]["secretKeyRef"]["name"], each["valueFrom"]["secretKeyRef"]["key"])
        for _, container in containers(manifests)
        for each in container.get("env", [])
    }

    assert of_kind(manifests, "Secret") == []
    assert {name for name, _ in referred} == {"redirector"}
    assert {key for _, key in referred} <= {"secret", "store-url", "store-password"}


@every_overlay
def test_ingress_leads_to_readers_only(manifests: tuple[Manifest, ...]) -> None:
    """The one ingress has the host of the base URL, with a certificate, and leads to the public port of redirects."""
    (ingress,) = of_kind(manifests, "Ingress")
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    service = named(manifests, "Service", path["backend"]["service"]["name"])
    base_url = named(manifests, "ConfigMap", "redirector")["data"]["REDIRECTOR_BASE_URL"]

    assert base_url == f"https://{rule['host']}"
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]
    assert service["spec"]["selector"]["app.kubernetes.io/component"] == "redirect"
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["public"]
    assert all(each["spec"].get("type", "ClusterIP") == "ClusterIP" for each in of_kind(manifests, "Service"))


def test_changed_setting_replaces_the_pods(tmp_path: Path) -> None:
    """Settings are in a ConfigMap whose name follows from what it says, and every role's pods name it."""
    copytree(K8S, tmp_path / "k8s")
    with (tmp_path / "k8s/overlays/production/redirector.env").open("a", encoding="utf-8") as file:
        file.write("REDIRECTOR_TOPICS_MAX=300\n")

    before, after = overlay("production"), rendered(tmp_path / "k8s/overlays/production")

    for role, workload in zip(ROLES, ("StatefulSet", "Deployment", "Deployment"), strict=True):
        old, new = (named(each, workload, f"redirector-{role}") for each in (before, after))
        (was,), (is_now,) = (pod_of(each)["spec"]["containers"][0]["envFrom"] for each in (old, new))
        assert unhashed(was["configMapRef"]["name"]) == "redirector" == unhashed(is_now["configMapRef"]["name"])
        assert was != is_now


def test_redirects_keep_clicks_on_a_volume() -> None:
    """The data directory is a volume of each pod's own that outlives it, and holds the spool at its largest."""
    for manifests in map(overlay, OVERLAYS):
        workload = named(manifests, "StatefulSet", "redirector-redirect")
        (claim,) = workload["spec"]["volumeClaimTemplates"]
        mounts = {each["name"]: each["mountPath"] for each in pod_of(workload)["spec"]["containers"][0]["volumeMounts"]}
        dockerfile = (K8S.parent / "Dockerfile").read_text(encoding="utf-8")

        assert f"REDIRECTOR_DATA_DIR={mounts[claim['metadata']['name']]}" in dockerfile
        assert workload["spec"]["persistentVolumeClaimRetentionPolicy"] == {
            "whenScaled": "Retain",
            "whenDeleted": "Retain",
        }
        assert in_bytes(claim["spec"]["resources"]["requests"]["storage"]) >= 2 * Settings().spool_max_bytes


def test_production_scales_and_gives_way() -> None:
    """The redirects' autoscaler and every role's disruption budget are there, and two pods of each at the least."""
    manifests = overlay("production")
    (scaler,) = of_kind(manifests, "HorizontalPodAutoscaler")
    redirect = named(manifests, "StatefulSet", "redirector-redirect")
    budgets = {
        each["metadata"]["name"]: each["spec"]["maxUnavailable"] for each in of_kind(manifests, "PodDisruptionBudget")
    }

    assert scaler["spec"]["scaleTargetRef"]["name"] == redirect["metadata"]["name"]
    assert "replicas" not in redirect["spec"], "or each apply would undo what the autoscaler did"
    assert scaler["spec"]["minReplicas"] >= 2
    assert budgets == {f"redirector-{role}": 1 for role in ROLES}
    assert {each["spec"]["replicas"] for each in of_kind(manifests, "Deployment")} == {2}
