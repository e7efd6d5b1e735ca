"""Asks one URL once, at an address that was looked at first: nothing that a name resolves to later is ever asked.

The name is resolved once, every address that it has must be one of the public internet's, and the connection goes to
one of exactly these; the name stays in the Host header and in the TLS handshake. Nothing is followed, no cookie is
kept, no credential sent, no proxy used, and of the body nothing is read.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import SOCK_STREAM, gaierror, getaddrinfo
from typing import Final, Literal

import httpx
from ada_url import URL

from redirector.addresses import is_public
from redirector.errors import BrokenDestination

CONNECT_SECONDS: Final = 4.0
PORTS: Final = {"http:": 80, "https:": 443}
USER_AGENT: Final = "redirector-link-check/1 (looks whether a link that is to stand in a mail leads to a page)"

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back: `location` is where it leads on, as the server wrote it."""

    status: int
    location: bytes = b""


# Names that take long to resolve must not keep from their threads those who rewrite mails.
_RESOLVING: Final = ThreadPoolExecutor(max_workers=8, thread_name_prefix="resolve")


async def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as this machine's resolver has them."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_RESOLVING, partial(getaddrinfo, host, port, type=SOCK_STREAM))
    return [str(info[4][0]) for info in found]


class Asker:
    """Asks over a connection of its own each time.

    `may_connect` is for tests, whose servers are on this machine; no setting leads to it.
    """

    def __init__(
        self,
        resolve: Resolve = resolved,
        *,
        may_connect: Callable[[IPv4Address | IPv6Address], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._resolve = resolve
        self._may_connect = may_connect
        self._tls = tls

    async def ask(self, method: Literal["HEAD", "GET"], url: str) -> Answered:
        """The answer to `url`, which browsers must be able to read. Raises BrokenDestination when there is none."""
        parsed = URL(url)
        port = int(parsed.port or PORTS[parsed.protocol])
        name = parsed.hostname.strip("[]").removesuffix(".")
        addresses = await self._addresses(name, port)
        for address in addresses:
            try:
                return await self._ask_at(address, method, parsed, name, port)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if _is_of_tls(error):
                    raise _broken("tls", f"its certificate is not trusted: {error}", name) from None
                if address == addresses[-1]:
                    raise _broken("unreachable", "nothing answers there", name) from None
            except httpx.TransportError as error:
                raise _broken("protocol", f"what answers there breaks off: {error}", name) from None
        raise _broken("unresolved", "its host has no address", name)

    async def _addresses(self, name: str, port: int) -> Sequence[str]:
        try:
            found = await self._resolve(name, port)
        except (gaierror, UnicodeError):
            raise _broken("unresolved", "its host is not known", name) from None
        for address in found:
            if not self._may_connect(ip_address(address)):
                raise _broken("not_public", f"its host leads to {address}, which is no public address", name)
        return list(dict.fromkeys(found))

    async def _ask_at(self, address: str, method: str, parsed: URL, name: str, port: int) -> Answered:
        if self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)
        request = httpx.Request(
            method,
            httpx.URL(scheme=parsed.protocol.removesuffix(":"), host=address, port=port, path="/"),
            headers={"host": parsed.host, "user-agent": USER_AGENT, "accept": "*/*", "connection": "close"},
            extensions={
                "target": (parsed.pathname + parsed.search).encode(),
                "sni_hostname": name,
                "timeout": {"connect": CONNECT_SECONDS},
            },
        )
        # A transport and not a client: it follows nothing, keeps no cookie, and reads no proxy from the environment.
        async with httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False) as transport:
            response = await transport.handle_async_request(request)
            try:
                location = (value for name, value in response.headers.raw if name.lower() == b"location")
                return Answered(response.status_code, next(location, b""))
            finally:
                await response.aclose()


def _broken(reason: str, detail: str, host: str) -> BrokenDestination:
    return BrokenDestination(detail, reason=reason, part=host)


def _is_of_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
