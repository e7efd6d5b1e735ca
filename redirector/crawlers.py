"""The list of declared robots of https://github.com/monperrus/crawler-user-agents, searched in a bounded time.

The package asks its 1,500 expressions one after the other, which takes 40 ms for a crawler, and 5 ms for who only looks
a bit like one. Nearly all of them are plain text, so here each is looked for only if its rarest three characters occur.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from itertools import chain
from typing import Final, NamedTuple

import crawleruseragents

GRAM: Final = 3
_PLAIN: Final = re.compile(r"(?:[^\\.^$*+?{}\[\]|()]|\\[^A-Za-z0-9])+")
_ESCAPED: Final = re.compile(r"\\(.)")
_ANYTHING: Final = r"[\s\S]*"


class _Entry(NamedTuple):
    """`kind` is "crawler" or "previewer"."""

    found: Callable[[str], object]
    kind: str


class _Index(NamedTuple):
    by_gram: dict[str, list[_Entry]]
    others: list[_Entry]


def declared(user_agent: str) -> str:
    """What kind of robot the user agent declares: "crawler", "previewer" (it shows what a link leads to), or ""."""
    by_gram, others = index()
    possible = chain.from_iterable(by_gram[gram] for gram in _grams(user_agent) & by_gram.keys())
    kinds = {entry.kind for entry in chain(possible, others) if entry.found(user_agent)}
    return "previewer" if "previewer" in kinds else "crawler" if kinds else ""


@cache
def index() -> _Index:
    """The list's entries, by three characters that a user agent must have for them, and those that have no such."""
    wanted = [(each["pattern"], _kind(each.get("tags", ()))) for each in crawleruseragents.CRAWLER_USER_AGENTS_DATA]
    plain = {pattern: words for pattern, _ in wanted if (words := _words(pattern))}
    often = Counter(gram for words in plain.values() for word in words for gram in _grams(word))
    by_gram: dict[str, list[_Entry]] = defaultdict(list)
    others = []
    for pattern, kind in wanted:
        if words := plain.get(pattern, []):
            rarest = min(sorted(set().union(*map(_grams, words))), key=often.__getitem__)
            by_gram[rarest].append(_Entry(_finder(words), kind))
        else:
            expression = re.compile(pattern)
            begins = pattern.startswith("^") and "|" not in pattern
            others.append(_Entry(expression.match if begins else expression.search, kind))
    return _Index(dict(by_gram), others)


def _kind(tags: Iterable[str]) -> str:
    return "previewer" if "social-preview" in tags else "crawler"


def _words(pattern: str) -> list[str]:
    """The plain texts that the expression wants, one behind the other; none when it wants something else."""
    words = pattern.split(_ANYTHING)
    plain = all(_PLAIN.fullmatch(word) for word in words)
    words = [_ESCAPED.sub(r"\1", word) for word in words]
    return words if plain and all(len(word) >= GRAM for word in words) else []


def _finder(words: list[str]) -> Callable[[str], object]:
    def found(user_agent: str) -> bool:
        at = 0
        for word in words:
            at = user_agent.find(word, at)
            if at < 0:
                return False
            at += len(word)
        return True

    return found


def _grams(text: str) -> set[str]:
    return {text[at : at + GRAM] for at in range(len(text) - GRAM + 1)}
