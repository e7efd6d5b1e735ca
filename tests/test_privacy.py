"""What of a request may be kept: never an address, a full user agent or an e-mail address."""

import time
import tracemalloc
from dataclasses import replace
from itertools import product
from string import ascii_lowercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector import agents
from redirector.clicks import Click
from redirector.facts import Network, RequestFacts, read
from redirector.languages import LANGUAGES
from redirector.privacy import NOTHING, Kept, kept
from tests.test_agents import FIREFOX

SALT, NEXT_SALT = b"a" * 32, b"b" * 32
FACTS = RequestFacts(
    "GET",
    address="203.0.113.9",
    user_agent=FIREFOX,
    accept_language="de-AT,de;q=0.8,en;q=0.5",
    referrer="https://mail.example.com/inbox/7?user=reader@example.com#top",
)

ADDRESSES = st.ip_addresses().map(str)
PIECES = st.sampled_from(
    ["https://", "//", "@", "/", ":", "?", ".", " ", "a", "xyz.com", ".nip.io", "[", "]", "CFNetwork/1"]
)
HEADER_NAMES = st.sampled_from([b"user-agent", b"accept-language", b"referer", b"sec-gpc", b"from", b"x-forwarded-for"])


def keep(facts: RequestFacts, recipient: int = 0, salt: bytes = SALT) -> Kept:
    """What is kept of a request."""
    return kept(facts, agents.read(facts.user_agent), recipient=recipient, salt=salt)


def test_what_is_kept() -> None:
    """Families instead of a user agent, a language instead of a list, a host instead of a page."""
    found = keep(FACTS)

    assert found == Kept(
        visitor=found.visitor, client="Firefox", os="Linux", device="desktop", lang="de", referrer="mail.example.com"
    )
    assert 0 <= int(found.visitor) < 2**31


@pytest.mark.parametrize(
    ("found", "country", "isp"),
    [
        pytest.param(Network("DE", "Deutsche Telekom AG"), "DE", "Deutsche Telekom AG", id="as it should be"),
        pytest.param(Network("de", "A" * 100), "", "A" * 64, id="no ISO code, and too long"),
        pytest.param(Network("D\n", " A\x1b\tB\u200b "), "", "AB", id="not printable"),
        pytest.param(Network("D1", "host-203.0.113.9.example"), "", "", id="an address in a name"),
        pytest.param(Network("ÄÖ", "2001:db8::1"), "", "", id="an address of the other kind"),
        pytest.param(Network("", "abuse@example.com"), "", "", id="an e-mail address"),
    ],
)
def test_what_is_kept_of_a_network(found: Network, country: str, isp: str) -> None:
    """A country's code and a provider's name, bounded, whatever the file has."""
    keeping = kept(FACTS, agents.read(FIREFOX), recipient=0, salt=SALT, network=found)

    assert (keeping.country, keeping.isp) == (country, isp)


@pytest.mark.parametrize("header", [b"sec-gpc", b"dnt"])
def test_of_a_reader_who_objects_no_network_is_kept(header: bytes) -> None:
    """Where they read is theirs too."""
    facts = read("GET", "203.0.113.9", [(header, b"1")])

    assert kept(facts, agents.read(""), recipient=0, salt=SALT, network=Network("DE", "Example Net")) == NOTHING


def test_what_is_kept_are_the_last_fields_of_a_click() -> None:
    """In their order, by which a click is put together."""
    assert Click._fields[-len(Kept._fields) :] == Kept._fields


@given(
    ADDRESSES,
    st.lists(st.tuples(HEADER_NAMES, st.lists(PIECES | st.just("ADDRESS") | st.text(max_size=5), max_size=8))),
    st.integers(0, 2**60 - 1),
)
def test_no_address_and_no_e_mail_address_comes_out(
    address: str, headers: list[tuple[bytes, list[str]]], recipient: int
) -> None:
    """Wherever a request repeats its address, or an e-mail address, nothing that is kept holds it."""
    raw = [(name, "".join(pieces).replace("ADDRESS", address).encode("utf-8", "replace")) for name, pieces in headers]
    values = keep(read("GET", address, raw), recipient)

    assert all(address not in value for value in values if value != str(recipient))
    assert all("@" not in value for value in values)


@given(st.lists(st.tuples(HEADER_NAMES, st.binary(max_size=60)), max_size=8), st.integers(0, 2**60 - 1))
def test_what_is_kept_is_bounded(headers: list[tuple[bytes, bytes]], recipient: int) -> None:
    """Whatever bytes the headers hold, each value is short, printable ASCII."""
    values = keep(read("GET", "203.0.113.9", headers), recipient)

    assert all(len(value) <= 253 and value.isascii() and value.isprintable() for value in values)


@given(st.from_regex(r"[A-Za-z]+/[0-9.]+ \([ -~]{0,40}\) [A-Za-z]+/[0-9]{6,9}", fullmatch=True))
def test_no_user_agent_comes_out(user_agent: str) -> None:
    """A full user agent tells readers apart; only the families of its programs are kept."""
    values = keep(replace(FACTS, user_agent=user_agent, referrer=f"https://{user_agent}"))

    assert all(user_agent not in value for value in values)


@pytest.mark.parametrize("recipient", [0, 7])
def test_of_a_reader_who_objects_nothing_is_kept(recipient: int) -> None:
    """An objection leaves the click without anything about its reader, even in a campaign with consent."""
    assert keep(replace(FACTS, objects=True), recipient) is NOTHING
    assert not any(NOTHING)


def test_a_recipient_is_no_visitor_as_well() -> None:
    """Where the reader is known by consent, no second name is made; the token is written in decimal."""
    found = keep(FACTS, recipient=255)

    assert (found.recipient, found.visitor) == ("255", "")


def test_one_reader_is_one_visitor_all_day() -> None:
    """The same address and browser are the same visitor, whatever else differs."""
    other = replace(FACTS, method="HEAD", referrer="", accept_language="")

    assert keep(FACTS).visitor == keep(other).visitor != ""


@pytest.mark.parametrize(
    ("facts", "salt"),
    [
        pytest.param(FACTS, NEXT_SALT, id="another day"),
        pytest.param(replace(FACTS, address="203.0.113.10"), SALT, id="another address"),
        pytest.param(replace(FACTS, user_agent=FIREFOX + "x"), SALT, id="another browser"),
        pytest.param(replace(FACTS, address="203.0.113.9\n", user_agent=FIREFOX[1:]), SALT, id="a shifted border"),
    ],
)
def test_another_visitor(facts: RequestFacts, salt: bytes) -> None:
    """On another day, from another address or with another browser, a reader is somebody else."""
    assert keep(facts, salt=salt).visitor != keep(FACTS).visitor


def test_without_a_salt_nobody_is_told_from_another() -> None:
    """While the day's salt is not known, no hash is made: one without salt could be undone."""
    assert keep(FACTS, salt=b"").visitor == ""


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        pytest.param("https://mail.example.com/inbox", "mail.example.com", id="page"),
        pytest.param("https://Mail.Example.COM:8443/", "mail.example.com", id="port and case"),
        pytest.param("https://reader:secret@mail.example.com/", "mail.example.com", id="user and password"),
        pytest.param("android-app://com.google.android.gm/", "com.google.android.gm", id="app"),
        pytest.param("https://xn--mller-kva.example/", "xn--mller-kva.example", id="A-label"),
        pytest.param("http://localhost/", "localhost", id="single label"),
        pytest.param("https://203.0.113.9/", "", id="IPv4 address"),
        pytest.param("https://203.0.113.9./", "", id="IPv4 address with a dot"),
        pytest.param("https://3405803785/", "", id="address as one number"),
        pytest.param("https://0xcb.0.0x71.9/", "", id="address in odd numbers"),
        pytest.param("https://203.0.113.9.nip.io/", "", id="name made of an address"),
        pytest.param("https://[2001:db8::9]/", "", id="IPv6 address"),
        pytest.param("https://[broken/", "", id="broken"),
        pytest.param("https://müller.example/", "", id="not ASCII"),
        pytest.param("https://" + "a." * 200 + "example/", "", id="too long for a host"),
        pytest.param("about:blank", "", id="no host"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_of_a_referrer_the_host_is_kept(referrer: str, host: str) -> None:
    """A page's address tells what somebody reads; only the name of its site is kept, and no address of a machine."""
    assert keep(replace(FACTS, referrer=referrer)).referrer == host


@pytest.mark.parametrize(
    ("accept_language", "lang"),
    [
        pytest.param("de-AT,de;q=0.8", "de", id="region"),
        pytest.param("EN", "en", id="re-cased"),
        pytest.param(" fr", "fr", id="space"),
        pytest.param("haw,en", "haw", id="three letters"),
        pytest.param("fil-PH", "fil", id="three letters and a region"),
        pytest.param("xx-DE,de", "", id="no language"),
        pytest.param("qqq", "", id="no language of three letters"),
        pytest.param("*", "", id="any"),
        pytest.param("english", "", id="a word"),
        pytest.param("e", "", id="one letter"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_of_the_languages_the_first_is_kept(accept_language: str, lang: str) -> None:
    """A list of languages with their weights tells readers apart; only the first, without its region, is kept."""
    assert keep(replace(FACTS, accept_language=accept_language)).lang == lang


def test_nobody_makes_up_languages() -> None:
    """All that can be sent as a language comes out as one of a list that ends: a report's memory is bounded by it."""
    letters = [*ascii_lowercase, ""]
    sent = {"".join(each) for each in product(ascii_lowercase, ascii_lowercase, letters)}

    found = {keep(replace(FACTS, accept_language=each)).lang for each in sent}

    assert found == LANGUAGES | {""}
    assert sum(len(each) == 2 for each in found) == 183  # so many are in ISO 639-1


def test_headers_that_are_remembered_hold_little_memory() -> None:
    """Thousands of long headers, none like another, leave a few megabytes behind, not what they held themselves."""
    tracemalloc.start()
    try:
        for number in range(2_000):
            keep(replace(FACTS, accept_language=f"{number},".ljust(32_000), referrer=f"x:{number}".ljust(32_000)))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 8_000_000


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"https://" + b"a." * 500_000, id="labels"),
        pytest.param(b"https://" + b"1." * 500_000, id="numbers"),
        pytest.param(b" " * 1_000_000, id="spaces"),
        pytest.param(b"[" * 1_000_000, id="brackets"),
        pytest.param(b"\x00\x1f\x7f\xff\xed\xa0\x80" * 100_000, id="control characters and surrogates"),
    ],
)
def test_megabytes_are_bounded(value: bytes) -> None:
    """However much a header holds, what is kept of it is short, and costs little time."""
    headers = [(name, value) for name in (b"user-agent", b"accept-language", b"referer")]
    began = time.process_time()
    values = keep(read("GET", "203.0.113.9", headers))

    assert all(len(each) <= 253 for each in values)
    assert time.process_time() - began < 0.5
