"""What of a request is looked at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector.facts import RequestFacts, read

NAMES = st.sampled_from([b"user-agent", b"accept-language", b"referer", b"sec-purpose", b"dnt", b"sec-gpc", b"cookie"])


def test_a_request_in_the_words_of_rules() -> None:
    """Method, address and the headers that rules look at; no other header."""
    headers = [
        (b"host", b"click.example.com"),
        (b"user-agent", b"Mozilla/5.0"),
        (b"accept-language", b"de,en;q=0.5"),
        (b"referer", b"https://mail.example.com/inbox"),
        (b"cookie", b"id=1"),
    ]

    assert read("GET", "203.0.113.9", headers) == RequestFacts(
        "GET", "203.0.113.9", "Mozilla/5.0", "de,en;q=0.5", "https://mail.example.com/inbox", False, False
    )


def test_a_request_without_headers() -> None:
    """What is absent is empty."""
    assert read("HEAD", "", []) == RequestFacts("HEAD")


@pytest.mark.parametrize(
    ("name", "value", "prefetch"),
    [
        pytest.param(b"sec-purpose", b"prefetch", True, id="Sec-Purpose"),
        pytest.param(b"sec-purpose", b"prefetch;prerender", True, id="prerendering"),
        pytest.param(b"sec-purpose", b"prefetch;anonymous-client-ip", True, id="prefetch proxy"),
        pytest.param(b"purpose", b"prefetch", True, id="Purpose"),
        pytest.param(b"purpose", b"preview", True, id="Safari's preview"),
        pytest.param(b"x-moz", b"prefetch", True, id="old Firefox"),
        pytest.param(b"x-purpose", b"preview", True, id="Safari, the Facebook app"),
        pytest.param(b"sec-purpose", b"Prefetch", True, id="re-cased"),
        pytest.param(b"sec-purpose", b"", False, id="empty"),
        pytest.param(b"purpose", b"reading", False, id="another purpose"),
        pytest.param(b"x-purposes", b"prefetch", False, id="another header"),
    ],
)
def test_browsers_that_fetch_ahead_say_so(name: bytes, value: bytes, prefetch: bool) -> None:
    """Each way to say that nobody clicked yet is understood."""
    assert read("GET", "", [(name, value)]).prefetch is prefetch


@pytest.mark.parametrize(
    ("name", "value", "objects"),
    [
        pytest.param(b"sec-gpc", b"1", True, id="Global Privacy Control"),
        pytest.param(b"dnt", b"1", True, id="Do Not Track"),
        pytest.param(b"dnt", b" 1 ", True, id="with space"),
        pytest.param(b"dnt", b"0", False, id="may be tracked"),
        pytest.param(b"sec-gpc", b"", False, id="empty"),
        pytest.param(b"sec-gpc", b"11", False, id="no such value"),
    ],
)
def test_readers_who_object_say_so(name: bytes, value: bytes, objects: bool) -> None:
    """An objection is the value 1, and nothing else."""
    assert read("GET", "", [(name, value)]).objects is objects


@pytest.mark.parametrize("name", [b"sec-gpc", b"dnt", b"sec-purpose"])
def test_a_second_header_does_not_take_the_first_one_back(name: bytes) -> None:
    """Who objected once objects, and who fetched ahead did, whatever comes behind it."""
    facts = read("GET", "", [(name, b"1"), (name, b"prefetch"), (name, b"0"), (name, b"")])

    assert facts.objects or facts.prefetch


@given(st.lists(st.tuples(NAMES, st.binary())))
def test_any_headers_can_be_read(headers: list[tuple[bytes, bytes]]) -> None:
    """Whatever bytes the headers hold, the facts are text that can be written as UTF-8."""
    facts = read("GET", "", headers)

    text = facts.user_agent + facts.accept_language + facts.referrer
    assert text.encode().decode() == text
