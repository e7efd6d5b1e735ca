"""Talks to a redirector's API: typed, and the only way in which the command line does it.

    with Client("http://127.0.0.1:9090", "rdr_...") as redirector:
        link = redirector.create_link("https://example.com/offer", campaign="November news", topics=["solar"])
        print(link.url)

Every error of the server comes out as the exception of the same name in `redirector.errors`; ServerUnavailable means
that none answers, UnexpectedAnswer that what answers is no redirector.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager
from functools import update_wrapper
from inspect import Parameter, Signature, signature
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

import httpx

from redirector import calls
from redirector.calls import Asked, Streamed
from redirector.errors import InvalidInput, ServerUnavailable, UnexpectedAnswer
from redirector.replies import raise_problem
from redirector.wire import LinkOut

TIMEOUT_SECONDS: Final = 30.0

P = ParamSpec("P")
T = TypeVar("T")
MethodT = TypeVar("MethodT", bound=Callable[..., object])


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


def _named(method: MethodT, call: Callable[..., object]) -> MethodT:
    """The method with the name, the words and the parameters of its call, for whoever asks for help."""
    update_wrapper(method, call)
    parameters = [Parameter("self", Parameter.POSITIONAL_OR_KEYWORD), *signature(call).parameters.values()]
    method.__dict__["__signature__"] = Signature(parameters)
    return method


def _asking(call: Callable[P, Asked[T]]) -> "Callable[Concatenate[Client, P], T]":
    def ask(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._ask(call(*args, **kwargs))

    return _named(ask, call)


def _streaming(call: Callable[P, Streamed[T]]) -> "Callable[Concatenate[Client, P], Iterator[T]]":
    def stream(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        yield from self._stream(call(*args, **kwargs))

    return _named(stream, call)


def _awaiting(call: Callable[P, Asked[T]]) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]":
    async def ask(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._ask(call(*args, **kwargs))

    return _named(ask, call)


def _awaiting_each(call: Callable[P, Streamed[T]]) -> "Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]":
    async def stream(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        async with aclosing(self._stream(call(*args, **kwargs))) as lines:
            async for line in lines:
                yield line

    return _named(stream, call)


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

    create_campaign = _asking(calls.create_campaign)
    update_campaign = _asking(calls.update_campaign)
    create_link = _asking(calls.create_link)
    create_links = _asking(calls.create_links)
    link = _asking(calls.link)
    update_link = _asking(calls.update_link)
    urls = _streaming(calls.urls)
    rewrite = _asking(calls.rewrite)
    explain_rewrite = _asking(calls.explain_rewrite)
    forget_recipient = _asking(calls.forget_recipient)
    export_recipient = _streaming(calls.export_recipient)
    report = _asking(calls.report)
    topics = _asking(calls.topics)

    def links(self, campaign: str | None = None) -> Iterator[LinkOut]:
        """A campaign's links, or all, in the order of their numbers."""
        after: int | None = 0
        while after is not None:
            page = self._ask(calls.page_of_links(campaign, after))
            yield from page.links
            after = page.next_after

    def _ask(self, asked: Asked[T]) -> T:
        call, read = asked
        with _reaching(self._url):
            response = self._http.request(**call.arguments())
        return read(response)

    def _stream(self, streamed: Streamed[T]) -> Iterator[T]:
        call, arriving = streamed
        with _reaching(self._url), self._http.stream(**call.arguments()) as response:
            if not response.is_success:
                response.read()
            raise_problem(response)
            for chunk in response.iter_bytes():
                yield from arriving.read(chunk)
            arriving.end()


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

    create_campaign = _awaiting(calls.create_campaign)
    update_campaign = _awaiting(calls.update_campaign)
    create_link = _awaiting(calls.create_link)
    create_links = _awaiting(calls.create_links)
    link = _awaiting(calls.link)
    update_link = _awaiting(calls.update_link)
    urls = _awaiting_each(calls.urls)
    rewrite = _awaiting(calls.rewrite)
    explain_rewrite = _awaiting(calls.explain_rewrite)
    forget_recipient = _awaiting(calls.forget_recipient)
    export_recipient = _awaiting_each(calls.export_recipient)
    report = _awaiting(calls.report)
    topics = _awaiting(calls.topics)

    async def links(self, campaign: str | None = None) -> AsyncIterator[LinkOut]:
        """A campaign's links, or all, in the order of their numbers."""
        after: int | None = 0
        while after is not None:
            page = await self._ask(calls.page_of_links(campaign, after))
            for link in page.links:
                yield link
            after = page.next_after

    async def _ask(self, asked: Asked[T]) -> T:
        call, read = asked
        with _reaching(self._url):
            response = await self._http.request(**call.arguments())
        return read(response)

    async def _stream(self, streamed: Streamed[T]) -> AsyncGenerator[T, None]:
        call, arriving = streamed
        with _reaching(self._url):
            async with self._http.stream(**call.arguments()) as response:
                if not response.is_success:
                    await response.aread()
                raise_problem(response)
                async for chunk in response.aiter_bytes():
                    for line in arriving.read(chunk):
                        yield line
                arriving.end()
