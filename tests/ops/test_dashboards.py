"""The dashboards can be imported anywhere, read by people, and walked through."""

import itertools
import json
import re
from collections import Counter
from typing import Any

import pytest

from tests.ops.shipped import (
    GRAFANA,
    PROMETHEUS,
    Panel,
    Query,
    annotation_queries,
    dashboards,
    panel_queries,
    panels,
    read_yaml,
)

COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

each_dashboard = pytest.mark.parametrize("name", dashboards())
each_panel = pytest.mark.parametrize(
    "panel",
    [
        pytest.param(panel, id=f"{name}: {panel['title']}")
        for name, board in dashboards().items()
        for panel in panels(board)
    ],
)
each_query = pytest.mark.parametrize("query", [*panel_queries(), *annotation_queries()], ids=lambda query: query.place)


@each_dashboard
def test_dashboard_keeps_its_address(name: str) -> None:
    """Its uid is that of its file, it has no number of any Grafana's own, and it says what it is for."""
    dashboard = dashboards()[name]

    assert dashboard["uid"] == f"redirector-{name}"
    assert dashboard["id"] is None
    assert dashboard["title"].startswith("Redirector: ")
    assert dashboard["description"].endswith(".")


@each_dashboard
def test_file_is_written_as_grafana_exports_it(name: str) -> None:
    """Two spaces, the order kept, a line's end at the end: a change in Grafana is a small difference here."""
    text = (GRAFANA / "dashboards" / f"{name}.json").read_text(encoding="utf-8")

    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"


@each_dashboard
def test_datasource_is_the_readers_choice(name: str) -> None:
    """Nothing names a datasource but the variable."""
    dashboard = dashboards()[name]

    (variable,) = [each for each in dashboard["templating"]["list"] if each["type"] == "datasource"]
    assert (variable["name"], variable["query"]) == ("datasource", "prometheus")
    assert [each for each in every("datasource", dashboard) if each != DATASOURCE] == []


@each_dashboard
def test_links_lead_somewhere(name: str) -> None:
    """Each dashboard links to the other one, and nowhere else."""
    uids = {dashboard["uid"] for dashboard in dashboards().values()}

    linked = {link["url"].removeprefix("/d/") for link in every_link(dashboards()[name])}

    assert linked == uids - {dashboards()[name]["uid"]}


@each_dashboard
def test_panels_have_numbers_of_their_own(name: str) -> None:
    """An address with a panel's number leads to one panel."""
    numbers = Counter(panel["id"] for panel in dashboards()[name]["panels"])

    assert numbers.most_common(1)[0][1] == 1


def test_panels_have_titles_of_their_own() -> None:
    """No two panels of a dashboard are called the same."""
    places = Counter(query.place for query in panel_queries())

    assert places.most_common(1)[0][1] == 1


@each_dashboard
def test_panels_lie_side_by_side(name: str) -> None:
    """None covers another, none hangs over the edge, and no line of the grid is empty."""
    cells: Counter[tuple[int, int]] = Counter()
    for panel in dashboards()[name]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        columns = range(place["x"], place["x"] + place["w"])
        cells.update(itertools.product(columns, range(place["y"], place["y"] + place["h"])))

    assert cells.most_common(1)[0][1] == 1
    assert len(cells) == COLUMNS * (1 + max(y for _, y in cells))


@each_panel
def test_panel_explains_itself(panel: Panel) -> None:
    """A title, sentences, a unit, and a query with a legend."""
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    assert all(target["legendFormat"] not in {"", "__auto"} for target in panel["targets"])


@each_query
def test_window_fits_the_zoom(query: Query) -> None:
    """A rate looks back as far as Grafana advises; a count, over the time that is shown or one of its bars."""
    windows = re.findall(r"(\w+)\([^()]*\[([^\]]+)\]", query.expr)

    assert query.expr.count("[") == len(windows)
    for function, window in windows:
        allowed = {"rate": {"$__rate_interval"}, "increase": {"$__rate_interval", "$__range", "$__interval"}}[function]
        assert window in allowed or query in annotation_queries()


@each_query
def test_query_asks_for_the_chosen_installation(query: Query) -> None:
    """Every series is narrowed down to the job that was chosen."""
    series = re.findall(r"(?:\bredirector[_:][\w:]+|\bALERTS\b|\bup\b)(\{[^}]*\})?", query.expr)

    assert series
    assert [labels for labels in series if 'job=~"$job"' not in labels] == []


@each_dashboard
def test_variables_that_are_used_are_there(name: str) -> None:
    """Every `$variable` in a query is one of the dashboard's or of Grafana's own."""
    dashboard = dashboards()[name]
    known = {variable["name"] for variable in dashboard["templating"]["list"]}

    used = {each for text in every("expr", dashboard) for each in re.findall(r"\$\{?(\w+)", text)}

    assert {each for each in used if not each.startswith("__")} <= known


def test_provisioned_interval_is_the_scrape_interval() -> None:
    """Grafana works out its rate interval from how often Prometheus scrapes."""
    (source,) = read_yaml(GRAFANA / "provisioning" / "datasources" / "redirector.yml")["datasources"]

    scraped_every = read_yaml(PROMETHEUS / "prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped_every
    assert source["url"] == "$PROMETHEUS_URL"


def test_dashboards_are_provisioned_from_files() -> None:
    """One provider, whose files Grafana does not overwrite."""
    (provider,) = read_yaml(GRAFANA / "provisioning" / "dashboards" / "redirector.yml")["providers"]

    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
    assert provider["options"]["path"].startswith("/")


def every(key: str, inside: Any) -> list[Any]:
    """All values of a key, at any depth."""
    if isinstance(inside, list):
        return [found for each in inside for found in every(key, each)]
    if isinstance(inside, dict):
        here = [inside[key]] if key in inside else []
        return [*here, *(found for value in inside.values() for found in every(key, value))]
    return []


def every_link(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """The links of the dashboard and of its panels."""
    return [link for links in every("links", dashboard) for link in links]
