"""The only place where a request's facts become ones that may be kept.

An address goes in and never comes out: it feeds a hash whose salt ends after two days (`store/salts.py` says what that
takes on disk), and the hash is kept only where nobody objects. A reader who objects (`Sec-GPC: 1` or `DNT: 1`) is
counted for the topic, and nothing else about the request is kept. Of one who opted out nothing is recorded at all.
"""

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from redirector import clickers
from redirector.agents import Agent
from redirector.facts import NOWHERE, Network, RequestFacts
from redirector.languages import LANGUAGES

_LANGUAGE: Final = re.compile(r"\s*([A-Za-z]{2,3})(?![A-Za-z])")

# A host's name: not an address in any notation (those end in a number), and not a name made of one.
_HOST: Final = re.compile(r"(?!.*\d+\.\d+\.\d+\.\d+)(?:[a-z0-9_-]+\.)*[a-z][a-z0-9-]*")
MAX_HOST_CHARACTERS: Final = 253

_COUNTRY: Final = re.compile(r"[A-Z]{2}")  # as ISO 3166-1 has them
MAX_PROVIDER_CHARACTERS: Final = 64
_ADDRESS: Final = re.compile(r"\d+\.\d+\.\d+\.\d+|[0-9a-fA-F]*:[0-9a-fA-F]*:|@")

# A language and a host stand at the beginning; what comes behind this is not looked at, and not remembered.
READ_CHARACTERS: Final = 1_024


class Kept(NamedTuple):
    """What of a request goes with its click: the last fields of a Click, in their order."""

    recipient: str = ""
    visitor: str = ""
    client: str = ""
    os: str = ""
    device: str = ""
    lang: str = ""
    country: str = ""
    isp: str = ""
    referrer: str = ""


NOTHING: Final = Kept()


def kept(facts: RequestFacts, agent: Agent, *, recipient: int, salt: bytes, network: Network = NOWHERE) -> Kept:
    """What may be kept of a request. `network` is what is known of its address.

    `recipient` is the token of a reader whose campaign has a consent, else 0. `salt` is the day's; without one
    (b"") no visitor is told from another.
    """
    if facts.objects:
        return NOTHING
    return Kept(
        str(recipient) if recipient else "",
        "" if recipient else visitor_hash(facts, salt),
        agent.client,
        agent.os,
        agent.device,
        _language(facts.accept_language[:READ_CHARACTERS]),
        _country(network.country),
        _provider(network.isp),
        _referrer_host(facts.referrer[:READ_CHARACTERS]),
    )


def visitor_hash(facts: RequestFacts, salt: bytes) -> str:
    """A number that is the same for one address and browser during one day, and for nobody afterwards."""
    if not salt:
        return ""
    digest = blake2b(f"{facts.address}\n{facts.user_agent}".encode(), key=salt, digest_size=4).digest()
    # 31 bits, in decimal, which the store keeps as an integer of 6 bytes. Of a million visitors some 230 are taken for
    # another one, a thirtieth of what estimating unique clickers is off by.
    return str(int.from_bytes(digest, "big") >> 1)


def visitor_of(facts: RequestFacts, salt: bytes, now: int) -> int | None:
    """The visitor that a request at `now` (Unix ms) comes from, as `clickers` has it; None without the day's salt."""
    return clickers.visitor(now // clickers.DAY_MS, int(visitor_hash(facts, salt))) if salt else None


# What browsers send of these repeats, and is read once.
@lru_cache(maxsize=1_024)
def _language(accept_language: str) -> str:
    match = _LANGUAGE.match(accept_language)
    language = match[1].lower() if match else ""
    return language if language in LANGUAGES else ""


@lru_cache(maxsize=1_024)
def _country(code: str) -> str:
    return code if _COUNTRY.fullmatch(code) else ""


@lru_cache(maxsize=1_024)
def _provider(name: str) -> str:
    """A file may name it at any length, or be wrong: an address, or an e-mail address, is no organisation's name."""
    printable = "".join(character for character in name if character.isprintable())[:MAX_PROVIDER_CHARACTERS].strip()
    return "" if _ADDRESS.search(printable) else printable


@lru_cache(maxsize=1_024)
def _referrer_host(referrer: str) -> str:
    if not referrer:
        return ""
    try:
        host = urlsplit(referrer).hostname or ""
    except ValueError:
        return ""
    return host if len(host) <= MAX_HOST_CHARACTERS and _HOST.fullmatch(host) else ""
