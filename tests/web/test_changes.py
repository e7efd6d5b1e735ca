"""What tooling changes reaches the readers within a second."""

import time
from collections.abc import Awaitable, Callable

from redirector.store.campaigns import Campaigns
from tests.builders import a_destination
from tests.web.ports import PublicPort
from tests.web.sockets import Reply


async def seconds_until(expected: Callable[[Reply], bool], ask: Callable[[], Awaitable[Reply]]) -> float:
    """How long it took for the answer to become the expected one, asking all the time; at most five seconds."""
    began = time.monotonic()
    while not expected(await ask()):
        assert time.monotonic() - began < 5
    return time.monotonic() - began


async def test_disabled_link_is_gone_within_a_second(public: PublicPort) -> None:
    """A link that is known to the redirect, and then disabled, stops redirecting."""
    link = await public.link()
    assert (await public.get(public.path(link))).status == 302

    await public.change(link, disabled=True)

    assert await seconds_until(lambda reply: reply.status == 410, lambda: public.get(public.path(link))) < 1


async def test_new_destination_is_used_within_a_second(public: PublicPort) -> None:
    """A link that is known to the redirect leads to its new destination."""
    link = await public.link()
    assert (await public.get(public.path(link))).status == 302

    await public.change(link, destination=a_destination("https://www.example.com/new"))

    expected = b"https://www.example.com/new"
    took = await seconds_until(
        lambda reply: reply.header("location") == expected, lambda: public.get(public.path(link))
    )
    assert took < 1


async def test_new_fallback_is_used_within_a_second(public: PublicPort) -> None:
    """A change of a campaign reaches the links that are known."""
    link = await public.link(disabled=True)
    assert (await public.get(public.path(link))).status == 410

    await Campaigns(public.redis, public.keys).change(
        public.name, lambda campaign: type(campaign)(campaign.name, fallback_url=a_destination())
    )

    assert await seconds_until(lambda reply: reply.status == 302, lambda: public.get(public.path(link))) < 1


async def test_link_that_was_asked_for_too_early_works_once_it_is_minted(public: PublicPort) -> None:
    """That a number was unknown is not remembered: the next link has it."""
    link = await public.link()
    following = public.codes.encode(link.number + 1, 0)
    assert (await public.get(f"/c/{following}")).status == 404

    await public.link("https://www.example.com/next")

    assert (await public.get(f"/c/{following}")).status == 302
