"""Minting: rows of drafts to links, and links to tracked URLs."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from redirector.codes import Codes
from redirector.errors import (
    CampaignExists,
    LinkExists,
    RecipientsNotAllowed,
    RedirectorError,
    TooManyTopics,
    UnknownCampaign,
)
from redirector.links import Campaign, Link, Tracking
from redirector.mint import TrackedURLs, campaign_for_recipients, create_campaign, mint
from redirector.settings import Settings
from redirector.store.campaigns import Campaigns
from redirector.store.connection import connected
from redirector.store.keys import Keys
from redirector.store.links import Links, Minted
from tests.builders import NOON, SECRET, a_campaign, a_destination, a_link, minted
from tests.conftest import needed, store_server

INDIVIDUAL = a_campaign(tracking=Tracking.INDIVIDUAL, consent="form 7")


@pytest.fixture
def links(redis: Redis, keys: Keys) -> Links:
    """The links of a store of the test's own."""
    return Links(redis, keys)


@pytest.fixture
def campaigns(redis: Redis, keys: Keys) -> Campaigns:
    """The campaigns of a store of the test's own."""
    return Campaigns(redis, keys)


@pytest.fixture
def urls() -> TrackedURLs:
    """Tracked URLs on one host."""
    return TrackedURLs("https://click.example.com", Codes(SECRET))


async def rows(links: Links, *drafts: Link, topics_max: int = 10, now: int = NOON) -> list[Minted | RedirectorError]:
    """The answers in the order of the drafts."""
    outcome = await mint(links, dict(enumerate(drafts)), topics_max=topics_max, now=now)
    return [outcome[row] for row in range(len(drafts))]


class TestMinting:
    async def test_rows_of_several_campaigns_keep_their_places(self, links: Links) -> None:
        """Each row gets its own link, whatever order the campaigns stand in."""
        drafts = [a_link(campaign="news"), a_link(campaign="spring"), a_link(campaign="news", label="footer")]
        outcome = await rows(links, *drafts)
        made = [answer.link for answer in outcome if isinstance(answer, Minted)]

        assert [replace(link, number=0) for link in made] == drafts
        assert len({link.number for link in made}) == 3

    async def test_a_bad_row_spoils_no_other(self, links: Links) -> None:
        """A row whose topic finds no room holds its error, and the others their links."""
        first, second, third = await rows(
            links, a_link(), a_link(topics=("wind",)), a_link(label="footer"), topics_max=1
        )

        assert isinstance(first, Minted)
        assert isinstance(second, TooManyTopics)
        assert isinstance(third, Minted)

    async def test_the_same_link_with_another_end_is_refused(self, links: Links) -> None:
        """A link that exists does not change its expiry by being minted again; the refusal says how it does."""
        await rows(links, a_link(expires_at=NOON + 1))
        with pytest.raises(LinkExists, match="PATCH /v1/links/1") as refused:
            await minted(links, a_link(expires_at=NOON + 2))

        assert refused.value.field == "/expires_at"

    async def test_no_expiry_is_any_expiry(self, links: Links) -> None:
        """A draft that says nothing about its end is the link that is there, whenever that expires."""
        first = await minted(links, a_link(expires_at=NOON + 1))

        assert await minted(links, a_link()) == replace(first, created=False)

    async def test_an_expiry_for_a_link_without_is_refused(self, links: Links) -> None:
        """A link that lasts does not get an end by being minted again."""
        await minted(links, a_link())
        with pytest.raises(LinkExists, match="expires at another time"):
            await minted(links, a_link(expires_at=NOON + 1))

    async def test_a_disabled_link_is_refused(self, links: Links) -> None:
        """A link that is disabled does not get into new mails; the refusal says how to enable it."""
        await minted(links, a_link())
        await links.change(1, lambda link: replace(link, disabled=True))
        with pytest.raises(LinkExists, match="is disabled") as refused:
            await minted(links, a_link())

        assert refused.value.remedy == 'enable it with PATCH /v1/links/1 {"disabled": false}'

    @pytest.mark.parametrize("draft", [a_link(), a_link(expires_at=NOON + 1)], ids=["without", "the same"])
    async def test_an_expired_link_is_refused(self, links: Links, draft: Link) -> None:
        """A link that has expired does not get into new mails, neither with that expiry nor without one."""
        await minted(links, a_link(expires_at=NOON + 1))
        (refused,) = await rows(links, draft, now=NOON + 1)

        assert isinstance(refused, LinkExists)
        assert refused.remedy == 'revive it with PATCH /v1/links/1 {"expires_at": null}'

    async def test_the_same_link_again_is_the_same(self, links: Links) -> None:
        """The only row's link comes back, and is not new."""
        first = await minted(links, a_link())

        assert await minted(links, a_link()) == replace(first, created=False)

    async def test_many_are_minted_in_portions(self, directory: Path) -> None:
        """Of 1,000 links of the heaviest kind, no script call keeps clicks waiting for as long as they may wait."""
        topics = [tuple(f"{number:03}-{row}-{'t' * 43}" for number in range(10)) for row in range(100)]
        url = "https://www.example.com/" + "x" * 1_990
        drafts = [a_link(url, label=str(row), topics=topics[row % 100]) for row in range(1_000)]
        with store_server(needed("redis-server"), directory, "--slowlog-log-slower-than", "500") as store_url:
            async with connected(store_url) as redis:
                await rows(Links(redis, Keys()), *drafts, topics_max=1_000)
                calls = [call for call in await redis.slowlog_get(1_000) if call["command"].startswith(b"EVALSHA")]

        assert max(call["duration"] for call in calls) < Settings().record_deadline_ms * 1000 / 2

    async def test_new_links_are_counted(self, links: Links) -> None:
        """The metric grows by the links that were made, not by those that were there or refused."""
        before = REGISTRY.get_sample_value("redirector_links_minted_total") or 0
        await rows(links, a_link(), a_link(), a_link(label="footer"), a_link(topics=("wind",)), topics_max=1)

        assert REGISTRY.get_sample_value("redirector_links_minted_total") == before + 2

    async def test_a_campaign_that_is_not_there_is_made(self, links: Links, campaigns: Campaigns) -> None:
        """It counts in aggregate, and was made when its first link was."""
        await rows(links, a_link())

        assert await campaigns.get("news") == Campaign("news", Tracking.AGGREGATE, created_at=NOON)


class TestCampaigns:
    async def test_a_new_one(self, campaigns: Campaigns) -> None:
        """A campaign is made once."""
        assert await create_campaign(campaigns, a_campaign(sent=5), ["sent"]) == (a_campaign(sent=5), True)

    @pytest.mark.parametrize(
        ("again", "given"),
        [
            pytest.param(a_campaign(sent=5), ["sent"], id="the same"),
            pytest.param(a_campaign(), [], id="nothing given"),
            pytest.param(a_campaign(sent=5, created_at=NOON + 1), ["sent"], id="later"),
        ],
    )
    async def test_the_same_again(self, campaigns: Campaigns, again: Campaign, given: Collection[str]) -> None:
        """Asking again for what is there answers it; what was not given is not compared."""
        await create_campaign(campaigns, a_campaign(sent=5), ["sent"])

        assert await create_campaign(campaigns, again, given) == (a_campaign(sent=5), False)

    @pytest.mark.parametrize(
        "differing",
        [
            pytest.param({"sent": 6}, id="sent"),
            pytest.param({"sent": None}, id="nothing sent"),
            pytest.param({"tracking": Tracking.AGGREGATE}, id="tracking"),
            pytest.param({"consent": "form 8"}, id="consent"),
            pytest.param({"fallback_url": a_destination()}, id="fallback_url"),
            pytest.param({"expires_at": NOON}, id="expires_at"),
        ],
    )
    async def test_another_one_of_the_same_name(self, campaigns: Campaigns, differing: dict[str, Any]) -> None:
        """A difference in what is given is refused by name, and the campaign stays as it was."""
        first = replace(INDIVIDUAL, sent=5)
        await campaigns.create(first)
        (name,) = differing
        with pytest.raises(CampaignExists, match=name) as refused:
            await create_campaign(campaigns, replace(first, **differing), [name])

        assert refused.value.field == f"/{name}"
        assert await campaigns.get("news") == first

    async def test_recipients_need_a_campaign_with_consent(self, campaigns: Campaigns) -> None:
        """Individual tracking is what a campaign must have been made with."""
        await campaigns.create(INDIVIDUAL)
        await campaigns.create(a_campaign("aggregate"))

        assert await campaign_for_recipients(campaigns, "news") == INDIVIDUAL
        with pytest.raises(RecipientsNotAllowed):
            await campaign_for_recipients(campaigns, "aggregate")
        with pytest.raises(UnknownCampaign):
            await campaign_for_recipients(campaigns, "other")


class TestURLs:
    def test_for_everybody(self, urls: TrackedURLs) -> None:
        """The URL of a link is the base, /c/ and a code that names nobody."""
        url = urls.url(7)

        assert url.startswith("https://click.example.com/c/")
        assert urls.codes.decode(url.removeprefix(urls.prefix)) == (7, 0)

    def test_for_a_recipient(self, urls: TrackedURLs) -> None:
        """A recipient's URL holds the token, not the id, and another recipient's is another."""
        url = urls.url(7, "reader-12345")

        assert urls.codes.decode(url.removeprefix(urls.prefix)) == (7, urls.codes.recipient_token("reader-12345"))
        assert "12345" not in url
        assert url != urls.url(7, "reader-12346")

    def test_for_many(self, urls: TrackedURLs) -> None:
        """Each recipient comes with their URL, made when it is asked for."""
        asked = []

        def recipients() -> Any:
            for recipient in ("a", "b"):
                asked.append(recipient)
                yield recipient

        each = urls.each(7, recipients())

        assert next(each) == ("a", urls.url(7, "a"))
        assert asked == ["a"]
        assert list(each) == [("b", urls.url(7, "b"))]
