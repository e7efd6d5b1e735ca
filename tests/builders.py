"""Builds what tests talk about; each builder fills in what a test does not care for."""

from dataclasses import replace
from typing import Any

import msgpack

from redirector.clicks import Click, ClickClass, packed
from redirector.destinations import Destination
from redirector.links import Campaign, Link
from redirector.mint import mint
from redirector.store.links import Links, Minted
from redirector.wire import FiguresOut, TopicOut, TopicsOut

NOON = 1_795_435_200_000  # 2026-11-23T12:00:00Z, in Unix ms
SECRET = "0123456789abcdef0123456789abcdef"


def a_destination(url: str = "https://www.example.com/offer?a=1&b=2") -> Destination:
    """A destination that needs no encoding."""
    return Destination(url, url)


def a_link(url: str = "https://www.example.com/offer?a=1&b=2", **properties: Any) -> Link:
    """A link of the campaign `news` about solar."""
    link = Link(number=0, destination=a_destination(url), campaign="news", topics=("solar",), created_at=NOON)
    return replace(link, **properties)


def a_campaign(name: str = "news", **properties: Any) -> Campaign:
    """A campaign with aggregate tracking."""
    return replace(Campaign(name=name, created_at=NOON), **properties)


def a_click(number: int = 1, **properties: Any) -> Click:
    """A human's click on link 7 of the campaign `news`, at noon."""
    click = Click(
        id=f"test-{number:x}",
        at=NOON,
        link=7,
        campaign="news",
        topics=("solar",),
        class_=ClickClass.HUMAN,
        rule="no-sign",
        rules=1,
        visitor=f"visitor{number:05d}",
    )
    return click._replace(**properties)


def fields_of(click: Click) -> dict[Any, Any]:
    """The click as an entry of the stream."""
    names_and_values: list[str] = msgpack.unpackb(packed(click))
    return dict(zip(names_and_values[::2], names_and_values[1::2], strict=True))


async def minted(links: Links, draft: Link, *, topics_max: int = 100) -> Minted:
    """The draft as a link in the store, made at noon unless it was there; raises what speaks against it."""
    (answer,) = (await mint(links, {0: draft}, topics_max=topics_max, now=NOON)).values()
    if not isinstance(answer, Minted):
        raise answer
    return answer


def topic_out(name: str, unique_clickers: int, **clicks: int) -> TopicOut:
    """A topic with clicks by class."""
    return TopicOut(topic=name, clicks=clicks, figures=FiguresOut.of(clicks), unique_clickers=unique_clickers)


def topics_out(*of: TopicOut, **clicks: int) -> TopicsOut:
    """Topics, and the clicks on all of them by class."""
    return TopicsOut(topics=list(of), clicks=clicks, figures=FiguresOut.of(clicks))
