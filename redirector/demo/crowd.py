"""The demo's crowd: who clicks on a newsletter's links, how often, and what their requests look like.

Shares and behaviour follow what senders see: some gateways and previewers ask for links before their readers do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final


@dataclass(frozen=True, slots=True)
class Persona:
    """One kind of visitor; `weight` is how many of each hundred requests are theirs."""

    name: str
    weight: int
    method: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Visit:
    """One request: who makes it, from which address, and for which of the links."""

    persona: Persona
    address: str
    url: str


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

# Each browser with the languages that its reader prefers.
BROWSERS: Final = (
    (IPHONE, "en-US,en;q=0.9"),
    (WINDOWS, "en-US,en;q=0.9,es;q=0.8"),
    (ANDROID, "en-US"),
    (MAC, "en-US,en;q=0.9"),
    (LINUX, "de-DE,de;q=0.9,en;q=0.5"),
)

READERS: Final = tuple(
    Persona("reader", 12, "GET", {"user-agent": agent, "accept-language": language}) for agent, language in BROWSERS
)
PRIVATE_READER: Final = Persona(
    "reader who objects to tracking", 6, "GET",
    {"user-agent": LINUX, "accept-language": "de-DE", "sec-gpc": "1"},
)  # fmt: skip
PREFETCHER: Final = Persona(
    "prefetching browser", 8, "GET", {"user-agent": WINDOWS, "sec-purpose": "prefetch;prerender"}
)
SCANNERS: Final = (
    Persona("scanner that only asks", 9, "HEAD", {"user-agent": WINDOWS}),
    Persona(
        "scanner that says so", 5, "GET",
        {"user-agent": "Mozilla/5.0 (compatible; Google-Safety; +http://www.google.com/bot.html)"},
    ),
)  # fmt: skip
PREVIEWERS: Final = (
    Persona("previewer", 5, "GET", {"user-agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"}),
    Persona("previewer", 4, "GET", {"user-agent": "WhatsApp/2.24.20.89 A"}),
    Persona("previewer", 3, "GET", {"user-agent": "facebookexternalhit/1.1"}),
)
CROWD: Final = (*READERS, PRIVATE_READER, PREFETCHER, *SCANNERS, *PREVIEWERS)

# Each reader clicks from an address of their own; all of them are this machine's.
HOUSEHOLDS: Final = 90


def visits(urls: Sequence[str], count: int, random: Random) -> Iterator[Visit]:
    """`count` visits to the links; those further up in the mail are clicked more often."""
    popularity = [1 / (1 + place) ** 0.7 for place in range(len(urls))]
    for persona in random.choices(CROWD, [persona.weight for persona in CROWD], k=count):
        (url,) = random.choices(urls, popularity)
        yield Visit(persona, f"127.0.0.{1 + random.randrange(HOUSEHOLDS)}", url)
