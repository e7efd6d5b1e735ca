"""The rule files of config/prometheus as the Prometheus operator wants them: one object, with all their groups.

`make k8s-rules` writes it; a test asserts that it was done.
"""

from pathlib import Path

import yaml

from tests.ops.manifests import K8S, ROOT

RULES = ROOT / "config" / "prometheus" / "rules"
WRITTEN = K8S / "components" / "prometheus-operator" / "prometheus-rule.yaml"


def prometheus_rule(directory: Path) -> str:
    """The object with the groups of every rule file in the directory, as YAML."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.yml"))]
    labels = {f"app.kubernetes.io/{name}": "redirector" for name in ("name", "instance")}
    labels |= {"app.kubernetes.io/component": "monitoring", "app.kubernetes.io/managed-by": "kustomize"}
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "redirector", "labels": labels},
        "spec": {"groups": [group for file in files for group in file["groups"]]},
    }
    head = "# Written by `make k8s-rules` from config/prometheus/rules: change those.\n"
    return head + yaml.safe_dump(rule, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    WRITTEN.write_text(prometheus_rule(RULES), encoding="utf-8")
