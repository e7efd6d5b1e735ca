"""A click, on its way into the stream and out of it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from redirector.behaviour import Seen
from redirector.clicks import (
    MAX_FIELD_BYTES,
    OPTIONAL,
    REQUIRED,
    Click,
    ClickClass,
    _in_any_order,
    from_fields,
    packed,
)
from redirector.count import month_of
from redirector.errors import InvalidInput
from redirector.store.clicks import ClickAppender, ClickStream
from redirector.store.keys import Keys
from tests.builders import NOON, a_click
from tests.store.stores import entries

FIELDS = {
    "id": "test-1",
    "at": str(NOON),
    "link": "7",
    "campaign": "news",
    "topics": "solar,billing",
    "class": "human",
    "rule": "no-sign",
    "rules": "1",
}
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
CLICKS = st.builds(
    Click,
    id=WORDS,
    at=st.integers(0, 10**14 - 1),
    link=st.integers(1, 2**53 - 1),
    campaign=st.sampled_from(["news", "Frühling 2026, Teil 1", "{0}:*"]),
    topics=st.lists(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,9}", fullmatch=True), max_size=10, unique=True).map(tuple),
    class_=st.sampled_from(ClickClass),
    rule=WORDS,
    rules=st.integers(0, 99),
    **dict.fromkeys(OPTIONAL, WORDS),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clicks=st.lists(CLICKS, min_size=1, max_size=5))
async def test_clicks_come_out_of_the_stream_as_they_went_in(
    redis: Redis, store_url: str, keys: Keys, clicks: list[Click]
) -> None:
    """Packed, appended by the script, read by a group and parsed, a click is what it was."""
    await redis.delete(keys.clicks(), keys.recorder("p-1"))
    appender = ClickAppender(store_url, keys, deadline_seconds=5)
    await appender.open()
    await appender.append("p-1", 1, [packed(click) for click in clicks])
    await appender.close()
    stream = ClickStream(redis, keys, group="readers", consumer="one")
    await stream.join()

    assert [from_fields(flat) for _, flat in await stream.behind((0, 0), 10)] == clicks


async def test_what_is_not_known_is_not_there(redis: Redis, store_url: str, keys: Keys) -> None:
    """An entry has the fields that the contract promises, and of the others only those with a value."""
    appender = ClickAppender(store_url, keys, deadline_seconds=5)
    await appender.open()
    await appender.append("p-1", 1, [packed(a_click(client="Firefox"))])
    await appender.close()
    ((_, fields),) = await entries(redis, keys.clicks())

    assert {name.decode() for name in fields} == {*REQUIRED, "visitor", "client"}


def read(fields: Mapping[str, str]) -> Click:
    """The click of these fields, as they come from the stream."""
    return from_fields([part.encode("utf-8", "surrogatepass") for field in fields.items() for part in field])


@given(CLICKS)
def test_click_is_packed_as_its_names_and_values(click: Click) -> None:
    """All of them in the order of the contract, unknown ones left out, whatever was packed before."""
    texts = {"at": str(click.at), "link": str(click.link), "rules": str(click.rules), "topics": ",".join(click.topics)}
    values = click._asdict() | texts
    required = [part for name in REQUIRED for part in (name, values["class_" if name == "class" else name])]
    optional = [part for name in OPTIONAL if values[name] for part in (name, values[name])]

    assert msgpack.unpackb(packed(click)) == required + optional


def test_an_entry_is_read() -> None:
    """Each field has its place."""
    click = read({**FIELDS, "recipient": "1f", "referrer": "mail.example.com"})

    assert click == a_click(topics=("solar", "billing"), visitor="", recipient="1f", referrer="mail.example.com")


def test_a_newer_writer_can_be_read() -> None:
    """Fields that this version does not know are passed over, however long they are."""
    assert read({**FIELDS, "colour": "x" * 10_000}) == read(FIELDS)


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_missing_field_is_named(missing: str) -> None:
    """Every field that the contract promises must be there."""
    with pytest.raises(InvalidInput) as refused:
        read({name: value for name, value in FIELDS.items() if name != missing})

    assert refused.value.field == missing


@pytest.mark.parametrize("name", [*REQUIRED, *OPTIONAL])
def test_a_field_that_is_too_long_is_named(name: str) -> None:
    """No field grows without a bound."""
    with pytest.raises(InvalidInput) as refused:
        read({**FIELDS, name: "1" * (MAX_FIELD_BYTES + 1)})

    assert refused.value.field == name


def test_long_fields_are_read_while_each_is_within_its_bound() -> None:
    """The bound is each field's own, not that of all together."""
    long = {name: name[0] * MAX_FIELD_BYTES for name in ("id", "visitor", "client", "referrer")}
    click = read({**FIELDS, **long})

    assert {name: getattr(click, name) for name in long} == long


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({f"other{number}": "1" for number in range(1_000)}, id="very many fields"),
        pytest.param({"x" * 10_000: "1"}, id="a long name"),
        pytest.param({"client\0Opera": "1"}, id="a name with a NUL"),
        pytest.param({"a\0b": "c\0d"}, id="as many NULs as four fields"),
    ],
)
def test_odd_fields_are_passed_over(more: dict[str, str]) -> None:
    """Whatever a name is, a field that is not known changes nothing."""
    assert read({**FIELDS, **more}) == read(FIELDS)


@pytest.mark.parametrize("name", ["id", "recipient", "visitor", "client", "rule"])
def test_what_is_no_utf_8_stops_nobody(name: str) -> None:
    """It is read with signs in its place, where the fields stand as this program writes them, too."""
    fields = {part: value.encode() for part, value in FIELDS.items()}
    flat = [part for field in (fields | {name: b"a\xff"}).items() for part in (field[0].encode(), field[1])]

    assert getattr(from_fields(flat), name) == "a\ufffd"


@given(st.permutations(list(FIELDS)))
def test_the_order_of_the_fields_is_free(order: list[str]) -> None:
    """Another program may write them as it likes."""
    assert read({name: FIELDS[name] for name in order}) == read(FIELDS)


@given(st.data())
def test_both_ways_of_reading_come_to_the_same(data: st.DataObject) -> None:
    """Whatever stands where this program has its fields, it is read as it would be in any other order, or refused."""
    whose = data.draw(
        st.sampled_from([{}, {"recipient": "1f"}, {"visitor": "2f"}, {"recipient": "1f", "visitor": "2f"}])
    )
    flat = [part.encode() for field in (FIELDS | whose | {"client": "Firefox", "lang": "de"}).items() for part in field]
    for _ in range(data.draw(st.integers(0, 3))):  # two neighbours become one, with a NUL between them
        at = data.draw(st.integers(0, len(flat) - 2))
        flat[at : at + 2] = [flat[at] + b"\0" + flat[at + 1]]
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(flat) - 1))
        flat[at] = data.draw(st.sampled_from([b"", b"\0", b"\xff", b"7", b"id", b"client", b"visitor", b"x" * 1_001]))
    flat = flat[: data.draw(st.integers(0, len(flat)))]

    assert _outcome(from_fields, flat) == _outcome(_in_any_order, flat)


def _outcome(reading: Callable[[Sequence[bytes]], Click], flat: Sequence[bytes]) -> Click | None:
    try:
        return reading(flat)
    except InvalidInput:
        return None


def test_a_part_with_nuls_is_not_taken_for_several() -> None:
    """An entry that lacks a field is refused, though one of its values looks like the rest."""
    with pytest.raises(InvalidInput):
        from_fields([
            b"id", b"x", b"at", b"1", b"link", b"5", b"campaign", b"spring", b"topics", b"a\0class", b"human", b"rule",
            b"r", b"rules",
        ])  # fmt: skip


@pytest.mark.parametrize("name", [*REQUIRED, *OPTIONAL])
def test_of_two_fields_of_one_name_the_last_is_read(name: str) -> None:
    """An entry may name a field twice, wherever that stands."""
    flat = [part.encode() for field in (FIELDS | {name: FIELDS.get(name, "de")}).items() for part in field]

    assert from_fields([name.encode(), b"?", *flat]) == from_fields(flat)
    with pytest.raises(InvalidInput) if name in {"at", "link", "topics", "class", "rules"} else nullcontext():
        assert from_fields([*flat, name.encode(), b"?"]) != from_fields(flat)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("at", "", id="no time"),
        pytest.param("at", "-1", id="before 1970"),
        pytest.param("at", "1.5", id="fraction"),
        pytest.param("at", "1e3", id="exponent"),
        pytest.param("at", "٣", id="digit of another script"),
        pytest.param("at", "²", id="superscript"),
        pytest.param("at", " 7", id="space"),
        pytest.param("at", "1" * 15, id="a time past every date"),
        pytest.param("link", "seven", id="no number"),
        pytest.param("link", "1" * 17, id="a number past every link"),
        pytest.param("rules", "", id="no version"),
        pytest.param("class", "", id="no class"),
        pytest.param("class", "Human", id="re-cased class"),
        pytest.param("class", "alien", id="unknown class"),
        pytest.param("topics", "Solar", id="no topic name"),
        pytest.param("topics", "solar,,billing", id="empty topic"),
        pytest.param("topics", "solar:human", id="topic with a colon"),
        pytest.param("topics", 'a"} 1\nx{', id="metric syntax"),
        pytest.param("topics", "x" * 51, id="long topic"),
        pytest.param("topics", ",".join(f"t{number}" for number in range(11)), id="too many topics"),
        pytest.param("campaign", "", id="no campaign"),
        pytest.param("campaign", "x" * 101, id="long campaign"),
        pytest.param("campaign", "a\nb", id="campaign with a line feed"),
        pytest.param("campaign", "a/b", id="campaign with a slash"),
    ],
)
def test_a_bad_field_is_named(name: str, value: str) -> None:
    """What is not what it must be is refused, with the field and a piece of the value."""
    with pytest.raises(InvalidInput) as refused:
        read({**FIELDS, name: value})

    assert refused.value.field == name


@given(st.dictionaries(st.sampled_from([*REQUIRED, *OPTIONAL, "other"]), st.text() | st.integers(0).map(str)))
def test_an_arbitrary_entry_is_a_click_or_refused(wrong: dict[str, str]) -> None:
    """Whatever an entry holds, it is a click that can be counted and written again, or InvalidInput."""
    try:
        click = read({**FIELDS, **wrong})
    except InvalidInput:
        return

    assert len(month_of(click.at)) == 7
    assert 0 <= click.link < 10**16


@pytest.mark.parametrize(
    ("click", "clicker"),
    [
        pytest.param(a_click(recipient="1f", visitor=""), "1f", id="recipient"),
        pytest.param(a_click(visitor="abc"), "abc", id="visitor"),
        pytest.param(a_click(visitor=""), "", id="nobody"),
    ],
)
def test_who_counts_as_one_person(click: Click, clicker: str) -> None:
    """A recipient is one person, or else a visitor of the day; one who objects is nobody."""
    assert (click.clicker(), Seen("1-0", 1, 0, click).clicker) == (clicker, clicker)
