"""Errors on their way from the server to the client."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector.errors import (
    InvalidDestination,
    InvalidInput,
    KeyMissing,
    RedirectorError,
    UnexpectedAnswer,
    UnknownLink,
)
from redirector.problems import STATUSES, error_from, problem
from tests.test_errors import CLASSES


def test_every_error_has_a_status() -> None:
    """The table has each code of the tree, in the order of the tree, and no other."""
    assert list(STATUSES) == [each.code for each in CLASSES]


@pytest.mark.parametrize("code", STATUSES)
def test_status_is_an_errors(code: str) -> None:
    """Each is a status of an error, with a title."""
    status, title = STATUSES[code]

    assert 400 <= status < 600
    assert title


@pytest.mark.parametrize("error", CLASSES, ids=lambda each: each.__name__)
def test_error_arrives_as_it_was_raised(error: type[RedirectorError]) -> None:
    """A problem becomes the same class with the same evidence on the other side."""
    raised = error("it is wrong", field="/a", part="b", remedy="mend it")

    arrived = error_from(problem(raised).model_dump_json().encode())

    assert type(arrived) is error
    assert str(arrived) == str(raised)
    assert (arrived.detail, arrived.field, arrived.part, arrived.remedy) == ("it is wrong", "/a", "b", "mend it")


def test_reason_of_a_destination_arrives() -> None:
    """A refused destination's reason is evidence too."""
    raised = InvalidDestination("no", reason="private_address", field="/destination", part="10.0.0.1")

    arrived = error_from(problem(raised).model_dump_json().encode())

    assert isinstance(arrived, InvalidDestination)
    assert arrived.reason == "private_address"


def test_other_errors_arrive_too() -> None:
    """What else is to be mended travels along, each as its own class."""
    raised = InvalidInput("one", field="/a", others=(InvalidDestination("two", field="/b"), KeyMissing("three")))

    arrived = error_from(problem(raised).model_dump_json().encode())

    assert [(type(each), each.detail, each.field) for each in arrived.others] == [
        (InvalidDestination, "two", "/b"),
        (KeyMissing, "three", ""),
    ]


def test_problem_is_rfc_9457() -> None:
    """Type, title, status and detail as the RFC names them, and what is to be mended."""
    shape = problem(UnknownLink("there is no link 7", part="7", remedy="see the list"))

    assert json.loads(shape.model_dump_json()) == {
        "type": "urn:redirector:problem:unknown_link",
        "title": "There is no such link",
        "status": 404,
        "detail": "there is no link 7 ('7'); see the list",
        "errors": [
            {
                "pointer": "",
                "detail": "there is no link 7",
                "code": "unknown_link",
                "reason": "",
                "part": "7",
                "remedy": "see the list",
            }
        ],
    }


def test_error_of_a_newer_server_is_an_error() -> None:
    """A code that this client does not know comes out as the root of the tree."""
    newer = problem(UnknownLink("gone")).model_dump_json().replace("unknown_link", "not_invented_yet")

    arrived = error_from(newer.encode())

    assert type(arrived) is RedirectorError
    assert arrived.detail == "gone"


NO_PROBLEMS = {
    "empty": b"",
    "not JSON": b"<html>",
    "another shape": b'{"error": "no"}',
    "a list": b"[]",
    "no errors": problem(RedirectorError("a")).model_copy(update={"errors": []}).model_dump_json().encode(),
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("body", NO_PROBLEMS.values(), ids=NO_PROBLEMS.keys())
def test_what_is_no_problem_is_unexpected(body: bytes) -> None:
    """An answer that is not understood is an error of its own."""
    assert isinstance(error_from(body), UnexpectedAnswer)


@given(st.binary())
def test_any_answer_becomes_an_error(body: bytes) -> None:
    """Whatever a server sends, an error comes out, and none is raised."""
    assert isinstance(error_from(body), RedirectorError)
