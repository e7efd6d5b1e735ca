"""What clusters with a Prometheus operator and a Grafana add: the files of config/, and nothing made up beside them."""

import json
from pathlib import Path

import yaml

from tests.ops.manifests import K8S, ROOT, named, of_kind, overlay, rendered
from tests.ops.prometheus_rule import RULES, WRITTEN, prometheus_rule

DASHBOARDS = ROOT / "config" / "grafana" / "dashboards"


def test_rules_are_those_of_prometheus() -> None:
    """The operator is given every group of the rule files, as they are."""
    assert WRITTEN.read_text(encoding="utf-8") == prometheus_rule(RULES), "run `make k8s-rules`"


def test_rule_object_is_what_the_operator_takes() -> None:
    """The object has groups of named rules, each of which records or alerts."""
    (rule,) = of_kind(overlay("production"), "PrometheusRule")

    assert rule["apiVersion"] == "monitoring.coreos.com/v1"
    assert rule["metadata"]["namespace"] == "redirector"
    assert rule["spec"].keys() == {"groups"}
    for group in rule["spec"]["groups"]:
        assert {"name", "rules"} <= group.keys() <= {"name", "rules", "interval", "limit", "labels"}
        for each in group["rules"]:
            assert "expr" in each
            assert len({"record", "alert"} & each.keys()) == 1


def test_groups_of_several_files_stand_together(tmp_path: Path) -> None:
    """Rule files become one object, in the order of their names."""
    (tmp_path / "b.yml").write_text("groups: [{name: second, rules: []}]", encoding="utf-8")
    (tmp_path / "a.yml").write_text("groups: [{name: first, rules: []}]", encoding="utf-8")

    made = yaml.safe_load(prometheus_rule(tmp_path))

    assert [group["name"] for group in made["spec"]["groups"]] == ["first", "second"]


def test_dashboards_are_those_of_grafana() -> None:
    """The component has each dashboard's file byte for byte, under the label that Grafana's sidecar looks for."""
    dashboards = {path.name: path.read_text(encoding="utf-8") for path in DASHBOARDS.glob("*.json")}

    made = named(rendered(K8S / "components" / "grafana"), "ConfigMap", "redirector-dashboards")

    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert made["data"] == dashboards
    assert all(json.loads(text)["uid"] for text in dashboards.values())
