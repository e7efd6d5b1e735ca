"""The API's shapes, and errors on their way from the server to the client."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector import wire
from redirector.errors import (
    InvalidDestination,
    InvalidInput,
    KeyMissing,
    MalformedBody,
    RedirectorError,
    UnexpectedAnswer,
    UnknownLink,
)
from redirector.wire import (
    EPOCH,
    LAST_MOMENT,
    STATUSES,
    LinkIn,
    LinkPatch,
    Problem,
    error_from,
    from_ms,
    parse,
    parse_json,
    problem,
    to_ms,
)
from tests.builders import NOON
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


NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_json_is_read(value: object) -> None:
    """What the standard library writes is read as the same value."""
    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_malformed(body: bytes) -> None:
    """Other bytes raise MalformedBody, and nothing else."""
    try:
        value = parse_json(body)
    except MalformedBody:
        return

    assert json.loads(body) == value


def test_malformed_body_says_where() -> None:
    """The place at which it stops being JSON is named."""
    with pytest.raises(MalformedBody, match="line 2 column 3"):
        parse_json(b'{"a": 1,\n  }')


def test_name_that_stands_twice_is_named() -> None:
    """Of two members of one name nobody knows which was meant."""
    with pytest.raises(MalformedBody, match="'label' stands twice"):
        parse_json(b'{"label": 1, "other": {"label": 2}, "label": 3}')


@given(JSON)
def test_any_value_is_a_link_or_invalid(value: object) -> None:
    """Whatever JSON comes in a link's place raises InvalidInput, and nothing else."""
    try:
        link = parse(LinkIn, value, "/3")
    except InvalidInput as error:
        assert all(each.field.startswith("/3") for each in (error, *error.others))
        return

    assert link.destination


def test_pointer_escapes_what_pointers_must() -> None:
    """`~` and `/` in a name are written as RFC 6901 has it."""
    with pytest.raises(InvalidInput) as caught:
        parse(LinkPatch, {"a/b~c": 1})

    assert caught.value.field == "/a~1b~0c"


@pytest.mark.parametrize("ms", [0, 1, NOON, NOON + 1, NOON + 999, to_ms(LAST_MOMENT)])
def test_moment_comes_back_to_the_millisecond(ms: int) -> None:
    """Unix ms and moments are the same, without a rounding error."""
    assert to_ms(from_ms(ms)) == ms


@given(st.datetimes(*(day.replace(tzinfo=None) for day in (EPOCH, LAST_MOMENT)), timezones=st.just(UTC)))
def test_moment_is_cut_to_its_millisecond(moment: datetime) -> None:
    """What is finer than a millisecond is left out, never rounded up."""
    back = from_ms(to_ms(moment))

    assert back is not None
    assert timedelta(0) <= moment - back < timedelta(milliseconds=1)


def test_no_moment_is_none() -> None:
    """What does not expire has no moment, either way."""
    assert (to_ms(None), from_ms(None)) == (None, None)


MOMENTS = {
    "UTC": ("2026-12-31T23:59:59Z", "2026-12-31T23:59:59+00:00"),
    "small letters": ("2026-12-31t23:59:59z", "2026-12-31T23:59:59+00:00"),
    "a space": ("2026-12-31 23:59:59+02:00", "2026-12-31T21:59:59+00:00"),
    "a fraction": ("2026-12-31T23:59:59.123-05:00", "2027-01-01T04:59:59.123000+00:00"),
    "the first": ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00+00:00"),
    "the last": ("9999-12-31T14:00:00+14:00", "9999-12-31T00:00:00+00:00"),
}


@pytest.mark.parametrize(("written", "meant"), MOMENTS.values(), ids=MOMENTS.keys())
def test_moment_is_read_as_rfc_3339_has_it(written: str, meant: str) -> None:
    """Any offset, with or without a fraction."""
    patch = parse(LinkPatch, {"expires_at": written})

    assert patch.expires_at == datetime.fromisoformat(meant)


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.datetimes())
def test_other_moments_are_invalid(value: object) -> None:
    """Numbers, dates, moments without an offset: all of them are refused with a pointer."""
    with pytest.raises(InvalidInput) as caught:
        parse(LinkPatch, {"expires_at": value})

    assert caught.value.field.startswith("/expires_at")


def test_shapes_are_closed() -> None:
    """Every shape of the API refuses fields that it does not have, and values of other types."""
    shapes = [each for each in vars(wire).values() if isinstance(each, type) and issubclass(each, wire.Shape)]

    assert Problem in shapes
    assert all(shape.model_config.get("extra") == "forbid" and shape.model_config.get("strict") for shape in shapes)
