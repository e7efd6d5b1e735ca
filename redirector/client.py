"""Talks to a redirector's API: typed, and the only way in which the command line does it.

    with Client("http://127.0.0.1:9090", "rdr_...") as redirector:
        link = redirector.create_link("https://example.com/offer", campaign="November news", topics=["solar"])
        print(link.url)

Every error of the server comes out as the exception of the same name in `redirector.errors`; ServerUnavailable means
that none answers, UnexpectedAnswer that what answers is no redirector.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar

import httpx

from redirector import calls
from redirector.calls import Call, RewrittenMail
from redirector.errors import InvalidInput, RedirectorError, ServerUnavailable, UnexpectedAnswer
from redirector.shape import Shape
from redirector.wire import (
    CampaignOut,
    ForgottenOut,
    LinkIn,
    LinkListOut,
    LinkOut,
    LinkPageOut,
    RecipientURL,
    ReportOut,
    RewriteOut,
    TopicsOut,
)

TIMEOUT_SECONDS: Final = 30.0

ShapeT = TypeVar("ShapeT", bound=Shape)


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """httpx's errors come out of this block as the program's own."""
    try:
        yield
    except UnicodeEncodeError:
        raise calls.not_text() from None
    except (httpx.RemoteProtocolError, httpx.DecodingError) as error:
        raise UnexpectedAnswer(
            f"what answers at {url} breaks off or is no HTTP: {error}",
            remedy="try again; if it stays so, see that the address is a redirector's internal port",
        ) from error
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise ServerUnavailable(
            f"no redirector answers at {url}: {error or type(error).__name__}",
            remedy="start one with `redirector serve`, or set REDIRECTOR_URL to its internal address",
        ) from error


def _http(api_key: str, timeout_seconds: float) -> dict[str, Any]:
    if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:  # httpx would quote it in its error
        raise InvalidInput(
            "the API key has a character that no key has",
            field="api_key",
            remedy="copy it once more from where `redirector keys create` printed it",
        )
    return {"headers": {"authorization": f"Bearer {api_key}"}, "timeout": timeout_seconds, "trust_env": False}


class Client:
    """A redirector at `url` (its internal port), for a program that waits for each answer."""

    def __init__(self, url: str, api_key: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = url
        with _reaching(url):
            self._http = httpx.Client(base_url=url, **_http(api_key, timeout_seconds))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def create_campaign(self, name: str, **properties: Any) -> CampaignOut:
        """The campaign; see `CampaignIn` for its properties. Raises CampaignExists if another has this name."""
        return self._ask(calls.create_campaign({"name": name, **properties}), CampaignOut)

    def update_campaign(self, name: str, **changes: Any) -> CampaignOut:
        """The campaign with its changes: `sent`, `fallback_url`, `expires_at`."""
        return self._ask(calls.update_campaign(name, changes), CampaignOut)

    def create_link(
        self,
        destination: str,
        campaign: str,
        topics: Sequence[str] = (),
        *,
        idempotency_key: str | None = None,
        check: bool = False,
        **properties: Any,
    ) -> LinkOut:
        """The link, minted now or before; `label` and `expires_at` are its other properties.

        With `check`, the server asks its destination first; raises BrokenDestination when that does not answer.
        """
        link = {"destination": destination, "campaign": campaign, "topics": topics, **properties}
        return self._ask(calls.create_link(link, idempotency_key, check=check), LinkOut)

    def create_links(self, links: Iterable[LinkIn], *, check: bool = False) -> list[LinkOut | RedirectorError]:
        """Each link, or what speaks against it, in their order; at most 1,000, and 20 with `check`."""
        return calls.rows(self._ask(calls.create_links(links, check=check), LinkListOut))

    def link(self, link_id: int) -> LinkOut:
        """A link. Raises UnknownLink."""
        return self._ask(calls.link(link_id), LinkOut)

    def update_link(self, link_id: int, **changes: Any) -> LinkOut:
        """The link with its changes: `disabled`, `destination`, `expires_at`."""
        return self._ask(calls.update_link(link_id, changes), LinkOut)

    def links(self, campaign: str | None = None) -> Iterator[LinkOut]:
        """A campaign's links, or all, in the order of their numbers."""
        after: int | None = 0
        while after is not None:
            page = self._ask(calls.links(campaign, after), LinkPageOut)
            yield from page.links
            after = page.next_after

    def urls(self, link_id: int, recipients: Sequence[str]) -> Iterator[RecipientURL]:
        """A tracked URL for each recipient, as they arrive; at most a million."""
        call, arriving = calls.urls(link_id, recipients)
        with _reaching(self._url), self._http.stream(**call.arguments()) as response:
            if not response.is_success:
                response.read()
            calls.raise_problem(response)
            for chunk in response.iter_bytes():
                yield from arriving.read(chunk)
            arriving.end()

    def rewrite(
        self,
        mail: bytes,
        campaign: str,
        topics: Sequence[str] = (),
        *,
        recipient: str = "",
        charset: str | None = None,
        never: Sequence[str] = (),
        honeypot: str = "",
    ) -> RewrittenMail:
        """The mail with its links tracked, and else byte for byte the same; links to a URL of `never` stay too.

        `honeypot` is where one more link leads, which is planted at the mail's end and which no reader can see.
        """
        how = {"recipient": recipient, "charset": charset, "never": calls.listed(never), "honeypot": honeypot}
        call = calls.rewrite(mail, campaign, topics, how, accept="text/html", dry_run=False)
        return calls.rewritten(self._request(call))

    def explain_rewrite(
        self,
        mail: bytes,
        campaign: str,
        topics: Sequence[str] = (),
        *,
        recipient: str = "",
        charset: str | None = None,
        never: Sequence[str] = (),
        honeypot: str = "",
        dry_run: bool = True,
    ) -> RewriteOut:
        """The mail as text, and what happens to each of its links and why; a dry run mints nothing."""
        how = {"recipient": recipient, "charset": charset, "never": calls.listed(never), "honeypot": honeypot}
        call = calls.rewrite(mail, campaign, topics, how, accept="application/json", dry_run=dry_run)
        return self._ask(call, RewriteOut)

    def forget_recipient(self, recipient: str) -> ForgottenOut:
        """Has every click of a recipient up to now erased; how many that are. Needs a key with the scope `personal`."""
        return self._ask(calls.forget_recipient(recipient), ForgottenOut)

    def export_recipient(self, recipient: str) -> Iterator[dict[str, str]]:
        """Everything that is recorded of a recipient, click by click, as it arrives. Needs the scope `personal`."""
        call, arriving = calls.export_recipient(recipient)
        with _reaching(self._url), self._http.stream(**call.arguments()) as response:
            if not response.is_success:
                response.read()
            calls.raise_problem(response)
            for chunk in response.iter_bytes():
                yield from arriving.read(chunk)
            arriving.end()

    def report(self, campaign: str) -> ReportOut:
        """What a campaign achieved. Raises UnknownCampaign."""
        return self._ask(calls.report(campaign), ReportOut)

    def topics(self) -> TopicsOut:
        """How much interest each topic found."""
        return self._ask(Call("GET", "/v1/topics"), TopicsOut)

    def _request(self, call: Call) -> httpx.Response:
        with _reaching(self._url):
            return self._http.request(**call.arguments())

    def _ask(self, call: Call, shape: type[ShapeT]) -> ShapeT:
        return calls.read(self._request(call), shape)


class AsyncClient:
    """The same as Client, for a program with an event loop."""

    def __init__(self, url: str, api_key: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = url
        with _reaching(url):
            self._http = httpx.AsyncClient(base_url=url, **_http(api_key, timeout_seconds))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    async def create_campaign(self, name: str, **properties: Any) -> CampaignOut:
        """See Client.create_campaign."""
        return await self._ask(calls.create_campaign({"name": name, **properties}), CampaignOut)

    async def update_campaign(self, name: str, **changes: Any) -> CampaignOut:
        """See Client.update_campaign."""
        return await self._ask(calls.update_campaign(name, changes), CampaignOut)

    async def create_link(
        self,
        destination: str,
        campaign: str,
        topics: Sequence[str] = (),
        *,
        idempotency_key: str | None = None,
        check: bool = False,
        **properties: Any,
    ) -> LinkOut:
        """See Client.create_link."""
        link = {"destination": destination, "campaign": campaign, "topics": topics, **properties}
        return await self._ask(calls.create_link(link, idempotency_key, check=check), LinkOut)

    async def create_links(self, links: Iterable[LinkIn], *, check: bool = False) -> list[LinkOut | RedirectorError]:
        """See Client.create_links."""
        return calls.rows(await self._ask(calls.create_links(links, check=check), LinkListOut))

    async def link(self, link_id: int) -> LinkOut:
        """See Client.link."""
        return await self._ask(calls.link(link_id), LinkOut)

    async def update_link(self, link_id: int, **changes: Any) -> LinkOut:
        """See Client.update_link."""
        return await self._ask(calls.update_link(link_id, changes), LinkOut)

    async def links(self, campaign: str | None = None) -> AsyncIterator[LinkOut]:
        """See Client.links."""
        after: int | None = 0
        while after is not None:
            page = await self._ask(calls.links(campaign, after), LinkPageOut)
            for link in page.links:
                yield link
            after = page.next_after

    async def urls(self, link_id: int, recipients: Sequence[str]) -> AsyncIterator[RecipientURL]:
        """See Client.urls."""
        call, arriving = calls.urls(link_id, recipients)
        with _reaching(self._url):
            async with self._http.stream(**call.arguments()) as response:
                if not response.is_success:
                    await response.aread()
                calls.raise_problem(response)
                async for chunk in response.aiter_bytes():
                    for url in arriving.read(chunk):
                        yield url
                arriving.end()

    async def rewrite(
        self,
        mail: bytes,
        campaign: str,
        topics: Sequence[str] = (),
        *,
        recipient: str = "",
        charset: str | None = None,
        never: Sequence[str] = (),
        honeypot: str = "",
    ) -> RewrittenMail:
        """See Client.rewrite."""
        how = {"recipient": recipient, "charset": charset, "never": calls.listed(never), "honeypot": honeypot}
        call = calls.rewrite(mail, campaign, topics, how, accept="text/html", dry_run=False)
        return calls.rewritten(await self._request(call))

    async def explain_rewrite(
        self,
        mail: bytes,
        campaign: str,
        topics: Sequence[str] = (),
        *,
        recipient: str = "",
        charset: str | None = None,
        never: Sequence[str] = (),
        honeypot: str = "",
        dry_run: bool = True,
    ) -> RewriteOut:
        """See Client.explain_rewrite."""
        how = {"recipient": recipient, "charset": charset, "never": calls.listed(never), "honeypot": honeypot}
        call = calls.rewrite(mail, campaign, topics, how, accept="application/json", dry_run=dry_run)
        return await self._ask(call, RewriteOut)

    async def forget_recipient(self, recipient: str) -> ForgottenOut:
        """See Client.forget_recipient."""
        return await self._ask(calls.forget_recipient(recipient), ForgottenOut)

    async def export_recipient(self, recipient: str) -> AsyncIterator[dict[str, str]]:
        """See Client.export_recipient."""
        call, arriving = calls.export_recipient(recipient)
        with _reaching(self._url):
            async with self._http.stream(**call.arguments()) as response:
                if not response.is_success:
                    await response.aread()
                calls.raise_problem(response)
                async for chunk in response.aiter_bytes():
                    for click in arriving.read(chunk):
                        yield click
                arriving.end()

    async def report(self, campaign: str) -> ReportOut:
        """See Client.report."""
        return await self._ask(calls.report(campaign), ReportOut)

    async def topics(self) -> TopicsOut:
        """See Client.topics."""
        return await self._ask(Call("GET", "/v1/topics"), TopicsOut)

    async def _request(self, call: Call) -> httpx.Response:
        with _reaching(self._url):
            return await self._http.request(**call.arguments())

    async def _ask(self, call: Call, shape: type[ShapeT]) -> ShapeT:
        return calls.read(await self._request(call), shape)
