"""Where a request comes from that came through proxies: read from their headers, as far as they are trusted.

A proxy appends the address of its own peer to `X-Forwarded-For`, or to `Forwarded` (RFC 7239). Anybody can send such a
header, so only what trusted proxies appended counts: it is read from the right, past the addresses of trusted ones, to
the first that is not. What cannot be read ends the reading there.

Most proxies write one of the two headers, and let the other one pass as it came. Where both are there and lead to
different addresses, one may be forged, and neither is believed: the request comes from the proxy.
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice
from typing import Final

from redirector.recent import Recent

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

X_FORWARDED_FOR: Final = b"x-forwarded-for"
FORWARDED: Final = b"forwarded"

MOST_HOPS: Final = 20
MOST_PEERS: Final = 1_000

# An address with or without a port, and an IPv6 one with or without brackets.
_PORT: Final = "(?::[0-9]{1,5})?"
_NODE: Final = re.compile(rf"\[([0-9A-Fa-f:.]{{2,45}})\]{_PORT}|([0-9.]{{7,15}}){_PORT}|([0-9A-Fa-f:.]{{2,45}})")

# RFC 7239, 4: name=token or name="quoted". No address needs a backslash; what has one is not read.
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR: Final = re.compile(rf'[ \t]*({_WORD})=(?:({_WORD})|"([^"\\]*)")[ \t]*(?:;|$)')
_MOST_PAIRS: Final = 10


def network(text: str) -> Network:
    """A network of trusted proxies. Raises ValueError, also for one that is the whole internet."""
    if text == "*":
        raise ValueError(
            "must not be *: anybody could then forge where a request comes from; name the proxies' networks"
        )
    try:
        parsed = ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no network like 10.0.0.0/8 or 192.0.2.7: {error}") from None
    if parsed.prefixlen == 0:
        raise ValueError(f"must not be {text}: anybody could then forge where a request comes from")
    return parsed


class Proxies:
    """The proxies that are trusted, by their networks."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)
        self._peers: Recent[str, Address] = Recent(MOST_PEERS)

    def client(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The address that a request comes from; `peer` is who is connected, `headers` have names in lower case."""
        proxy = self._peers.get(peer) or self._trusted_peer(peer)
        if proxy is None:
            return peer
        lists: dict[bytes, list[str]] = {}
        for name, value in headers:
            if name in _ELEMENTS:
                lists.setdefault(name, []).append(value.decode("latin-1"))
        found = {self._first_untrusted(proxy, _ELEMENTS[name](",".join(values))) for name, values in lists.items()}
        return str(found.pop() if len(found) == 1 else proxy)

    def _trusted_peer(self, peer: str) -> Address | None:
        address = _address(peer)
        if address is None or not self._trust(address):
            return None
        self._peers.put(peer, address)  # proxies are few, and connect again and again
        return address

    def _trust(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def _first_untrusted(self, proxy: Address, nearest_first: Iterator[str]) -> Address:
        found = proxy
        for element in islice(nearest_first, MOST_HOPS):
            address = _address(element)
            if address is None:
                break
            found = address
            if not self._trust(address):
                break
        return found


def _address(node: str) -> Address | None:
    """The address of a node, without its port; None for any other name, such as `unknown` and `_hidden`."""
    match = _NODE.fullmatch(node)
    if match is None:
        return None
    try:
        address = ip_address(match[1] or match[2] or match[3])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _of_x_forwarded_for(value: str) -> Iterator[str]:
    """The addresses of the list, from its right."""
    return map(str.strip, _from_the_right(value, quotes=False))


def _of_forwarded(value: str) -> Iterator[str]:
    """What each element's `for` holds, from the right; "" where there is not exactly one."""
    return map(_for, _from_the_right(value, quotes=True))


_ELEMENTS: Final = {X_FORWARDED_FOR: _of_x_forwarded_for, FORWARDED: _of_forwarded}


def _from_the_right(value: str, *, quotes: bool) -> Iterator[str]:
    """The elements of a list with commas. A quote that somebody left open spoils what stands left of it only."""
    end, quoted = len(value), False
    for at in range(len(value) - 1, -1, -1):
        if value[at] == '"':
            quoted = quotes and not quoted
        elif value[at] == "," and not quoted:
            yield value[at + 1 : end]
            end = at
    yield value[:end]


def _for(element: str) -> str:
    found, at = [], 0
    for _ in range(_MOST_PAIRS):
        pair = _PAIR.match(element, at)
        if pair is None:
            return ""
        if pair[1].lower() == "for":
            found.append(pair[2] or pair[3] or "")
        at = pair.end()
        if at == len(element):
            break
    return found[0] if len(found) == 1 and at == len(element) else ""
