"""Campaigns in the store."""

import difflib
from collections.abc import Callable, Sequence
from typing import Final

from redis.asyncio import Redis

from redirector.errors import UnknownCampaign
from redirector.links import Campaign
from redirector.store.changes import KEPT_CHANGES
from redirector.store.connection import as_bytes, script, store_errors, text
from redirector.store.keys import Keys
from redirector.store.links import PAGE, REPLACED
from redirector.store.records import campaign_from, campaign_record

# Of more campaigns than these, some are not compared with a name that is none's: that must not cost the store much.
COMPARED: Final = 1_000


class Campaigns:
    """The campaigns of the catalog."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._replace = script(redis, "replace")

    async def create(self, campaign: Campaign) -> Campaign | None:
        """Makes the campaign; answers the one that has this name already, unchanged, or None when it was made."""
        with store_errors():
            async with self._redis.pipeline(transaction=True) as transaction:
                transaction.hsetnx(self._keys.campaigns, campaign.name, campaign_record(campaign))
                transaction.xadd(self._keys.changes, {"campaign": campaign.name}, maxlen=KEPT_CHANGES)
                created, _ = await transaction.execute()
        return None if created else await self.get(campaign.name)

    async def get(self, name: str) -> Campaign | None:
        """The campaign of this name, if there is one."""
        record = await self.record(name)
        return None if record is None else campaign_from(name, record)

    async def record(self, name: str) -> bytes | None:
        """The campaign of this name as the store keeps it, if there is one."""
        with store_errors():
            record = await self._redis.hget(self._keys.campaigns, name)
            return None if record is None else as_bytes(record)

    async def records(self, names: Sequence[str]) -> dict[str, bytes]:
        """The campaigns of these names as the store keeps them; those that there are."""
        if not names:
            return {}
        with store_errors():
            records = await self._redis.hmget(self._keys.campaigns, list(names))
            found = zip(names, records, strict=True)
            return {name: as_bytes(record) for name, record in found if record is not None}

    async def all_records(self) -> dict[str, bytes]:
        """Every campaign as the store keeps it."""
        with store_errors():
            return {
                text(name): as_bytes(record)
                async for name, record in self._redis.hscan_iter(self._keys.campaigns, count=PAGE)
            }

    async def existing(self, name: str, field: str) -> Campaign:
        """The campaign of this name. Raises UnknownCampaign about `field`, with the name that was perhaps meant."""
        campaign = await self.get(name)
        if campaign is None:
            raise await self._unknown(name, field)
        return campaign

    async def _unknown(self, name: str, field: str) -> UnknownCampaign:
        with store_errors():
            _, some = await self._redis.hscan(self._keys.campaigns, count=COMPARED)
        known = {each.casefold(): each for each in map(text, list(some)[:COMPARED])}
        near = difflib.get_close_matches(name.casefold(), known, 1)
        return UnknownCampaign(
            "there is no such campaign",
            field=field,
            part=name,
            remedy=f"did you mean {known[near[0]]!r}?" if near else "create it with POST /v1/campaigns",
        )

    async def change(self, name: str, decide: Callable[[Campaign], Campaign]) -> Campaign:
        """Puts `decide(campaign)` in the campaign's place, asking again if somebody else changed it in between.

        Raises UnknownCampaign.
        """
        while True:
            record = await self.record(name)
            if record is None:
                raise await self._unknown(name, "name")
            new = decide(campaign_from(name, record))
            with store_errors():
                outcome = await self._replace(
                    keys=[self._keys.campaigns, self._keys.changes, self._keys.identities],
                    args=[name, record, campaign_record(new), "campaign", KEPT_CHANGES, "", ""],
                )
            if outcome == REPLACED:
                return new
