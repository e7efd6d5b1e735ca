"""Which destinations are acceptable.

A destination is kept byte for byte as the marketer wrote it. It is judged by the browsers' rules (WHATWG, by
`ada_url`), since browsers are what will follow it, and refused wherever a reader of RFC 3986 would see another host.
Not judged: what a name resolves to, and whether it only looks like another one (homographs).
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, NoReturn
from urllib.parse import quote

from ada_url import URL, HostType, idna

from redirector.addresses import is_public
from redirector.errors import InvalidDestination
from redirector.unsubscribing import unsubscribing_word

MAX_DESTINATION_BYTES: Final = 2048


@dataclass(frozen=True, slots=True)
class Destination:
    """`stored` is what the marketer wrote; `sent` is the same in the ASCII of a Location header."""

    stored: str
    sent: str


class Refusal(StrEnum):
    """Why a link may not lead there; the values are `InvalidDestination.reason` and never change once released."""

    EMPTY = "empty"
    NOT_TEXT = "not_text"
    TOO_LONG = "too_long"
    SURROUNDING_SPACE = "surrounding_space"
    CONTROL_CHARACTER = "control_character"
    NOT_ABSOLUTE = "not_absolute"
    SCHEME = "scheme"
    SLASHES = "slashes"
    NO_HOST = "no_host"
    BACKSLASH = "backslash"
    USERINFO = "userinfo"
    PORT = "port"
    ENCODED_HOST = "encoded_host"
    INVISIBLE_CHARACTER = "invisible_character"
    HOST_CHARACTER = "host_character"
    MALFORMED = "malformed"
    ODD_ADDRESS = "odd_address"
    ODD_HOST = "odd_host"
    OWN_HOST = "own_host"
    PRIVATE_ADDRESS = "private_address"
    EMPTY_LABEL = "empty_label"
    SINGLE_LABEL = "single_label"
    LOCAL_NAME = "local_name"
    HOST_TOO_LONG = "host_too_long"
    NOT_ALLOWED = "not_allowed"
    NOT_ALLOWED_TO_KEY = "not_allowed_to_key"
    AMBIGUOUS = "ambiguous"
    UNSUBSCRIBES = "unsubscribes"


# What is wrong, and what to do about it.
_SENTENCES: Final[dict[Refusal, tuple[str, str]]] = {
    Refusal.EMPTY: ("there is no URL", "give one, like https://www.example.com/offer"),
    Refusal.NOT_TEXT: ("a piece of it is not text", "send it as UTF-8"),
    Refusal.TOO_LONG: ("a URL has at most 2,048 bytes, non-ASCII characters escaped", "shorten it"),
    Refusal.SURROUNDING_SPACE: ("there is white space around it", "strip it"),
    Refusal.CONTROL_CHARACTER: ("it has a control character", "leave it out, or escape it with %"),
    Refusal.NOT_ABSOLUTE: ("it does not say where it begins", "write it in full, from https:// on"),
    Refusal.SCHEME: ("only http and https are redirected to", "use https"),
    Refusal.SLASHES: ("programs differ on a URL without two slashes after its scheme", "write https://"),
    Refusal.NO_HOST: ("it names no host", "write the host after two slashes, not three"),
    Refusal.BACKSLASH: ("programs differ on where the host ends before a backslash", "use a slash, or leave it out"),
    Refusal.USERINFO: ("it has a user name or password, or hides its host behind an @", "leave out all before the @"),
    Refusal.PORT: ("a port is a number from 1 to 65535", "correct it or leave it out"),
    Refusal.ENCODED_HOST: ("its host is percent-encoded", "write the host plainly"),
    Refusal.INVISIBLE_CHARACTER: ("its host has a character that nobody can see", "write the host plainly"),
    Refusal.HOST_CHARACTER: ("its host has a character that no host has", "correct the host"),
    Refusal.MALFORMED: ("browsers cannot open it", "correct it"),
    Refusal.ODD_ADDRESS: ("its address is written in an unusual way", "write the four decimal numbers, or a name"),
    Refusal.ODD_HOST: ("its host has characters that browsers change into others", "write the host plainly"),
    Refusal.OWN_HOST: ("it leads back to this redirector", "give the page where the reader is to end up"),
    Refusal.PRIVATE_ADDRESS: ("its address is not one of the public internet", "use a public host"),
    Refusal.EMPTY_LABEL: ("its host has a dot too many", "leave it out"),
    Refusal.SINGLE_LABEL: ("its host is not a full name", "write it in full, like www.example.com"),
    Refusal.LOCAL_NAME: ("its host has a meaning only inside one network", "use a public host"),
    Refusal.HOST_TOO_LONG: ("a host has at most 253 characters, and 63 between two dots", "correct the host"),
    Refusal.NOT_ALLOWED: ("its host is not on the list of allowed hosts", "use one that is, or have it added"),
    Refusal.NOT_ALLOWED_TO_KEY: ("the API key may not lead there", "use a host that it may, or another key"),
    Refusal.UNSUBSCRIBES: ("whoever opens it may end a subscription", "leave it in the mail as it is, untracked"),
    Refusal.AMBIGUOUS: ("programs differ on where it leads", "escape its non-ASCII characters with %"),
}

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")  # C1 too: no URL needs them, and terminals obey them
_SCHEME = re.compile("([A-Za-z][A-Za-z0-9+.-]*):(/*)")
_END_OF_AUTHORITY = re.compile("[/?#]")  # RFC 3986, 3.2
_PORT = re.compile(":0*[0-9]{1,5}")
_NO_HOST_CHARACTER = re.compile("[\x00-\x2c/:-@\\[-^`{-\x7f]")  # other than letters, digits, _ - . and non-ASCII
_NON_ASCII = re.compile("[^\x00-\x7f]+")

# RFC 6761, 6762, 8375, and ICANN's reservation of internal.
_LOCAL_SUFFIXES: Final = (".localhost", ".local", ".internal", ".home.arpa")
_IDEOGRAPHIC_FULL_STOP: Final = "\u3002"  # a dot to IDNA, as are its compatibility forms
# Shown as nothing, though Unicode calls them letters or marks: joiners, fillers, variation selectors.
_INVISIBLE: Final = frozenset(
    map(chr, [0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x3164, 0xFFA0])
) | frozenset(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))


@dataclass(frozen=True, slots=True)
class DestinationPolicy:
    """Which destinations are acceptable: none on `own_hosts`; of `allowed_hosts` each admits its subdomains too.

    `key_hosts` are those of the API key that asks: a destination must be allowed by both lists. Hosts are compared in
    ASCII (A-labels), in lower case, without a dot at their end. An empty list allows everything.
    """

    own_hosts: frozenset[str]
    allowed_hosts: tuple[str, ...] = ()
    key_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "own_hosts", frozenset(map(ascii_host, self.own_hosts)))
        object.__setattr__(self, "allowed_hosts", tuple(map(ascii_host, self.allowed_hosts)))
        object.__setattr__(self, "key_hosts", tuple(map(ascii_host, self.key_hosts)))

    def for_key(self, hosts: Iterable[str]) -> "DestinationPolicy":
        """The same policy for the holder of a key that is bound to these hosts; to any, when there are none."""
        return replace(self, key_hosts=tuple(sorted(hosts)))

    def accept(self, url: str, field: str = "/destination") -> Destination:
        """The destination, if a link may lead there; raises InvalidDestination and nothing else, for any text."""
        try:
            return self._accept(url)
        except InvalidDestination as refusal:
            refusal.field = field
            raise

    def _accept(self, url: str) -> Destination:
        _judge_text(url)
        scheme, host, port, rest = _split(url)
        parsed = _parse(url, host)
        self._judge_host(host, parsed)
        if word := unsubscribing_word(url):
            _refuse(Refusal.UNSUBSCRIBES, word)
        sent = url
        if not url.isascii():
            sent_host = host if host.isascii() else parsed.hostname
            sent = f"{scheme}{sent_host}{port}{_escaped(rest)}"
            _judge_length(sent)
            if URL(sent).href != parsed.href:
                _refuse(Refusal.AMBIGUOUS, url)
        return Destination(url, sent)

    def _judge_host(self, host: str, parsed: URL) -> None:
        kind, hostname = parsed.host_type, parsed.hostname  # each look into `parsed` takes 1.5 us
        name = hostname.removesuffix(".")
        if kind is HostType.IPV4 and host != hostname:
            _refuse(Refusal.ODD_ADDRESS, host)
        if kind is not HostType.IPV6:
            _judge_spelling(host, hostname)
        if name in self.own_hosts:
            _refuse(Refusal.OWN_HOST, host)
        if kind is HostType.DEFAULT:
            _judge_name(name, host)
        elif not is_public(ip_address(name.strip("[]"))):
            _refuse(Refusal.PRIVATE_ADDRESS, host)
        if not _is_on(self.allowed_hosts, name):
            _refuse(Refusal.NOT_ALLOWED, host)
        if not _is_on(self.key_hosts, name):
            _refuse(Refusal.NOT_ALLOWED_TO_KEY, host)


def _refuse(reason: Refusal, part: str) -> NoReturn:
    detail, remedy = _SENTENCES[reason]
    raise InvalidDestination(detail, reason=reason.value, part=part, remedy=remedy)


def _judge_text(url: str) -> None:
    if not url:
        _refuse(Refusal.EMPTY, url)
    if surrogate := _SURROGATE.search(url):
        _refuse(Refusal.NOT_TEXT, surrogate[0])
    _judge_length(url)
    if url != url.strip():
        _refuse(Refusal.SURROUNDING_SPACE, url)
    if control := _CONTROL.search(url):
        _refuse(Refusal.CONTROL_CHARACTER, control[0])


def _judge_length(url: str) -> None:
    if len(url.encode()) > MAX_DESTINATION_BYTES:
        _refuse(Refusal.TOO_LONG, url)


def _split(url: str) -> tuple[str, str, str, str]:
    """Scheme with "://", host, port with ":" if any, and the rest, where every program splits them alike."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        _refuse(Refusal.NOT_ABSOLUTE, url)
    if scheme[1].lower() not in {"http", "https"}:
        _refuse(Refusal.SCHEME, scheme[1])
    if len(scheme[2]) > 2:
        _refuse(Refusal.NO_HOST, scheme[0])
    if len(scheme[2]) < 2:
        _refuse(Refusal.SLASHES, url)
    after = url[scheme.end() :]
    authority = _END_OF_AUTHORITY.split(after, maxsplit=1)[0]
    if "\\" in authority:
        _refuse(Refusal.BACKSLASH, authority)
    if "@" in authority:
        _refuse(Refusal.USERINFO, authority)
    host = authority[: authority.find("]") + 1] if authority.startswith("[") else authority.partition(":")[0]
    port = authority[len(host) :]
    if not host:
        _refuse(Refusal.NO_HOST, scheme[0] + authority)
    if port not in {"", ":"} and not (_PORT.fullmatch(port) and 0 < int(port[1:]) < 2**16):
        _refuse(Refusal.PORT, port)
    return scheme[0], host, port, after[len(authority) :]


def _parse(url: str, host: str) -> URL:
    """The browsers' reading, of a host that shows what it is."""
    if "%" in host:
        _refuse(Refusal.ENCODED_HOST, host)
    for character in host:
        if not character.isascii():
            _judge_character(character)
    if not host.startswith("[") and (forbidden := _NO_HOST_CHARACTER.search(host)):
        _refuse(Refusal.HOST_CHARACTER, forbidden[0])
    try:
        return URL(url)
    except ValueError:
        _refuse(Refusal.MALFORMED, host)


def _judge_character(character: str) -> None:
    """Refuses what browsers take for another character than the one that is seen: full-width letters, other dots."""
    if not character.isprintable() or character in _INVISIBLE:
        _refuse(Refusal.INVISIBLE_CHARACTER, character)
    plain = unicodedata.normalize("NFKC", character.lower())
    if plain[0].isascii() or plain == _IDEOGRAPHIC_FULL_STOP:
        _refuse(Refusal.ODD_HOST, character)


@lru_cache(maxsize=1_024)  # the links of a mail share a few hosts, and judging one takes 8 us
def _judge_spelling(host: str, ascii_host: str) -> None:
    """Refuses a host that is not, but for case and composed accents, the one that browsers go to."""
    # Letter by letter: lower() of a whole word writes a Greek sigma at its end in another way, and browsers do not.
    shown = unicodedata.normalize("NFC", "".join(map(str.lower, host))).split(".")
    meant = ascii_host.split(".")
    if len(shown) != len(meant) or any(s not in {m, idna.decode(m)} for s, m in zip(shown, meant, strict=True)):
        _refuse(Refusal.ODD_HOST, host)


def _judge_name(name: str, host: str) -> None:
    labels = name.split(".")
    if "" in labels:
        _refuse(Refusal.EMPTY_LABEL, host)
    if f".{name}".endswith(_LOCAL_SUFFIXES):
        _refuse(Refusal.LOCAL_NAME, host)
    if len(labels) == 1:
        _refuse(Refusal.SINGLE_LABEL, host)
    if len(name) > 253 or max(map(len, labels)) > 63:
        _refuse(Refusal.HOST_TOO_LONG, host)


def _is_on(hosts: tuple[str, ...], name: str) -> bool:
    return not hosts or any(name == each or name.endswith("." + each) for each in hosts)


def ascii_host(host: str) -> str:
    """A host of the settings as destinations' hosts are compared; raises ValueError, as pydantic wants it."""
    alone = not set(host) & set("/\\?#@*%")
    try:
        bare_ipv6 = host.count(":") > 1 and not host.startswith("[")
        parsed = URL(f"https://[{host}]" if bare_ipv6 else f"https://{host}") if alone else None
    except ValueError:
        parsed = None
    if parsed is None:
        raise ValueError(f"{host!r} is no host: write each alone, without *, like example.com")
    return parsed.hostname.removesuffix(".")


def _escaped(text: str) -> str:
    """Every character that is not ASCII as the percent-encoding of its UTF-8; the others untouched."""
    return _NON_ASCII.sub(lambda run: quote(run[0]), text)
