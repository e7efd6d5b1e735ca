"""What the repository ships for Prometheus and Grafana, read for the tests."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "config" / "prometheus"
GRAFANA = ROOT / "config" / "grafana"
RUNBOOKS = ROOT / "docs" / "runbooks"
RULE_TESTS = sorted((Path(__file__).parent / "prometheus").glob("*.yml"))

Rule = dict[str, Any]
Panel = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a dashboard, and where it stands; `interval` is the panel's own least step."""

    place: str
    expr: str
    instant: bool
    interval: str = ""


def rules() -> list[Rule]:
    """Every rule, in the order of its file."""
    files = sorted((PROMETHEUS / "rules").glob("*.yml"))
    return [rule for path in files for group in read_yaml(path)["groups"] for rule in group["rules"]]


def alerts() -> dict[str, Rule]:
    """The alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def recordings() -> dict[str, Rule]:
    """The recording rules by the name of what they record."""
    return {rule["record"]: rule for rule in rules() if "record" in rule}


def dashboards() -> dict[str, dict[str, Any]]:
    """The dashboards by the name of their file."""
    paths = sorted((GRAFANA / "dashboards").glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def panels(dashboard: dict[str, Any]) -> list[Panel]:
    """The panels that show something: all but the rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def panel_queries() -> list[Query]:
    """Every query of every panel."""
    return [
        Query(
            f"{name}: {panel['title']} {target['refId']}", target["expr"], target["instant"], panel.get("interval", "")
        )
        for name, dashboard in dashboards().items()
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def annotation_queries() -> list[Query]:
    """What draws the vertical lines: rightly empty when nothing happens."""
    return [
        Query(f"{name}: {annotation['name']}", annotation["expr"], instant=False)
        for name, dashboard in dashboards().items()
        for annotation in dashboard["annotations"]["list"]
    ]


def read_yaml(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def runbook_queries() -> list[Query]:
    """Every query that a runbook tells an operator to ask."""
    return [
        Query(f"{page.stem} {number}", expr, instant=True)
        for page in sorted(RUNBOOKS.glob("*.md"))
        for number, expr in enumerate(code("promql", page), start=1)
    ]


def code(language: str, page: Path) -> list[str]:
    """The code blocks of a language in a Markdown file."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
