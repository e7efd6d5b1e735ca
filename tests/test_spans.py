"""Spans of time and ends of validity, as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector.errors import InvalidInput
from redirector.spans import end_at, span_ms, utc
from tests.builders import NOON

DAY_MS = 24 * 3600 * 1000

ENDS = {
    "30m": NOON + 30 * 60 * 1000,
    "12h": NOON + 12 * 3600 * 1000,
    "90d": NOON + 90 * DAY_MS,
    "8w": NOON + 56 * DAY_MS,
    "2026-11-24": NOON + DAY_MS // 2,
    "2028-02-29": 1_835_395_200_000,
}


@pytest.mark.parametrize(("written", "meant"), ENDS.items(), ids=ENDS.keys())
def test_end_is_a_span_or_a_day(written: str, meant: int) -> None:
    """A span counts from now; a day means its first moment in UTC."""
    assert end_at(written, NOON, "--expires") == meant


WRONG = [
    "",
    "90",
    "d",
    "0d",
    "-1d",
    "1.5d",
    "90 d",
    "90D",
    "1y",
    "9999999d",
    "٣d",
    "2026-11-23",
    "1970-01-01",
    "2026-02-30",
]
WRONG += ["2026-11-24T00:00:00Z", "24.11.2026", "never", "90d\n", "2026-11-24\n"]


@pytest.mark.parametrize("written", WRONG)
def test_wrong_end_is_refused(written: str) -> None:
    """What is neither, and what is over, is refused with the flag and a remedy."""
    with pytest.raises(InvalidInput) as refused:
        end_at(written, NOON, "--expires")

    assert refused.value.field == "--expires"
    assert refused.value.part == written
    assert refused.value.remedy


@given(st.text())
def test_any_text_is_an_end_or_refused(written: str) -> None:
    """Nothing but InvalidInput comes out, and no moment that is over."""
    try:
        assert end_at(written, NOON, "--expires") > NOON
    except InvalidInput:
        return


def test_span_is_no_day() -> None:
    """Where only a span will do, a day is refused."""
    with pytest.raises(InvalidInput, match="no span of time"):
        span_ms("2026-11-24", "--since")


def test_moment_is_shown_in_utc() -> None:
    """As RFC 3339 has it, to the second."""
    assert utc(NOON) == "2026-11-23T12:00:00Z"
