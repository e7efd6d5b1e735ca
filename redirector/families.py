"""The names of programs and systems that may be kept: those that stand in ua-parser itself.

Where none fits, the parser copies a name out of the user agent, in which anything may stand: a telephone number, an
address, somebody's own name. Such a name is in none of its expressions, and is not kept.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final, NamedTuple

from ua_parser.core import Matcher
from ua_parser.loaders import load_lazy_builtins

# What a report and a stream's reader can show; a few of the names are regular expressions gone wrong.
_SHOWABLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .+_-]{0,31}")

# A plain text, some characters of which may be escaped; `\\d` and the like stand for others.
_PLAIN: Final = re.compile(r"(?:[^\\.^$*+?{}\[\]|()]|\\[^A-Za-z0-9])+")
_ESCAPED: Final = re.compile(r"\\(.)")
_PIECE: Final = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|.")
_GROUP: Final = re.compile(r"(?<!\\)\((?!\?)|$")

# Written in the parser's expressions as (?:Free|Open|Net|\b)BSD.
_BSD: Final = ("BSD", "FreeBSD", "OpenBSD", "NetBSD")


class Families(NamedTuple):
    """Names of programs and of systems."""

    clients: frozenset[str]
    systems: frozenset[str]


@cache
def known() -> Families:
    """The names, read once from the parser's data; takes some milliseconds."""
    clients, systems, _ = load_lazy_builtins()
    return Families(_names(clients), _names(systems).union(_BSD))


def _names(matchers: Iterable[Matcher[Any]]) -> frozenset[str]:
    templates = ((matcher.regex, getattr(matcher, "family", None) or "$1") for matcher in matchers)
    names = (name for expression, family in templates for name in _names_of(expression, family))
    return frozenset(name for name in names if _SHOWABLE.fullmatch(name)) - {"Other"}


def _names_of(expression: str, family: str) -> Iterator[str]:
    """The names that can come of an expression whose first group stands for `$1`, as far as they are written in it."""
    if "$1" not in family:
        yield family
        return
    for alternative in _alternatives(expression):
        if _PLAIN.fullmatch(alternative):
            yield family.replace("$1", _ESCAPED.sub(r"\1", alternative))


def _alternatives(expression: str) -> list[str]:
    """What the first group that the expression keeps may be, each an expression of its own."""
    found = [""]
    depth = 0
    for piece in _PIECE.findall(_GROUP.split(expression, maxsplit=1)[-1]):
        if piece == ")" and depth == 0:
            break
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if piece == "|" and depth == 0:
            found.append("")
        else:
            found[-1] += piece
    return found
