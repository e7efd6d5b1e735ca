"""Which destinations a link may lead to."""

import string
from urllib.parse import urlsplit

import pytest
from ada_url import URL
from hypothesis import assume, given
from hypothesis import strategies as st

from redirector import destinations
from redirector.destinations import MAX_DESTINATION_BYTES, Destination, DestinationPolicy, Refusal
from redirector.errors import InvalidDestination

OWN_HOST = "click.example.com"
POLICY = DestinationPolicy(own_hosts=frozenset({OWN_HOST}))
ROOT = "https://www.example.com/"

ANY_TEXT = st.text(alphabet=st.characters())
# Texts that come far enough to try every rule: pieces of URLs, in any order.
PLAIN_PIECES = "https:// http: HTTPS:// // / \\ @ : :80 ? # % %2e . .. [ ] [::1] 127.0.0.1 0x7f 1 www example .com - _"
ODD_PIECES = "bücher xn-- 日本 。 ß K 💩 é ' \" \ud800 \u200d \xad \ufeff \uff0e \uff11 \x85 \0"
PIECES = st.lists(
    st.sampled_from([*PLAIN_PIECES.split(" "), *ODD_PIECES.split(" "), " ", "\t"]) | st.characters(), max_size=12
).map("".join)
URLS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["https://www.example.com", "http://bücher.example:8080", "HTTPS://日本語.jp", "https://8.8.8.8"]),
    st.sampled_from(["", "/", "?", "#"]),
    ANY_TEXT | PIECES,
)


def refusal_of(url: str, policy: DestinationPolicy = POLICY) -> InvalidDestination:
    """The policy's refusal of a URL that it must refuse."""
    with pytest.raises(InvalidDestination) as refused:
        policy.accept(url)
    return refused.value


REFUSED = [
    # What it is
    ("nothing", "", "empty", ""),
    ("lone surrogate", f"{ROOT}\ud800", "not_text", "\\ud800"),
    ("lone surrogate in the host", "https://a\udfff.com/", "not_text", "\\udfff"),
    ("2,049 bytes", ROOT.ljust(2049, "x"), "too_long", ROOT.ljust(100, "x")),
    ("2,049 bytes in fewer characters", (ROOT + "é").ljust(2048, "x"), "too_long", (ROOT + "é").ljust(100, "x")),
    ("2,049 bytes once escaped", ROOT + "é" * 338, "too_long", ROOT + "%C3%A9" * 12 + "%C3%"),
    ("a megabyte", ROOT.ljust(2**20, "x"), "too_long", ROOT.ljust(100, "x")),
    # Characters
    ("space before", f" {ROOT}", "surrounding_space", f" {ROOT}"),
    ("space after", f"{ROOT} ", "surrounding_space", f"{ROOT} "),
    ("no-break space after", f"{ROOT}\xa0", "surrounding_space", f"{ROOT}\xa0"),
    ("line feed after", f"{ROOT}\n", "surrounding_space", f"{ROOT}\n"),
    ("tab in the scheme", "java\tscript:alert(1)", "control_character", "\t"),
    ("tab in the host", "https://www.exa\tmple.com/", "control_character", "\t"),
    ("header injection", f"{ROOT}\r\nSet-Cookie: a=b", "control_character", "\r"),
    ("line feed", f"{ROOT}a\nb", "control_character", "\n"),
    ("NUL", f"{ROOT}a\0b", "control_character", "\0"),
    ("escape", f"{ROOT}\x1b[31m", "control_character", "\x1b"),
    ("delete", f"{ROOT}\x7f", "control_character", "\x7f"),
    ("C1 control", f"{ROOT}\x9b31m", "control_character", "\x9b"),
    # Scheme
    ("no scheme", "www.example.com/offer", "not_absolute", "www.example.com/offer"),
    ("scheme-relative", "//www.example.com/", "not_absolute", "//www.example.com/"),
    ("path", "/offer", "not_absolute", "/offer"),
    ("byte order mark", f"\ufeff{ROOT}", "not_absolute", f"\ufeff{ROOT}"),
    ("host and port", "www.example.com:443/", "scheme", "www.example.com"),
    ("javascript", "javascript:alert(1)", "scheme", "javascript"),
    ("javascript like a URL", "javascript://www.example.com/%0aalert(1)", "scheme", "javascript"),
    ("data", "data:text/html,x", "scheme", "data"),
    ("mailto", "mailto:a@example.com", "scheme", "mailto"),
    ("ftp", "ftp://www.example.com/", "scheme", "ftp"),
    ("file", "file:///etc/passwd", "scheme", "file"),
    ("no slash", "https:www.example.com", "slashes", "https:www.example.com"),
    ("one slash", "https:/www.example.com", "slashes", "https:/www.example.com"),
    ("backslashes for slashes", "https:\\\\www.example.com", "slashes", "https:\\\\www.example.com"),
    ("slash and backslash", "https:/\\www.example.com", "slashes", "https:/\\www.example.com"),
    # Authority
    ("three slashes", "https:///www.example.com", "no_host", "https:///"),
    ("nothing but a scheme", "https://", "no_host", "https://"),
    ("query for a host", "https://?www.example.com", "no_host", "https://"),
    ("fragment for a host", "https://#www.example.com", "no_host", "https://"),
    ("port without host", "https://:443/", "no_host", "https://:443"),
    ("unclosed bracket", "https://[2606:4700::1/", "no_host", "https://[2606:4700::1"),
    ("backslash before @", "https://evil.com\\@good.com", "backslash", "evil.com\\@good.com"),
    ("backslash ends the host", "https://good.com\\.evil.com/", "backslash", "good.com\\.evil.com"),
    ("backslash begins the host", "https://\\evil.com/", "backslash", "\\evil.com"),
    ("user", "https://user@www.example.com/", "userinfo", "user@www.example.com"),
    ("user and password", "https://user:word@www.example.com/", "userinfo", "user:word@www.example.com"),
    ("empty user", "https://@www.example.com/", "userinfo", "@www.example.com"),
    ("host-like user", "https://good.com@evil.com/", "userinfo", "good.com@evil.com"),
    ("two @", "https://a@good.com@evil.com/", "userinfo", "a@good.com@evil.com"),
    ("port 0", "https://www.example.com:0/", "port", ":0"),
    ("port 65536", "https://www.example.com:65536/", "port", ":65536"),
    ("port with a sign", "https://www.example.com:+80/", "port", ":+80"),
    ("port in Arabic digits", "https://www.example.com:\u0668\u0660/", "port", ":\u0668\u0660"),
    ("two ports", "https://www.example.com:80:80/", "port", ":80:80"),
    ("text behind a bracket", "https://[2606:4700::1]x/", "port", "x"),
    # Host
    ("percent-encoded letter", "https://www.%65xample.com/", "encoded_host", "www.%65xample.com"),
    ("percent-encoded slash", "https://good.com%2f.evil.com/", "encoded_host", "good.com%2f.evil.com"),
    ("percent-encoded address", "https://%31%32%37.0.0.1/", "encoded_host", "%31%32%37.0.0.1"),
    ("zone of an address", "https://[fe80::1%25eth0]/", "encoded_host", "[fe80::1%25eth0]"),
    ("soft hyphen", "https://www.exam\xadple.com/", "invisible_character", "\xad"),
    ("zero-width space", "https://www.exam\u200bple.com/", "invisible_character", "\u200b"),
    ("zero-width joiner", "https://\u0915\u094d\u200d\u0937.com/", "invisible_character", "\u200d"),
    ("right-to-left override", "https://moc.\u202eelpmaxe.www/", "invisible_character", "\u202e"),
    ("variation selector", "https://\u2764\ufe0f.example.com/", "invisible_character", "\ufe0f"),
    ("Hangul filler", "https://www\u3164.example.com/", "invisible_character", "\u3164"),
    ("no-break space in the host", "https://www.exam\xa0ple.com/", "invisible_character", "\xa0"),
    ("space in the host", "https://www.exam ple.com/", "host_character", " "),
    ("quote in the host", 'https://www.exam"ple.com/', "host_character", '"'),
    ("template in the host", "https://{shop}.example.com/", "host_character", "{"),
    ("wildcard", "https://*.example.com/", "host_character", "*"),
    ("number above 255", "https://1.2.3.256/", "malformed", "1.2.3.256"),
    ("five numbers", "https://1.2.3.4.5/", "malformed", "1.2.3.4.5"),
    ("number for a top-level domain", "https://www.example.1/", "malformed", "www.example.1"),
    ("brackets around nothing", "https://[]/", "malformed", "[]"),
    ("brackets around a name", "https://[www.example.com]/", "malformed", "[www.example.com]"),
    ("decimal address", "https://2130706433/", "odd_address", "2130706433"),
    ("octal address", "https://0177.0.0.1/", "odd_address", "0177.0.0.1"),
    ("hexadecimal address", "https://0x7f.0.0.1/", "odd_address", "0x7f.0.0.1"),
    ("short address", "https://127.1/", "odd_address", "127.1"),
    ("short public address", "https://8.526344/", "odd_address", "8.526344"),
    ("leading zero", "https://8.8.8.08/", "malformed", "8.8.8.08"),
    ("leading zero that is octal", "https://8.8.8.07/", "odd_address", "8.8.8.07"),
    ("dot behind an address", "https://8.8.8.8./", "odd_address", "8.8.8.8."),
    ("full-width address", "https://\uff11\uff12\uff17.0.0.1/", "odd_host", "\uff11"),
    ("circled address", "https://\u2460\u2461\u2466.0.0.1/", "odd_host", "\u2460"),
    ("full-width letter", "https://\uff57ww.example.com/", "odd_host", "\uff57"),
    ("Kelvin sign", "https://\u212aiosk.example.com/", "odd_host", "\u212a"),
    ("dotted capital I", "https://\u0130.example.com/", "odd_host", "\u0130"),
    ("Roman numeral", "https://\u2177.example.com/", "odd_host", "\u2177"),
    ("ligature", "https://\ufb01nance.example.com/", "odd_host", "\ufb01"),
    ("ideographic full stop", "https://www\u3002example.com/", "odd_host", "\u3002"),
    ("half-width full stop", "https://www\uff61example.com/", "odd_host", "\uff61"),
    ("full-width full stop", "https://www\uff0eexample.com/", "odd_host", "\uff0e"),
    ("one dot leader", "https://www\u2024example.com/", "odd_host", "\u2024"),
    ("full-width slash", "https://good.com\uff0f.evil.com/", "odd_host", "\uff0f"),
    ("account of", "https://\u2100.example.com/", "odd_host", "\u2100"),
    ("Arabic presentation form", "https://\ufe8d.example.com/", "odd_host", "\ufe8d.example.com"),
    ("dot before", "https://.example.com/", "empty_label", ".example.com"),
    ("two dots", "https://www..example.com/", "empty_label", "www..example.com"),
    ("two dots behind", "https://www.example.com../", "empty_label", "www.example.com.."),
    ("two dots behind our own host", f"https://{OWN_HOST}../", "empty_label", f"{OWN_HOST}.."),
    ("nothing but a dot", "https://./", "empty_label", "."),
    ("single label", "https://intranet/", "single_label", "intranet"),
    ("single label and dot", "https://com./", "single_label", "com."),
    ("long label", f"https://{'a' * 64}.com/", "host_too_long", "a" * 64 + ".com"),
    ("long host", f"https://{'a.' * 126}com/", "host_too_long", ("a." * 126 + "com")[:100]),
    # Where it leads
    ("localhost", "http://localhost:8080/", "local_name", "localhost"),
    ("localhost in capitals and dot", "http://LOCALHOST./", "local_name", "LOCALHOST."),
    ("under localhost", "http://a.localhost/", "local_name", "a.localhost"),
    ("multicast DNS", "http://printer.local/", "local_name", "printer.local"),
    ("internal", "http://metadata.google.internal/", "local_name", "metadata.google.internal"),
    ("home network", "http://nas.home.arpa/", "local_name", "nas.home.arpa"),
    ("loopback", "http://127.0.0.1/", "private_address", "127.0.0.1"),
    ("unspecified", "http://0.0.0.0/", "private_address", "0.0.0.0"),  # noqa: S104 - nothing is bound
    ("private 10", "http://10.1.2.3/", "private_address", "10.1.2.3"),
    ("private 172.16", "http://172.16.0.1/", "private_address", "172.16.0.1"),
    ("private 192.168", "http://192.168.1.1/", "private_address", "192.168.1.1"),
    ("cloud metadata", "http://169.254.169.254/", "private_address", "169.254.169.254"),
    ("carrier's NAT", "http://100.64.0.1/", "private_address", "100.64.0.1"),
    ("documentation", "http://192.0.2.1/", "private_address", "192.0.2.1"),
    ("multicast", "http://224.0.0.1/", "private_address", "224.0.0.1"),
    ("reserved", "http://240.0.0.1/", "private_address", "240.0.0.1"),
    ("broadcast", "http://255.255.255.255/", "private_address", "255.255.255.255"),
    ("IPv6 loopback", "http://[::1]/", "private_address", "[::1]"),
    ("IPv6 unspecified", "http://[::]/", "private_address", "[::]"),
    ("IPv6 link-local", "http://[fe80::1]/", "private_address", "[fe80::1]"),
    ("IPv6 unique local", "http://[fd00::1]/", "private_address", "[fd00::1]"),
    ("IPv6 site-local", "http://[fec0::1]/", "private_address", "[fec0::1]"),
    ("IPv6 multicast", "http://[ff02::1]/", "private_address", "[ff02::1]"),
    ("IPv6 documentation", "http://[2001:db8::1]/", "private_address", "[2001:db8::1]"),
    ("IPv4-mapped", "http://[::ffff:127.0.0.1]/", "private_address", "[::ffff:127.0.0.1]"),
    ("IPv4-mapped in hexadecimal", "http://[::ffff:7f00:1]/", "private_address", "[::ffff:7f00:1]"),
    ("IPv4-compatible", "http://[::127.0.0.1]/", "private_address", "[::127.0.0.1]"),
    ("6to4", "http://[2002:7f00:1::]/", "private_address", "[2002:7f00:1::]"),
    ("6to4 of a public address", "https://[2002:808:808::]/", "private_address", "[2002:808:808::]"),
    ("Teredo", "http://[2001:0:a00:1::]/", "private_address", "[2001:0:a00:1::]"),
    ("NAT64", "http://[64:ff9b::7f00:1]/", "private_address", "[64:ff9b::7f00:1]"),
    ("local NAT64", "http://[64:ff9b:1::7f00:1]/", "private_address", "[64:ff9b:1::7f00:1]"),
    ("our own host", f"https://{OWN_HOST}/c/x", "own_host", OWN_HOST),
    ("our own host in capitals, dot and port", "http://CLICK.Example.com.:81/", "own_host", "CLICK.Example.com."),
    # What it does
    ("one-click address of a mail", "https://www.example.com/unsubscribe?u=1", "unsubscribes", "unsubscribe"),
    ("RFC 8058's body as a query", f"{ROOT}?List-Unsubscribe=One-Click", "unsubscribes", "unsubscribe"),
    ("escaped", f"{ROOT}?to=%2Fopt%2Dout", "unsubscribes", "opt-out"),
    ("words glued together", f"{ROOT}OneClickUnsubscribe?u=1", "unsubscribes", "unsubscribe"),
]

ACCEPTED = [
    ("host alone", "https://www.example.com", None),
    ("capitals", "HTTPS://WWW.Example.COM/Path", None),
    ("http and port", "http://www.example.com:8080/", None),
    ("default port", "https://www.example.com:443/", None),
    ("empty port", "https://www.example.com:/", None),
    ("highest port, leading zero", "https://www.example.com:065535/", None),
    ("dot at the end of the host", "https://www.example.com./", None),
    ("underscore in the host", "https://my_shop.example.com/", None),
    ("public IPv4 address", "https://8.8.8.8/", None),
    ("public IPv6 address", "https://[2606:4700:4700:0:0::1111]:443/x", None),
    ("A-label", "https://xn--bcher-kva.example/", None),
    ("A-label in capitals", "https://XN--BCHER-KVA.example/", None),
    ("under our own host", "https://shop.click.example.com/", None),
    ("dot segments", "https://www.example.com/a/../b/./c", None),
    ("escapes of any case, and broken ones", "https://www.example.com/%C3%a9%zz%", None),
    ("interior spaces", "https://www.example.com/a b?c d#e f", None),
    ("characters no browser keeps", "https://www.example.com/{a}|b^c`d<e>\"f'", None),
    ("backslash in the path", "https://www.example.com/a\\b", None),
    ("@ and colon in the path", "https://www.example.com/@user:1//x", None),
    ("URL in the query", "https://www.example.com?to=https://a@b.c\\d&x=%0d%0a", None),
    ("template in the path", "https://www.example.com/?e=*|EMAIL|*&n={{ name }}", None),
    ("2,048 bytes", ROOT.ljust(2048, "x"), None),
    ("IDN host", "https://bücher.example", "https://xn--bcher-kva.example"),
    ("IDN host in capitals, with port", "HTTP://BÜCHER.Example:8080", "HTTP://xn--bcher-kva.example:8080"),
    ("IDN host with decomposed accent", "https://bu\u0308cher.example/", "https://xn--bcher-kva.example/"),
    ("sharp s", "https://faß.example/", "https://xn--fa-hia.example/"),
    ("final sigma", "https://ΣΑΣ.example/", "https://xn--mxa9ab.example/"),
    ("A-label beside an IDN label", "https://xn--bcher-kva.рф/", "https://xn--bcher-kva.xn--p1ai/"),
    ("Japanese", "https://日本語.jp/日本?語#語", "https://xn--wgv71a119e.jp/%E6%97%A5%E6%9C%AC?%E8%AA%9E#%E8%AA%9E"),
    ("emoji", "https://💩.la/💩", "https://xn--ls8h.la/%F0%9F%92%A9"),
    (
        "non-ASCII path behind an ASCII host",
        "https://WWW.example.com/é {x}%e9",
        "https://WWW.example.com/%C3%A9 {x}%e9",
    ),
    ("invisible character in the path", "https://www.example.com/a\u200bb", "https://www.example.com/a%E2%80%8Bb"),
    (
        "full-width dots in the path",
        "https://www.example.com/\uff0e\uff0e/a",
        "https://www.example.com/%EF%BC%8E%EF%BC%8E/a",
    ),
    ("line separator in the path", "https://www.example.com/\u2028x", "https://www.example.com/%E2%80%A8x"),
    ("subscriptions, of the sun too", "https://www.example.com/subscribe?to=sun-subscription&by=stopout", None),
]


class TestRefusedDestinations:
    @pytest.mark.parametrize(("url", "reason", "part"), [pytest.param(*case, id=name) for name, *case in REFUSED])
    def test_destination_is_refused(self, url: str, reason: str, part: str) -> None:
        """The refusal names the field, the reason, the piece that decided and what to do."""
        refusal = refusal_of(url)

        assert (refusal.reason, refusal.part) == (reason, part)
        assert refusal.field == "/destination"
        assert refusal.detail
        assert refusal.remedy

    def test_every_reason_is_shown_by_an_example(self) -> None:
        """No reason is without a destination that is refused for it."""
        shown = {reason for _, _, reason, _ in REFUSED}

        assert shown == set(Refusal) - {Refusal.NOT_ALLOWED, Refusal.NOT_ALLOWED_TO_KEY, Refusal.AMBIGUOUS}

    def test_a_reason_has_one_sentence(self) -> None:
        """Details do not depend on the URL, so that they can be translated and searched for."""
        details = {refusal_of(url).detail for _, url, reason, _ in REFUSED if reason == "odd_address"}

        assert details == {"its address is written in an unusual way"}

    def test_the_field_is_the_callers(self) -> None:
        """The refusal says which input it is about."""
        with pytest.raises(InvalidDestination) as refused:
            POLICY.accept("", "/3/destination")

        assert refused.value.field == "/3/destination"

    def test_a_different_reading_of_what_is_sent_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Should the escaping ever send a reader elsewhere than the original would, it is refused."""
        monkeypatch.setattr(destinations, "_escaped", lambda _: "/elsewhere")

        refusal = refusal_of(f"{ROOT}é")

        assert refusal.reason == Refusal.AMBIGUOUS

    @given(url=ANY_TEXT | PIECES | URLS)
    def test_no_text_raises_anything_else(self, url: str) -> None:
        """For any text at all there is a destination or a refusal, and the refusal can be sent as UTF-8."""
        try:
            destination = POLICY.accept(url)
        except InvalidDestination as refusal:
            assert refusal.reason in set(Refusal)
            assert str(refusal).encode()
        else:
            assert destination.stored == url


class TestAcceptedDestinations:
    @pytest.mark.parametrize(("url", "sent"), [pytest.param(*case, id=name) for name, *case in ACCEPTED])
    def test_destination_is_accepted(self, url: str, sent: str | None) -> None:
        """It is kept byte for byte, and sent so too unless it has non-ASCII characters."""
        destination = POLICY.accept(url)

        assert destination == Destination(stored=url, sent=sent or url)

    @given(url=URLS)
    def test_what_is_sent_leads_where_the_original_leads(self, url: str) -> None:
        """A browser reads both the same, and the sent one can stand in a header."""
        try:
            destination = POLICY.accept(url)
        except InvalidDestination:
            assume(False)

        assert URL(destination.sent).href == URL(url).href
        assert set(destination.sent) <= set(string.printable[:95])
        assert len(destination.sent) <= MAX_DESTINATION_BYTES
        assert destination.sent == destination.sent.strip()

    @given(url=st.builds("{}{}".format, st.sampled_from(["https://", "http://www.example.com"]), PIECES) | URLS)
    def test_every_program_reads_the_same_host(self, url: str) -> None:
        """A reader of RFC 3986 sees the host that a browser goes to."""
        try:
            sent = POLICY.accept(url).sent
        except InvalidDestination:
            assume(False)

        assert urlsplit(sent).hostname == URL(sent).hostname.strip("[]")

    @given(rest=st.text(alphabet=string.printable[:94], max_size=100))
    def test_ascii_is_never_touched(self, rest: str) -> None:
        """Behind the host, any printable ASCII is acceptable and sent as it is."""
        destination = POLICY.accept(ROOT + rest)

        assert destination.sent == ROOT + rest


class TestHostLists:
    @pytest.mark.parametrize(
        "host",
        [
            "example.org",
            "www.example.org",
            "A.B.Example.ORG.",
            "bücher.example",
            "8.8.8.8",
            "[2606:4700::1]",
            "[2606:4700::2]",
        ],
    )
    def test_an_allowed_host_admits_itself_and_its_subdomains(self, host: str) -> None:
        """Hosts are compared in lower case, as A-labels, without a dot at the end."""
        policy = DestinationPolicy(
            frozenset(),
            allowed_hosts=("Example.org.", "xn--bcher-kva.example", "8.8.8.8", "2606:4700::1", "[2606:4700::2]"),
        )
        url = f"https://{host}/"

        assert policy.accept(url).stored == url

    @pytest.mark.parametrize("host", ["example.com", "badexample.org", "example.org.evil.com", "18.8.8.8"])
    def test_any_other_host_is_not_allowed(self, host: str) -> None:
        """With a list, what is not on it is refused."""
        policy = DestinationPolicy(frozenset(), allowed_hosts=("example.org", "8.8.8.8"))

        refusal = refusal_of(f"https://{host}/", policy)

        assert (refusal.reason, refusal.part) == (Refusal.NOT_ALLOWED, host)

    @pytest.mark.parametrize(
        ("host", "reason"),
        [
            ("shop.example.org", None),
            ("shop.example.org.", None),
            ("www.example.com", "not_allowed"),
            ("news.example.org", "not_allowed_to_key"),
        ],
    )
    def test_a_key_narrows_the_list(self, host: str, reason: str | None) -> None:
        """A destination must be allowed by the installation and by the key; the refusal says which one it is not."""
        policy = DestinationPolicy(frozenset(), allowed_hosts=("example.org",)).for_key({"SHOP.example.org"})
        url = f"https://{host}/"

        found = policy.accept(url) if reason is None else refusal_of(url, policy)

        assert getattr(found, "reason", None) == reason
        assert getattr(found, "part", host) == host

    @pytest.mark.parametrize(
        "host", ["ex\u0430mple.org", "www.ex\u0430mple.org", "xn--exmple-4nf.org", "examp\u1e37e.org"]
    )
    def test_homograph_is_another_host(self, host: str) -> None:
        """A name that looks like an allowed one is not it, however it is spelled; what is sent shows which it is."""
        policy = DestinationPolicy(frozenset(), allowed_hosts=("example.org",))

        refusal = refusal_of(f"https://{host}/", policy)

        assert refusal.reason == Refusal.NOT_ALLOWED
        assert "xn--" in DestinationPolicy(frozenset()).accept(f"https://{host}/").sent

    def test_a_key_without_a_list_leads_anywhere(self) -> None:
        """A key that is bound to no host is bound by the installation's list alone."""
        policy = DestinationPolicy(frozenset(), allowed_hosts=("example.org",)).for_key(frozenset())

        assert policy.accept("https://example.org/").stored == "https://example.org/"

    @pytest.mark.parametrize("own", ["Bücher.example", "xn--bcher-kva.example.", "xn--bcher-kva.example:8080"])
    def test_own_hosts_are_compared_in_ascii(self, own: str) -> None:
        """However our own host is written in the settings or in the URL, it is the same host."""
        policy = DestinationPolicy(frozenset({own}))

        assert refusal_of("https://BÜCHER.example./", policy).reason == Refusal.OWN_HOST

    @pytest.mark.parametrize("host", ["", "*.example.com", "https://example.com", "a b", "example.com/x", "\ud800"])
    def test_a_setting_that_is_no_host_is_refused(self, host: str) -> None:
        """A list with an entry that could never match is refused, and the entry is named, even half a character."""
        with pytest.raises(ValueError, match="is no host") as refused:
            DestinationPolicy(frozenset(), allowed_hosts=("example.com", host))

        assert repr(host) in str(refused.value)
