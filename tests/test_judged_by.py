"""In what a recount differs from the worker that counts."""

from dataclasses import replace

import pytest

from redirector.judged_by import JudgedBy, differences

WORKER = JudgedBy(hold_ms=30_000, rules=2, gateways="0123456789abcdef")


def test_what_is_alike_differs_in_nothing() -> None:
    """Equal settings come to the same classes."""
    assert differences(WORKER, replace(WORKER)) == []


@pytest.mark.parametrize(
    ("what", "recount", "remedy"),
    [
        ("count_hold_ms", replace(WORKER, hold_ms=0), "REDIRECTOR_COUNT_HOLD_MS=30000"),
        ("rules", replace(WORKER, rules=1), "--rules"),
        ("gateways", replace(WORKER, gateways="fedcba9876543210"), "REDIRECTOR_GATEWAYS_FILE"),
    ],
)
def test_each_difference_is_named(what: str, recount: JudgedBy, remedy: str) -> None:
    """It has both values, and says what to do."""
    (found,) = differences(WORKER, recount)

    assert found.what == what
    assert found.worker != found.recount
    assert remedy in found.remedy


def test_all_are_named() -> None:
    """One does not hide another."""
    found = differences(WORKER, JudgedBy(0, 1, ""))

    assert [each.what for each in found] == ["count_hold_ms", "rules", "gateways"]
