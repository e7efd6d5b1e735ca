"""One tree of errors, each with a code that never changes and the evidence that it carries."""

import re

import pytest

from redirector import errors
from redirector.errors import InvalidDestination, InvalidInput, RedirectorError


def tree(root: type[RedirectorError]) -> list[tuple[int, type[RedirectorError]]]:
    """(depth, class) of the root and everything below, in the order of definition."""
    below = [(depth + 1, each) for child in root.__subclasses__() for depth, each in tree(child)]
    return [(0, root), *below]


CLASSES = [each for _, each in tree(RedirectorError)]
every_class = pytest.mark.parametrize("error", CLASSES, ids=lambda each: each.__name__)


def test_docstring_shows_the_tree() -> None:
    """The module's docstring lists exactly the classes that there are, each under its base."""
    lines = re.findall(r"^( *)\* (\w+)$", errors.__doc__ or "", re.MULTILINE)

    shown = [(len(indent) // 4, name) for indent, name in lines]
    assert shown == [(depth, each.__name__) for depth, each in tree(RedirectorError)]


def test_codes_are_unique() -> None:
    """No two classes share a code."""
    codes = [each.code for each in CLASSES]

    assert len(codes) == len(set(codes))


@every_class
def test_class_has_a_code_and_a_sentence_of_its_own(error: type[RedirectorError]) -> None:
    """The code is a word for programs, the docstring an instruction for people."""
    assert "code" in vars(error)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
    assert (vars(error)["__doc__"] or "").endswith(".")


@every_class
def test_evidence_is_kept(error: type[RedirectorError]) -> None:
    """Everything that it was raised with can be read from it."""
    other = RedirectorError("another")

    raised = error("it is wrong", field="/a", part="b", remedy="mend it", others=(other,))

    assert (raised.detail, raised.field, raised.part, raised.remedy) == ("it is wrong", "/a", "b", "mend it")
    assert raised.others == (other,)


def test_reason_of_a_destination_is_kept() -> None:
    """A refused destination says why in a stable word."""
    assert InvalidDestination("no", reason="scheme").reason == "scheme"


SENTENCES = {
    "all": ({"field": "/a", "part": "b'c", "remedy": "mend it"}, '/a: it is wrong ("b\'c"); mend it'),
    "nothing else": ({}, "it is wrong"),
    "field": ({"field": "--port"}, "--port: it is wrong"),
    "part": ({"part": "\x1b[31m"}, "it is wrong ('\\x1b[31m')"),
    "remedy": ({"remedy": "mend it"}, "it is wrong; mend it"),
}


@pytest.mark.parametrize(("evidence", "sentence"), SENTENCES.values(), ids=SENTENCES.keys())
def test_error_reads_as_one_sentence(evidence: dict[str, str], sentence: str) -> None:
    """Where, what, which piece, and what to do, as far as they are known; control characters are escaped."""
    error = RedirectorError(
        "it is wrong",
        field=evidence.get("field", ""),
        part=evidence.get("part", ""),
        remedy=evidence.get("remedy", ""),
    )

    assert str(error) == sentence


def test_offending_part_is_cut() -> None:
    """Of a long piece the first 100 characters are evidence enough."""
    assert InvalidInput("too long", part="x" * 1_000).part == "x" * 100


def test_offending_part_can_always_be_sent() -> None:
    """Half of a surrogate pair, which UTF-8 cannot carry, is shown as an escape."""
    part = InvalidInput("no text", part="a\ud800b").part

    assert part == "a\\ud800b"
    assert part.encode()
