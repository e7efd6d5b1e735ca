"""The demo's crowd: who clicks on a newsletter's links, how often, and what their requests look like.

Shares and behaviour follow what senders see: some gateways and previewers ask for links before their readers do. Each
visit comes from an address of its own, so that it is judged by what it does and by nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Final


@dataclass(frozen=True, slots=True)
class Persona:
    """One kind of visitor; `weight` is how many of a thousand visits are theirs.

    A visit follows so many different links at once; `ALL` follows every link of the mail.
    """

    name: str
    weight: int
    method: str
    headers: Mapping[str, str]
    links: int = 1


@dataclass(frozen=True, slots=True)
class Visit:
    """One visitor's requests, made at the same moment: who makes them, from which address, and for which links."""

    persona: Persona
    address: str
    urls: tuple[str, ...]


IPHONE: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.1 Mobile/15E148 Safari/604.1"
)
WINDOWS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)
ANDROID: Final = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 "
    "Mobile Safari/537.36"
)
MAC: Final = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 "
    "Safari/605.1.15"
)
LINUX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"

ALL: Final = 1_000_000

# Each browser with the languages that its reader prefers.
BROWSERS: Final = (
    (IPHONE, "en-US,en;q=0.9"),
    (WINDOWS, "en-US,en;q=0.9,es;q=0.8"),
    (ANDROID, "en-US"),
    (MAC, "en-US,en;q=0.9"),
    (LINUX, "de-DE,de;q=0.9,en;q=0.5"),
)

READERS: Final = tuple(
    Persona("reader", 110, "GET", {"user-agent": agent, "accept-language": language}) for agent, language in BROWSERS
)
HASTY_READER: Final = Persona(
    "reader who opens three tabs at once", 12, "GET", {"user-agent": WINDOWS, "accept-language": "en-US"}, links=3
)
PRIVATE_READER: Final = Persona(
    "reader who objects to tracking", 60, "GET",
    {"user-agent": LINUX, "accept-language": "de-DE", "sec-gpc": "1"},
)  # fmt: skip
PREFETCHER: Final = Persona(
    "prefetching browser", 80, "GET", {"user-agent": WINDOWS, "sec-purpose": "prefetch;prerender"}
)
GATEWAYS: Final = (
    # Nothing in its requests is false, but a browser would send more; that it clicks everything gives it away.
    Persona("mail gateway in a browser's clothes", 7, "GET", {"user-agent": WINDOWS}, links=ALL),
    Persona("mail gateway that says so", 60, "GET", {"user-agent": f"{WINDOWS} OneOutlook/1.2025.1104.100"}),
    Persona("mail gateway that only asks", 80, "HEAD", {"user-agent": WINDOWS}),
)
CRAWLER: Final = Persona(
    "crawler", 40, "GET", {"user-agent": "Mozilla/5.0 (compatible; Google-Safety; +http://www.google.com/bot.html)"}
)
PREVIEWERS: Final = (
    Persona("previewer", 45, "GET", {"user-agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"}),
    Persona("previewer", 35, "GET", {"user-agent": "WhatsApp/2.24.20.89 A"}),
    Persona("previewer", 25, "GET", {"user-agent": "facebookexternalhit/1.1"}),
)
CROWD: Final = (*READERS, HASTY_READER, PRIVATE_READER, PREFETCHER, *GATEWAYS, CRAWLER, *PREVIEWERS)


def visits(urls: Sequence[str], clicks: int, random: Random) -> Iterator[Visit]:
    """Visits that follow so many links in all; those further up in the mail are clicked more often."""
    popularity = [1 / (1 + place) ** 0.7 for place in range(len(urls))]
    weights = [persona.weight for persona in CROWD]
    for number in count(1):
        if not clicks:
            return
        (persona,) = random.choices(CROWD, weights)
        wanted = min(persona.links, len(urls))
        if wanted <= clicks:  # a visit for which too few are left does not come
            clicks -= wanted
            yield Visit(persona, _address(number), _chosen(urls, popularity, wanted, random))


def _chosen(urls: Sequence[str], popularity: Sequence[float], wanted: int, random: Random) -> tuple[str, ...]:
    chosen: dict[str, None] = {}
    while len(chosen) < wanted:
        chosen |= dict.fromkeys(random.choices(urls, popularity))
    return tuple(chosen)


def _address(number: int) -> str:
    """An address that nobody has (RFC 3849), in a network of its own."""
    return f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1"
