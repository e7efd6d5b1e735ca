"""docs/security.md is true: every test that it names is there, and no threat is without one."""

import re

import pytest

from tests.test_documents import document
from tests.test_readme import ROOT

ROW = re.compile(r"^\| (?P<input>[^|]+) \| (?P<behaviour>[^|]+) \| (?P<tests>[^|]+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")

# What must be in the table, in words that stand in the first column.
THREATS = [
    "tampered", "replayed", "recovered hashids salt", "enumeration", "open redirect by query", "path", "double slash",
    "backslash", "userinfo", "tab/newline/NUL", "IDN homograph", "zero-width", "full-width dot",
    "odd IPv4/IPv6 notations", "`javascript:`", "`data:`", "`file:`", "header injection through every stored field",
    "64 kB headers", "invalid UTF-8", "request smuggling", "CL+TE", "bad chunks", "slowloris", "oversized bodies",
    "deep JSON", "duplicate keys", "SSRF by the checker", "rebinding", "redirects to metadata addresses",
    "forged forwarding headers", "metrics label explosion: 10,000 topics", "key brute force", "stored XSS",
    "campaign, topic and link names", "CSV formula injection",
    "flooding opt-out and erase", "washing out the audit", "steady erasure requests",
]  # fmt: skip


def rows() -> list[re.Match[str]]:
    """The table's rows, without its head."""
    return [row for row in ROW.finditer(document("security")) if row["input"] not in {"input", "---"}]


def test_every_line_of_the_table_is_read() -> None:
    """A row with a bar too many would be passed over."""
    lines = [line for line in document("security").splitlines() if line.startswith("| ")]

    assert len(rows()) == len(lines) - 1 > 25


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["input"][:60])
def test_row_has_tests_that_are_there(row: re.Match[str]) -> None:
    """Each row says what happens, and names tests that exist under that name in that file."""
    named = TEST.findall(row["tests"])

    assert named
    assert TEST.sub("", row["tests"]).strip(", ") == ""
    for path, name in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^\s*(async )?def {name}\(", text, re.MULTILINE), f"{path} has no {name}"


@pytest.mark.parametrize("threat", THREATS)
def test_threat_is_in_the_table(threat: str) -> None:
    """What is known to be tried stands in a row."""
    assert [row for row in rows() if threat in row["input"]]
