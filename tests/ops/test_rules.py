"""The shipped configuration of Prometheus is sound, and each alert fires when it should, and only then."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import needed
from tests.ops.shipped import PROMETHEUS, RULE_TESTS, Rule, alerts, read_yaml

SEVERITIES = {"page", "ticket"}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs promtool."""
    return subprocess.run([needed("promtool"), *arguments], capture_output=True, text=True, timeout=300, check=False)


def test_configuration_is_sound() -> None:
    """promtool finds nothing wrong with the configuration and the rules that it names."""
    checked = promtool("check", "config", "--lint-fatal", str(PROMETHEUS / "prometheus.yml"))

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "2 rule files found" in checked.stdout


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should(path: Path) -> None:
    """Each of a file's stories ends as it says."""
    tested = promtool("test", "rules", str(path))

    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("name", alerts())
def test_alert_is_tested_both_ways(name: str) -> None:
    """There is a story in which it fires, and one in which it stays quiet."""
    outcomes = {
        bool(expected["exp_alerts"])
        for path in RULE_TESTS
        for story in read_yaml(path)["tests"]
        for expected in story.get("alert_rule_test", ())
        if expected["alertname"] == name
    }

    assert outcomes == {True, False}


@pytest.mark.parametrize("alert", alerts().values(), ids=alerts())
def test_alert_says_what_an_operator_needs(alert: Rule) -> None:
    """How urgent it is, a sentence, and the address of its runbook, below one that the operator sets once."""
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in SEVERITIES
    assert alert["annotations"].keys() == {"summary", "runbook_url"}
    assert alert["annotations"]["summary"].endswith(".")
    assert alert["annotations"]["runbook_url"] == f"{{{{ $externalLabels.runbooks }}}}/{alert['alert']}.md"


def test_every_story_is_about_an_alert_that_exists() -> None:
    """A story about an alert that was renamed would stay quiet forever."""
    told = {
        expected["alertname"]
        for path in RULE_TESTS
        for story in read_yaml(path)["tests"]
        for expected in story.get("alert_rule_test", ())
    }

    assert told <= alerts().keys()


def test_external_label_is_set_where_the_operator_looks() -> None:
    """The address of the runbooks stands in the configuration, once."""
    assert read_yaml(PROMETHEUS / "prometheus.yml")["global"]["external_labels"] == {"runbooks": "docs/runbooks"}
