"""Campaigns in a real store."""

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from redirector.errors import StoreError, UnknownCampaign
from redirector.links import Tracking
from redirector.store.campaigns import Campaigns
from redirector.store.changes import Changes
from redirector.store.keys import Keys
from redirector.store.records import campaign_record
from tests.builders import NOON, a_campaign, a_destination


@pytest.fixture
def campaigns(redis: Redis, keys: Keys) -> Campaigns:
    """The campaigns of a store of the test's own."""
    return Campaigns(redis, keys)


async def test_a_campaign_is_created(campaigns: Campaigns) -> None:
    """What was made is there, with all that it holds."""
    campaign = a_campaign(
        tracking=Tracking.INDIVIDUAL,
        consent="form 7",
        sent=10,
        fallback_url=a_destination("https://www.example.com/over"),
        expires_at=NOON + 1,
    )

    assert await campaigns.create(campaign) is None
    assert await campaigns.get("news") == campaign


async def test_a_name_that_is_taken_keeps_its_campaign(campaigns: Campaigns) -> None:
    """Creating a campaign of the same name answers the one that is there, and changes nothing."""
    await campaigns.create(a_campaign(sent=10))

    assert await campaigns.create(a_campaign(sent=20)) == a_campaign(sent=10)
    assert await campaigns.get("news") == a_campaign(sent=10)


async def test_no_campaign_is_none(campaigns: Campaigns) -> None:
    """A name that nobody gave has no campaign."""
    assert await campaigns.get("other") is None


async def test_records(campaigns: Campaigns) -> None:
    """One, some or all, as the store keeps them; of those that there are."""
    expected = {name: campaign_record(a_campaign(name)).encode() for name in ("one", "two")}
    for name in expected:
        await campaigns.create(a_campaign(name))

    assert await campaigns.record("one") == expected["one"]
    assert await campaigns.record("other") is None
    assert await campaigns.records(["two", "other"]) == {"two": expected["two"]}
    assert await campaigns.records([]) == {}
    assert await campaigns.all_records() == expected


async def test_a_new_campaign_is_announced(campaigns: Campaigns, redis: Redis, keys: Keys) -> None:
    """The change stream tells of it."""
    await campaigns.create(a_campaign())
    changes = await Changes(redis, keys).since("0-0")

    assert [(change.kind, change.name) for change in changes or ()] == [("campaign", "news")]


async def test_a_change_is_kept_and_announced(campaigns: Campaigns, redis: Redis, keys: Keys) -> None:
    """What `decide` makes of a campaign is what is there afterwards."""
    await campaigns.create(a_campaign())
    changes = Changes(redis, keys)
    before = await changes.last_id()
    changed = await campaigns.change("news", lambda campaign: replace(campaign, sent=10))

    assert changed == a_campaign(sent=10)
    assert await campaigns.get("news") == changed
    assert [(change.kind, change.name) for change in await changes.since(before) or ()] == [("campaign", "news")]


async def test_no_change_is_lost(campaigns: Campaigns) -> None:
    """Changes made by many at the same moment are all there in the end."""
    await campaigns.create(a_campaign(sent=0))
    await asyncio.gather(
        *(campaigns.change("news", lambda it: replace(it, sent=(it.sent or 0) + 1)) for _ in range(12))
    )

    assert await campaigns.get("news") == a_campaign(sent=12)


async def test_no_campaign_cannot_be_changed(campaigns: Campaigns) -> None:
    """A change of a campaign that is not there is UnknownCampaign, and says which."""
    with pytest.raises(UnknownCampaign) as raised:
        await campaigns.change("other", lambda campaign: campaign)

    assert (raised.value.field, raised.value.part) == ("name", "other")


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [
        ("november news", "did you mean 'November news'?"),
        ("Novembr news", "did you mean 'November news'?"),
        ("spring", "create it with POST /v1/campaigns"),
    ],
)
async def test_campaign_that_was_perhaps_meant_is_named(campaigns: Campaigns, asked: str, remedy: str) -> None:
    """Asking for a campaign by a name that is nearly right names the right one."""
    made = a_campaign("November news")
    await campaigns.create(made)
    await campaigns.create(a_campaign("December sale"))

    with pytest.raises(UnknownCampaign) as raised:
        await campaigns.existing(asked, "campaign")

    assert (raised.value.field, raised.value.part, raised.value.remedy) == ("campaign", asked, remedy)
    assert await campaigns.existing("November news", "campaign") == made


async def test_a_spoiled_record_is_a_store_error(campaigns: Campaigns, redis: Redis, keys: Keys) -> None:
    """Whatever lies where a campaign should, reading, making or changing it raises StoreError."""
    await redis.hset(keys.campaigns, "news", b'["no campaign"]')

    with pytest.raises(StoreError):
        await campaigns.get("news")
    with pytest.raises(StoreError):
        await campaigns.create(a_campaign())
    with pytest.raises(StoreError):
        await campaigns.change("news", lambda campaign: campaign)
