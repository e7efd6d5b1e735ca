"""Links and campaigns as JSON: what was written comes back, and nothing else gets in."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector.destinations import Destination
from redirector.errors import StoreError
from redirector.links import Campaign, Link, Tracking
from redirector.store.records import campaign_from, campaign_record, identity, link_from, link_record
from tests.builders import NOON, a_campaign, a_destination, a_link

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
TWO_TOPICS = ("solar", "billing")
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TOPICS = st.lists(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,9}", fullmatch=True), max_size=10, unique=True).map(tuple)
MOMENTS = st.integers(-62_135_596_800_000, 253_402_300_799_999)
DESTINATIONS = st.builds(
    Destination,
    stored=NAMES.map("https://".__add__),
    sent=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20).map("https://".__add__),
)
LINKS = st.builds(
    Link,
    number=st.just(7),
    destination=DESTINATIONS | st.just(a_destination()),
    campaign=NAMES,
    topics=TOPICS,
    label=NAMES,
    expires_at=st.none() | MOMENTS,
    disabled=st.booleans(),
    created_at=MOMENTS,
)
CAMPAIGNS = st.builds(
    Campaign,
    name=st.just("news"),
    tracking=st.sampled_from(Tracking),
    consent=st.sampled_from(["form 7", "CRM field opt_in, 2026"]),
    sent=st.none() | st.integers(0, 10**12),
    fallback_url=st.none() | DESTINATIONS,
    base_url=st.sampled_from(["", "https://go.example.org"]),
    expires_at=st.none() | MOMENTS,
    created_at=MOMENTS,
)


def mixed(record: str, wrong: dict[str, Any]) -> bytes:
    """The record with some of its properties replaced."""
    return json.dumps({**json.loads(record), **wrong}).encode()


@given(LINKS)
def test_a_link_comes_back_as_it_was(link: Link) -> None:
    """Whatever a link holds, its record gives it back."""
    assert link_from(7, link_record(link).encode()) == link


@given(CAMPAIGNS)
def test_a_campaign_comes_back_as_it_was(campaign: Campaign) -> None:
    """Whatever a campaign holds, its record gives it back."""
    assert campaign_from("news", campaign_record(campaign).encode()) == campaign


@given(st.binary() | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_what_is_no_record_is_refused(record: bytes) -> None:
    """Bytes or JSON that nobody wrote as a record raise StoreError, and nothing else, for links and for campaigns."""
    with pytest.raises(StoreError):
        link_from(7, record)
    with pytest.raises(StoreError):
        campaign_from("news", record)


@given(
    st.dictionaries(st.sampled_from([*json.loads(link_record(a_link())), "sent", "label", "expires_at"]), JSON_VALUES)
)
def test_a_link_whose_properties_are_anything_is_read_or_refused(wrong: dict[str, Any]) -> None:
    """A record with arbitrary values gives a link that can be written again, or raises StoreError."""
    try:
        link = link_from(7, mixed(link_record(a_link()), wrong))
    except StoreError:
        return

    assert link_from(7, link_record(link).encode()) == link


@given(
    st.dictionaries(
        st.sampled_from(["tracking", "consent", "sent", "fallback_url", "fallback_sent", "expires_at", "created_at"]),
        JSON_VALUES,
    )
)
def test_a_campaign_whose_properties_are_anything_is_read_or_refused(wrong: dict[str, Any]) -> None:
    """A record with arbitrary values gives a campaign that can be written again, or raises StoreError."""
    try:
        campaign = campaign_from("news", mixed(campaign_record(a_campaign()), wrong))
    except StoreError:
        return

    assert campaign_from("news", campaign_record(campaign).encode()) == campaign


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(
            {"destination": "https://www.example.com/\r\nset-cookie: a=1"}, id="line break in the destination"
        ),
        pytest.param({"destination": "https://www.example.com/é"}, id="destination not ASCII and nothing to send"),
        pytest.param({"destination": "javascript:alert(1)"}, id="another scheme"),
        pytest.param({"destination": "//www.example.com/"}, id="no scheme"),
        pytest.param({"destination": None}, id="no destination"),
        pytest.param({"sent": "https://www.example.com/\n"}, id="line break in what is sent"),
        pytest.param({"sent": 7}, id="a number to send"),
        pytest.param({"campaign": "\ud800"}, id="lone surrogate"),
        pytest.param({"topics": "solar"}, id="topics as text"),
        pytest.param({"topics": {"solar": 1}}, id="topics as object"),
        pytest.param({"topics": ["So lar"]}, id="topic that is no metric label"),
        pytest.param({"topics": [f"t{number}" for number in range(11)]}, id="too many topics"),
        pytest.param({"created_at": True}, id="truth as a time"),
        pytest.param({"created_at": 1.5}, id="fraction of a millisecond"),
        pytest.param({"created_at": 10**15}, id="after the year 9999"),
        pytest.param({"expires_at": float("inf")}, id="expires at infinity"),
        pytest.param({"expires_at": -(10**15)}, id="before the year 1"),
    ],
)
def test_a_link_that_would_do_harm_is_refused(wrong: dict[str, Any]) -> None:
    """What cannot stand in a header, on a page or as a label is refused on reading; the error names the link."""
    with pytest.raises(StoreError, match="record of link 7"):
        link_from(7, mixed(link_record(a_link()), wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"tracking": "everything"}, id="unknown tracking"),
        pytest.param({"tracking": "individual"}, id="individual without consent"),
        pytest.param({"consent": "x" * 201}, id="long consent"),
        pytest.param({"consent": 7}, id="consent as a number"),
        pytest.param({"fallback_url": "https://www.example.com/\n"}, id="line break in the fallback"),
        pytest.param({"fallback_url": "https://e.com/", "fallback_sent": "\n"}, id="line break in what is sent"),
        pytest.param({"sent": -1}, id="fewer mails than none"),
        pytest.param({"sent": "many"}, id="mails as text"),
        pytest.param({"expires_at": float("nan")}, id="expires at no number"),
    ],
)
def test_a_campaign_that_would_do_harm_is_refused(wrong: dict[str, Any]) -> None:
    """What a campaign may not hold is refused on reading; the error names the campaign."""
    with pytest.raises(StoreError, match="record of campaign 'news'"):
        campaign_from("news", mixed(campaign_record(a_campaign()), wrong))


def test_deep_nesting_is_refused() -> None:
    """A record nested deeper than the parser goes is unreadable, like any other."""
    with pytest.raises(StoreError):
        link_from(7, b"[" * 100_000)


def test_a_record_is_as_small_as_it_can_be() -> None:
    """What has its usual value is left out: a catalog of millions of links is kept in memory."""
    link = a_link("https://e.com/", topics=("solar",))

    assert link_record(link) == (
        f'{{"destination":"https://e.com/","campaign":"news","topics":["solar"],"created_at":{NOON}}}'
    )


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(a_link(number=9, topics=TWO_TOPICS), True, id="number"),
        pytest.param(a_link(created_at=1, topics=TWO_TOPICS), True, id="time"),
        pytest.param(a_link(expires_at=1, topics=TWO_TOPICS), True, id="expiry"),
        pytest.param(a_link(topics=("billing", "solar")), True, id="order of topics"),
        pytest.param(a_link("https://www.example.com/other", topics=TWO_TOPICS), False, id="destination"),
        pytest.param(a_link(campaign="other", topics=TWO_TOPICS), False, id="campaign"),
        pytest.param(a_link(topics=("solar",)), False, id="topics"),
        pytest.param(a_link(topics=()), False, id="no topics"),
        pytest.param(a_link(label="button", topics=TWO_TOPICS), False, id="label"),
    ],
)
def test_what_makes_two_links_one(other: Link, same: bool) -> None:
    """A link is the same as another by its destination, campaign, label and topics in any order."""
    link = a_link(topics=TWO_TOPICS)

    assert (identity(link) == identity(other)) is same
