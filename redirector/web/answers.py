"""What every answer of the public port is sent with, and a page as an answer of the router's."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from starlette.responses import Response

from redirector.web.look import PAGE_HEADERS

# Sent with every answer. `no-store` keeps a click from being answered by a cache, `no-referrer` keeps the code from
# reaching the destination, and `noindex` keeps tracked URLs out of search engines.
ALWAYS: Final = (
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-robots-tag", b"noindex, nofollow"),
)

SAFE: Final = {name.decode(): value.decode() for name, value in ALWAYS}

_PAGE: Final = {name.decode(): value.decode() for name, value in (*ALWAYS, *PAGE_HEADERS)}
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


def page_answer(status: int, page: bytes, headers: Mapping[str, str] = _NOTHING) -> Response:
    """A page that may do nothing but be read, and send its forms to this server."""
    return Response(page, status, headers={**_PAGE, **headers})
