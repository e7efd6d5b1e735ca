"""A clicker is whoever can be told from others: a recipient by their token, a visitor by a day and that day's hash.

Both are one whole number below 2**61, so that a set of millions is an array: a recipient's is the token itself, and
a visitor's is 2**60 and more, with the hash above the day. So both are spread evenly.
"""

from typing import Final

DAY_MS: Final = 24 * 3600 * 1000

FIRST_VISITOR: Final = 2**60
END: Final = 2**61
MAX_DIGITS: Final = 19

_HASHES: Final = 2**31  # as many as `privacy.visitor_hash` gives
_DAY_BITS: Final = 29
_DAYS: Final = 2**_DAY_BITS


def visitor(day: int, visitor_hash: int) -> int:
    """The visitor with this hash (below 2**31) on this day (days since 1970, UTC)."""
    return FIRST_VISITOR + (visitor_hash << _DAY_BITS) + day


def is_visitor(clicker: int) -> bool:
    """Whether it is a visitor of a day, and not a recipient."""
    return clicker >= FIRST_VISITOR


def day_of(visitor: int) -> int:
    """The day of a visitor."""
    return visitor % _DAYS


def clicker_from(text: str) -> int | None:
    """The clicker that decimal digits stand for; None for every other text."""
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        return None
    clicker = int(text)
    return clicker if 0 < clicker < END else None


def clicker_of(recipient: str, visitor_hash: str, at: int) -> int | None:
    """Whose click it was, by the fields of the stream and its moment (Unix ms); None when nobody can tell."""
    if recipient:
        found = clicker_from(recipient)
        return None if found is None or is_visitor(found) else found
    number = clicker_from(visitor_hash)
    if number is None or number >= _HASHES or not 0 <= at // DAY_MS < _DAYS:
        return None
    return visitor(at // DAY_MS, number)
