"""Errors in the words of the command line: what the user typed stands where the API's pointers stood."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from redirector.errors import RedirectorError

# The last name of a pointer, or the name of a parameter -> what the user typed.
TYPED: Final = {
    "campaign": "--campaign",
    "topic": "--topic",
    "topics": "--topic",
    "label": "--label",
    "expires_at": "--expires-at",
    "recipient": "--recipient",
    "charset": "--charset",
    "honeypot": "--honeypot",
    "name": "CAMPAIGN",
}
_PLACE: Final = re.compile(r"/?(?:(?P<row>\d+)/)?(?P<name>\w+)(?:/.*)?")
_SHOWN_OF_A_URL: Final = 100


@contextmanager
def as_typed() -> Iterator[None]:
    """Errors come out of this block as the user can mend them."""
    try:
        yield
    except RedirectorError as error:
        for each in (error, *error.others):
            typed(each)
        raise


def typed(error: RedirectorError, urls: Sequence[str] = ()) -> RedirectorError:
    """The error about what the user typed; `urls` are those of a list of links, in the order of its rows."""
    place = _PLACE.fullmatch(error.field)
    if place is None:
        return error
    if place["name"] == "destination" and place["row"] and int(place["row"]) < len(urls):
        url = urls[int(place["row"])]
        error.field = f"URL {url[:_SHOWN_OF_A_URL]!r}" + ("..." if len(url) > _SHOWN_OF_A_URL else "")
    else:
        error.field = TYPED.get(place["name"], error.field)
    return error


def all_of(errors: Iterable[RedirectorError]) -> RedirectorError:
    """One error that tells all of them; what several links have in common, such as a topic, is told once."""
    first, *others = {(error.field, error.detail, error.part): error for error in errors}.values()
    first.others = tuple(others)
    return first
