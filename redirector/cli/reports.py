"""`report` and `topics`: the numbers, in the terminal."""

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import typer
from rich.bar import Bar
from rich.table import Table
from rich.text import Text

from redirector.cli.console import print_json, results, table
from redirector.cli.options import ConfigOption, DataDirOption, JSONOption, client_of
from redirector.cli.sheets import report_rows, topics_rows, write_csv
from redirector.cli.typed import as_typed
from redirector.clicks import ClickClass
from redirector.wire import BreakdownOut, FiguresOut, ReportOut, TopicsOut

CLASSES: Final = tuple(class_.value for class_ in ClickClass)

# Narrower, the destinations need the room that bars would take.
WIDE_ENOUGH_FOR_BARS: Final = 120


CSVOption = Annotated[bool, typer.Option("--csv", help="Print the result as CSV, for a spreadsheet.")]


def topics_command(
    *,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JSONOption = False,
    as_csv: CSVOption = False,
) -> None:
    """Show how much interest each topic found: clicks by class, and about how many different people clicked."""
    with client_of(data_dir, config) as client:
        topics = client.topics()
    if as_json:
        print_json(topics)
    elif as_csv:
        write_csv(topics_rows(topics, CLASSES), sys.stdout)
    else:
        results().print(topics_table(topics))


def report_command(
    campaign: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The campaign's name.")],
    *,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JSONOption = False,
    as_csv: CSVOption = False,
) -> None:
    """Show what a campaign achieved: clicks by class, link and hour, and what its readers read with."""
    with as_typed(), client_of(data_dir, config) as client:
        report = client.report(campaign)
    if as_json:
        print_json(report)
        return
    if as_csv:
        write_csv(report_rows(report, CLASSES), sys.stdout)
        return
    out = results()
    out.print(Text(_headline(report), style="bold"))
    out.print(Text(_figures(report.figures)))
    out.print()
    out.print(_links_table(report, bars=out.width >= WIDE_ENOUGH_FOR_BARS))
    if report.honeypot:
        out.print(Text(f"And {_honeypot(report.honeypot)} on a link that no reader can see."))
    if report.hours:
        out.print()
        out.print(_hours_table(report))
    if _humans(report.clicks):
        out.print()
        out.print(readers_table(report.breakdowns, min_cell=report.min_cell))


def topics_table(topics: TopicsOut, without_topic: Mapping[str, int] | None = None) -> Table:
    """A row a topic, the one with most human clicks first; the last row counts every click once.

    `without_topic` are the clicks on links that name none, where that is known.
    """
    classes = _seen([topics.clicks, *(topic.clicks for topic in topics.topics)])
    shown = table("topic", *classes, "all", "clickers", "", numbers=(*classes, "all", "clickers"))
    most = max((_humans(topic.clicks) for topic in topics.topics), default=0)
    for topic in sorted(topics.topics, key=lambda topic: (-_humans(topic.clicks), topic.topic)):
        bar = _bar(_humans(topic.clicks), most)
        shown.add_row(topic.topic, *_numbers(topic.clicks, classes), f"{topic.unique_clickers:,}", bar)
    if without_topic:
        shown.add_row("(no topic)", *_numbers(without_topic, classes), "", "")
    shown.add_section()
    shown.add_row("all clicks", *_numbers(topics.clicks, classes), "", "", style="bold")
    return shown


def _links_table(report: ReportOut, *, bars: bool) -> Table:
    classes = _seen([link.clicks for link in report.links])
    columns = ("link", "topics", *classes, "clickers", *([""] if bars else []), "destination")
    shown = table(*columns, numbers=("link", *classes, "clickers"))
    most = max((_humans(link.clicks) for link in report.links), default=0)
    for link in sorted(report.links, key=lambda link: (-_humans(link.clicks), link.id)):
        label = f"  ({link.label})" if link.label else ""
        shown.add_row(
            str(link.id),
            ", ".join(link.topics),
            *_numbers(link.clicks, classes)[:-1],
            f"{link.unique_clickers:,}",
            *([_bar(_humans(link.clicks), most)] if bars else []),
            Text(link.destination + label),
        )
    return shown


def _honeypot(clicks: Mapping[str, int]) -> str:
    by_class = ", ".join(f"{clicks[class_]:,} {class_}" for class_ in CLASSES if class_ in clicks)
    return f"{sum(clicks.values()):,} clicks ({by_class})"


def _hours_table(report: ReportOut) -> Table:
    classes = _seen([hour.clicks for hour in report.hours])
    shown = table("hour (UTC)", *classes, "", numbers=classes)
    most = max(_humans(hour.clicks) for hour in report.hours)
    for hour in report.hours:
        bar = _bar(_humans(hour.clicks), most)
        shown.add_row(f"{hour.hour:%Y-%m-%d %H:%M}", *_numbers(hour.clicks, classes)[:-1], bar)
    return shown


def readers_table(breakdowns: Mapping[str, BreakdownOut | None], *, min_cell: int) -> Table:
    """A row a breakdown, with what was merged last."""
    shown = table("readers", "human clicks")
    for name, breakdown in breakdowns.items():
        too_few = f"too few to show (cells of {min_cell} or more)"
        shown.add_row(name, Text(_cells(breakdown) if breakdown else too_few))
    return shown


def _cells(breakdown: BreakdownOut) -> str:
    cells = [*breakdown.cells.items(), *([("all others", breakdown.other)] if breakdown.other else [])]
    return ", ".join(f"{value} {clicks:,}" for value, clicks in cells)


def _headline(report: ReportOut) -> str:
    parts = [report.campaign, f"{_humans(report.clicks):,} human clicks of {sum(report.clicks.values()):,}"]
    parts.append(f"about {report.unique_clickers:,} different people")
    if report.sent is not None:
        parts.append(f"{report.sent:,} mails sent")
    if report.click_rate is not None:
        parts.append(f"click rate {report.click_rate:.1%}")
    return "  ·  ".join(parts)


def _figures(figures: FiguresOut) -> str:
    return (
        f"clicks: {figures.all:,} in all, {figures.without_certain:,} without those that are certainly no readers', "
        f"{figures.without_certain_and_suspect:,} without suspects either"
    )


def _humans(clicks: Mapping[str, int]) -> int:
    return clicks.get(ClickClass.HUMAN, 0)


def _seen(all_clicks: Sequence[Mapping[str, int]]) -> tuple[str, ...]:
    """The classes that occur, humans always among them, in the order of ClickClass."""
    return tuple(class_ for class_ in CLASSES if class_ == "human" or any(class_ in clicks for clicks in all_clicks))


def _numbers(clicks: Mapping[str, int], classes: Sequence[str]) -> list[str]:
    return [f"{clicks.get(class_, 0):,}" for class_ in classes] + [f"{sum(clicks.values()):,}"]


def _bar(value: int, most: int) -> Bar:
    return Bar(most, 0, value, color="green")
