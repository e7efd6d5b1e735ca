"""The API's shapes: what fits them, and what is said of all that does not."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector import problems, wire
from redirector.errors import InvalidInput, MalformedBody
from redirector.problems import Problem
from redirector.shape import Shape
from redirector.wire import EPOCH, LAST_MOMENT, LinkIn, LinkPatch, RecordedClick, from_ms, parse, parse_json, to_ms
from tests.builders import NOON

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
    """Every shape of the API refuses fields that it does not have, and values of other types.

    But for a click as the stream has it, whose fields may be those of a later version.
    """
    named = [*vars(wire).values(), *vars(problems).values()]
    shapes = [
        each for each in named if isinstance(each, type) and issubclass(each, Shape) and each is not RecordedClick
    ]

    assert {LinkIn, Problem} <= set(shapes)
    assert all(shape.model_config.get("extra") == "forbid" and shape.model_config.get("strict") for shape in shapes)
