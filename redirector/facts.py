"""What the redirector looks at in a request, before anything is decided or kept.

Facts live for one request. What may outlast it is for `privacy` to say.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

# Browsers that fetch a page ahead of a click say so: `Sec-Purpose` (WHATWG Fetch), and before it `Purpose` (Chrome,
# Safari), `X-Moz` (Firefox) and `X-Purpose` (Safari, the Facebook app;
# https://sunpig.com/martin/2010/01/08/how-to-detect-a-page-request-from-safari-4s-top-sites-feature/).
PREFETCH_HEADERS: Final = frozenset({b"sec-purpose", b"purpose", b"x-moz", b"x-purpose"})
PREFETCH_VALUES: Final = (b"prefetch", b"preview", b"prerender")

# Global Privacy Control (https://w3c.github.io/gpc/) and its forerunner.
OBJECTION_HEADERS: Final = frozenset({b"sec-gpc", b"dnt"})

# A browser says with each request what it is for (https://www.w3.org/TR/fetch-metadata/).
FETCH_METADATA_HEADERS: Final = frozenset({b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest"})

_READ: Final = (
    PREFETCH_HEADERS
    | OBJECTION_HEADERS
    | FETCH_METADATA_HEADERS
    | {b"user-agent", b"accept-language", b"referer", b"x-native-host"}
)


@dataclass(slots=True)  # not frozen: cheaper, as a Click is; one is made for each request
class RequestFacts:
    """A request in the words that rules are written in; what is absent is empty."""

    method: str
    address: str = ""
    user_agent: str = ""
    accept_language: str = ""
    referrer: str = ""
    prefetch: bool = False
    objects: bool = False
    fetch_metadata: bool = False
    native_host: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """What is known of an address: the country's ISO code, and the provider's name as somebody else wrote it."""

    country: str = ""
    isp: str = ""


NOWHERE: Final = Network()


def read(method: str, address: str, headers: Iterable[tuple[bytes, bytes]]) -> RequestFacts:
    """The facts of a request, from its method, its peer and its headers (names in lower case, as ASGI gives them)."""
    user_agent = accept_language = referrer = native_host = ""
    prefetch = objects = fetch_metadata = False
    for name, value in headers:
        if name not in _READ:  # most headers: one look instead of five comparisons
            continue
        if name == b"user-agent":
            user_agent = value.decode("latin-1")
        elif name == b"accept-language":
            accept_language = value.decode("latin-1")
        elif name == b"referer":
            referrer = value.decode("latin-1")
        elif name in FETCH_METADATA_HEADERS:
            fetch_metadata = True
        elif name in PREFETCH_HEADERS:
            prefetch = prefetch or value.lower().startswith(PREFETCH_VALUES)
        elif name in OBJECTION_HEADERS:
            objects = objects or value.strip() == b"1"
        else:
            native_host = value.decode("latin-1")
    return RequestFacts(
        method, address, user_agent, accept_language, referrer, prefetch, objects, fetch_metadata, native_host
    )
