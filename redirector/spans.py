"""Spans of time and ends of validity as people write them: `90d`, `12h`, `2027-03-01`."""

import re
from datetime import UTC, date, datetime
from typing import Final

from redirector.errors import InvalidInput

_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([mhdw])")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def span_ms(text: str, field: str) -> int:
    """A span in ms: a whole number of minutes (m), hours (h), days (d) or weeks (w). Raises InvalidInput."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise InvalidInput("this is no span of time", field=field, part=text, remedy="write it like 30m, 12h, 90d, 8w")
    return int(match[1]) * _MS[match[2]]


def end_at(text: str, now: int, field: str) -> int:
    """The moment (Unix ms) at which something ends: a span from `now`, or the first moment of a day in UTC.

    Raises InvalidInput, also for a moment that is over, and for one after the year 9999.
    """
    try:
        moment = _day(text) if _DATE.fullmatch(text) else now + span_ms(text, field)
    except ValueError:
        raise InvalidInput("there is no such day", field=field, part=text, remedy="see a calendar") from None
    except InvalidInput:
        remedy = "write it like 90d, or as the day on which it ends: 2027-03-01"
        raise InvalidInput("this is neither a span of time nor a day", field=field, part=text, remedy=remedy) from None
    if moment <= now:
        raise InvalidInput("this is over already", field=field, part=text, remedy="choose a later day")
    return moment


def utc(ms: int) -> str:
    """A moment (Unix ms) as RFC 3339 has it, to the second: 2026-11-23T12:00:00Z."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _day(text: str) -> int:
    day = date.fromisoformat(text)
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
