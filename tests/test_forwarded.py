"""Where a request comes from: what trusted proxies appended counts, and what anybody else wrote does not."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector.forwarded import MOST_HOPS, Proxies, network

PROXY, NEARER = "10.0.0.1", "10.0.0.2"
READER, FORGED = "203.0.113.9", "198.51.100.66"
PROXIES = Proxies([network("10.0.0.0/8"), network("2001:db8:ffff::/48")])

XFF, FWD = b"x-forwarded-for", b"forwarded"
Headers = list[tuple[bytes, bytes]]


CASES: dict[str, tuple[str, Headers, str]] = {
    "no header": (PROXY, [], PROXY),
    "other headers": (PROXY, [(b"x-real-ip", b"1.1.1.1"), (b"via", b"1.1.1.1")], PROXY),
    "one address": (PROXY, [(XFF, b"203.0.113.9")], READER),
    "forged before it": (PROXY, [(XFF, b"198.51.100.66, 203.0.113.9")], READER),
    "through two proxies": (PROXY, [(XFF, b"198.51.100.66, 203.0.113.9, 10.0.0.2")], READER),
    "proxies only": (PROXY, [(XFF, b"10.9.9.9, 10.0.0.2")], "10.9.9.9"),
    "two lines": (PROXY, [(XFF, b"198.51.100.66"), (XFF, b"203.0.113.9")], READER),
    "two lines, the proxy in the last": (PROXY, [(XFF, b"203.0.113.9"), (XFF, b"10.0.0.2")], READER),
    "peer that is no proxy": (READER, [(XFF, b"198.51.100.66")], READER),
    "peer in the proxies' other spelling": ("::ffff:10.0.0.1", [(XFF, b"203.0.113.9")], READER),
    "peer without an address": ("", [(XFF, b"203.0.113.9")], ""),
    "IPv6": (PROXY, [(XFF, b"2001:DB8::0001")], "2001:db8::1"),
    "IPv6 proxy": ("2001:db8:ffff::5", [(XFF, b"2001:db8::1, 2001:db8:ffff:1::2")], "2001:db8::1"),
    "IPv6 in brackets": (PROXY, [(XFF, b"[2001:db8::1]")], "2001:db8::1"),
    "ports": (PROXY, [(XFF, b"203.0.113.9:4711, 10.0.0.2:80")], READER),
    "IPv6 with a port": (PROXY, [(XFF, b"[2001:db8::1]:443")], "2001:db8::1"),
    "IPv4 in IPv6": (PROXY, [(XFF, b"::ffff:203.0.113.9")], READER),
    "spaces and tabs": (PROXY, [(XFF, b" \t203.0.113.9\t ,\t10.0.0.2 ")], READER),
    "malformed before it": (PROXY, [(XFF, b"<script>, 203.0.113.9")], READER),
    "malformed": (PROXY, [(XFF, b"203.0.113.9, nonsense")], PROXY),
    "malformed behind a proxy": (PROXY, [(XFF, b"203.0.113.9, nonsense, 10.0.0.2")], NEARER),
    "empty": (PROXY, [(XFF, b"")], PROXY),
    "empty element": (PROXY, [(XFF, b"203.0.113.9,,10.0.0.2")], NEARER),
    "comma at the end": (PROXY, [(XFF, b"203.0.113.9,")], PROXY),
    "scope of IPv6": (PROXY, [(XFF, b"fe80::1%eth0")], PROXY),
    "odd notation": (PROXY, [(XFF, b"0x7f.1")], PROXY),
    "leading zeros": (PROXY, [(XFF, b"010.0.0.2, 203.0.113.009")], PROXY),
    "number": (PROXY, [(XFF, b"3405803785")], PROXY),
    "port of six digits": (PROXY, [(XFF, b"203.0.113.9:123456")], PROXY),
    "Arabic digits": (PROXY, [(XFF, "٢٠٣.0.113.9".encode())], PROXY),
    "no UTF-8": (PROXY, [(XFF, b"\xff\xfe")], PROXY),
    "Forwarded": (PROXY, [(FWD, b"for=203.0.113.9")], READER),
    "Forwarded in capitals": (PROXY, [(FWD, b"FOR=203.0.113.9;Proto=https")], READER),
    "Forwarded, quoted, with a port": (PROXY, [(FWD, b'for="203.0.113.9:80"')], READER),
    "Forwarded IPv6": (PROXY, [(FWD, b'proto=http;for="[2001:db8::1]:4711";by=10.0.0.1')], "2001:db8::1"),
    "Forwarded through two": (PROXY, [(FWD, b"for=198.51.100.66, for=203.0.113.9;host=a, for=10.0.0.2")], READER),
    "Forwarded in two lines": (PROXY, [(FWD, b"for=198.51.100.66"), (FWD, b"for=203.0.113.9")], READER),
    "Forwarded with commas in quotes": (PROXY, [(FWD, b'for=203.0.113.9;by="a, for=6.6.6.6;b"')], READER),
    "Forwarded with a quote left open before it": (PROXY, [(FWD, b'for="198.51.100.66, for=203.0.113.9')], READER),
    "Forwarded with a backslash": (PROXY, [(FWD, b'for="203.0.113\\.9"')], PROXY),
    "Forwarded obfuscated": (PROXY, [(FWD, b"for=203.0.113.9, for=_hidden")], PROXY),
    "Forwarded unknown": (PROXY, [(FWD, b"for=203.0.113.9, for=unknown, for=10.0.0.2")], NEARER),
    "Forwarded without for": (PROXY, [(FWD, b"for=203.0.113.9, proto=https")], PROXY),
    "Forwarded with two for": (PROXY, [(FWD, b"for=198.51.100.66;for=203.0.113.9")], PROXY),
    "Forwarded IPv6 without brackets": (PROXY, [(FWD, b"for=2001:db8::1")], PROXY),
    "Forwarded with rubbish behind": (PROXY, [(FWD, b"for=203.0.113.9 x")], PROXY),
    "Forwarded with many pairs": (PROXY, [(FWD, b"a=b;" * 50 + b"for=203.0.113.9")], PROXY),
    "both, the same": (PROXY, [(FWD, b"for=203.0.113.9"), (XFF, b"198.51.100.66, 203.0.113.9")], READER),
    "both, Forwarded forged": (PROXY, [(FWD, b"for=198.51.100.66"), (XFF, b"203.0.113.9")], PROXY),
    "both, X-Forwarded-For forged": (PROXY, [(XFF, b"198.51.100.66"), (FWD, b"for=203.0.113.9")], PROXY),
    "both, one malformed": (PROXY, [(XFF, b"nonsense"), (FWD, b"for=203.0.113.9")], PROXY),
}


@pytest.mark.parametrize(("peer", "headers", "comes_from"), CASES.values(), ids=CASES.keys())
def test_request_comes_from(peer: str, headers: Headers, comes_from: str) -> None:
    """Read from the right, past the trusted, to the first that is not; what cannot be read ends it."""
    assert PROXIES.client(peer, headers) == comes_from


ANY_HEADERS = st.lists(st.tuples(st.sampled_from([XFF, FWD, b"host"]), st.binary(max_size=80)), max_size=4)
PIECES = [
    "for=",
    '"',
    ",",
    ";",
    "=",
    " ",
    "10.0.0.2",
    "203.0.113.9",
    "[2001:db8::1]",
    ":80",
    "\\",
    "by",
    "_x",
    "unknown",
]
LIKELY = st.lists(st.sampled_from(PIECES), max_size=12).map(lambda pieces: "".join(pieces).encode())
LIKELY_HEADERS = st.lists(st.tuples(st.sampled_from([XFF, FWD]), LIKELY), max_size=3)


@given(ANY_HEADERS | LIKELY_HEADERS)
def test_any_header_leads_to_an_address(headers: Headers) -> None:
    """Whatever a header holds, what comes out is an address, and nothing is raised."""
    ip_address(PROXIES.client(PROXY, headers))


@given(ANY_HEADERS | LIKELY_HEADERS, st.ip_addresses())
def test_nobody_else_is_believed(headers: Headers, peer: object) -> None:
    """For a peer that is no trusted proxy no header counts."""
    if not any(peer in each for each in PROXIES._networks):
        assert PROXIES.client(str(peer), headers) == str(peer)


@given(LIKELY | st.binary(max_size=80), st.ip_addresses(v=4).filter(lambda each: each not in network("10.0.0.0/8")))
def test_nothing_before_what_the_proxy_appended_counts(forged: bytes, reader: object) -> None:
    """Whatever a reader sends in X-Forwarded-For, the proxy's own entry behind it decides; in Forwarded the same."""
    for name, own in ((XFF, f"{reader}"), (FWD, f"for={reader};proto=https")):
        for headers in ([(name, forged + b", " + own.encode())], [(name, forged), (name, own.encode())]):
            assert PROXIES.client(PROXY, headers) == str(reader)


def test_endless_chain_is_not_followed() -> None:
    """A long list of proxies' addresses costs no time: after some of them the reading ends."""
    chain = b"203.0.113.9" + b", 10.0.0.2" * (MOST_HOPS + 5)

    assert PROXIES.client(PROXY, [(XFF, chain)]) == NEARER


@pytest.mark.parametrize("everybody", ["*", "0.0.0.0/0", "::/0", "0::/0"])
def test_everybody_is_no_network(everybody: str) -> None:
    """Whoever trusts everybody believes whatever is sent: refused, with that reason."""
    with pytest.raises(ValueError, match="anybody could then forge"):
        network(everybody)


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "proxy.example.com", "10.0.0.0/33", "10.0.0.0-10.0.0.9", "10"])
def test_what_is_no_network_is_refused(text: str) -> None:
    """Also an address with a mask that does not fit it: nobody knows which was meant."""
    with pytest.raises(ValueError, match="no network like"):
        network(text)
