"""Reports as CSV, for spreadsheets, which take a cell that begins like a formula for one."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TextIO

from redirector.wire import ReportOut, TopicsOut

# OWASP, "CSV Injection": what makes a formula of a cell in one program or another, full-width forms included. Space
# before it helps nobody, since some programs strip it.
_FORMULA: Final = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
_BREAKS: Final = frozenset("\t\r\n")

Row = Sequence[str | int]


def harmless(text: str) -> str:
    """The text as a cell that every spreadsheet shows, and none works out: an apostrophe goes before a formula."""
    return f"'{text}" if text[:1] in _BREAKS or text.lstrip()[:1] in _FORMULA else text


def write_csv(rows: Iterable[Row], out: TextIO) -> None:
    """Writes the rows as RFC 4180 has them; every text is quoted and harmless."""
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([harmless(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)


def topics_rows(topics: TopicsOut, classes: Sequence[str]) -> list[Row]:
    """A head, and a row a topic."""
    rows: list[Row] = [("topic", *classes, "all", "clickers")]
    rows += [(of.topic, *_counts(of.clicks, classes), of.unique_clickers) for of in topics.topics]
    return rows


def report_rows(report: ReportOut, classes: Sequence[str]) -> list[Row]:
    """A head, and a row a link; the clicks on links that no reader can see come last, in a row without a number."""
    rows: list[Row] = [("campaign", "link", "destination", "label", "topics", *classes, "all", "clickers")]
    rows += [
        (
            report.campaign,
            of.id,
            of.destination,
            of.label,
            " ".join(of.topics),
            *_counts(of.clicks, classes),
            of.unique_clickers,
        )
        for of in report.links
    ]
    if report.honeypot:
        rows.append((report.campaign, "", "", "honeypot", "", *_counts(report.honeypot, classes), 0))
    return rows


def _counts(clicks: Mapping[str, int], classes: Sequence[str]) -> tuple[int, ...]:
    return (*(clicks.get(class_, 0) for class_ in classes), sum(clicks.values()))
