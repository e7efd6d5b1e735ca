"""Each alert has a page to follow, and what that page names exists."""

import re
import shlex
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from redirector.count import UNCOUNTED_REASONS
from redirector.follow import Outcome
from redirector.losses import LOST_REASONS
from redirector.metrics import CLICKS, TOPIC_CLICKS
from redirector.settings import Settings
from tests.conftest import Run
from tests.ops.shipped import ROOT, RUNBOOKS, alerts, code, panel_queries, recordings, rules

PAGES = sorted(RUNBOOKS.glob("*.md"))
MONITORING = ROOT / "docs" / "monitoring.md"
SECTIONS = ["What readers notice", "What to look at", "What to do"]
OF_POISON = {"poison_id", "poison_reason"}
OF_PROMETHEUS = {"rule_files", "runbook_url", "scrape_configs"}

each_page = pytest.mark.parametrize("page", [*PAGES, MONITORING], ids=lambda page: page.stem)
COMMANDS = sorted(
    {
        " ".join(command)
        for page in [*PAGES, MONITORING]
        for text in [*code("sh", page), *re.findall("`(redirector [^`]+)`", page.read_text(encoding="utf-8"))]
        for line in text.splitlines()
        if (command := shlex.split(line))[:1] == ["redirector"]
    }
)


def families() -> dict[str, str]:
    """The program's metrics with their types, by the names that Prometheus has for them."""
    known = {f"{name}_total": "counter" for name, *_ in (CLICKS, TOPIC_CLICKS)}
    for family in REGISTRY.collect():
        if family.name.startswith("redirector_"):
            known[family.name + ("_total" if family.type == "counter" else "")] = family.type
    return known


def metric_names() -> set[str]:
    """The names of all series that the program exports."""
    parts = [f"{name}_{part}" for name, kind in families().items() if kind == "histogram" for part in HISTOGRAM]
    return {*families(), *parts}


HISTOGRAM = ("bucket", "count", "sum")


def test_each_alert_has_its_page() -> None:
    """And no page is about an alert that was removed."""
    assert [page.stem for page in PAGES] == sorted(alerts())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_answers_what_one_asks_at_night(page: Path) -> None:
    """What it means, what readers notice, what to look at and what to do, on one screen or two."""
    text = page.read_text(encoding="utf-8")

    assert text.startswith(f"# {page.stem}\n")
    assert re.findall("^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert len(text.splitlines()) < 60


@pytest.mark.parametrize("command", COMMANDS)
def test_command_exists(run: Run, command: str) -> None:
    """Each command that a page names has help."""
    shown = run(*shlex.split(command)[1:], "--help")

    assert shown.returncode == 0, shown.stderr
    assert "Usage:" in shown.stdout


@each_page
def test_metrics_exist(page: Path) -> None:
    """Each metric that a page names is the program's, or recorded by a rule."""
    named = set(re.findall(r"\bredirector(?:_[a-z_]+|:[\w:]+)", page.read_text(encoding="utf-8")))

    assert named <= metric_names() | recordings().keys()


def test_metrics_of_the_rules_exist() -> None:
    """A rule about a metric that was renamed would never have an answer."""
    named = {name for rule in rules() for name in re.findall(r"\bredirector(?:_[a-z_]+|:[\w:]+)", rule["expr"])}

    assert named <= metric_names() | recordings().keys()


@each_page
def test_settings_and_labels_exist(page: Path) -> None:
    """Each name in a page's running text is a setting, a reason, an outcome, or of Prometheus."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)

    named = {name for name in re.findall("`([a-z]+(?:_[a-z]+)+)`", text) if not name.startswith("redirector_")}
    assert named <= {*Settings.model_fields, *LOST_REASONS, *UNCOUNTED_REASONS, *Outcome, *OF_PROMETHEUS, *OF_POISON}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link leads to a file of the repository."""
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_metric_is_explained() -> None:
    """The list in the documents is complete, and has nothing that is not there."""
    text = MONITORING.read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(redirector_\w+?)(?:\{[\w,]+\})?` \|", text, re.MULTILINE))

    assert listed == families().keys()


def test_every_metric_is_asked_for() -> None:
    """By a panel, by an alert, or by a rule that records something for them."""
    asked = [*(query.expr for query in panel_queries()), *(rule["expr"] for rule in rules())]
    named = {name for expr in asked for name in re.findall(r"\bredirector_\w+", expr)}

    assert {re.sub(f"_({'|'.join(HISTOGRAM)})$", "", name) for name in named} >= families().keys()
