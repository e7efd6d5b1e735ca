"""Judges a campaign's clicks again, from the stream, and counts its report anew.

The exported counters, by topic and class, stay as they are: they must never go down.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from redis.asyncio import Redis

from redirector.behaviour import Mail
from redirector.clicks import Click
from redirector.count import additions
from redirector.errors import ClicksMissing
from redirector.hold import Hold
from redirector.store.counters import Counters
from redirector.store.entries import BEGINNING, reach, walk
from redirector.store.keys import Keys
from redirector.store.recounts import Recount

BATCH: Final = 500

# While a consumer is between taking clicks and counting them, or counts more of this campaign: try again.
TRIES: Final = 50
TRY_AGAIN_SECONDS: Final = 0.1

ByLink = dict[tuple[str, str], int]


@dataclass(slots=True)
class Recounted:
    """What a recount came to: clicks by (link number, class) before and after, and how often each rule decided.

    `missing` clicks were counted, and are no longer in the stream.
    """

    before: ByLink = field(default_factory=dict)
    after: Counter[tuple[str, str]] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    missing: int = 0


class Recounting:
    """One recount. `hold` is empty, and judges by the rules that are wanted."""

    def __init__(
        self, redis: Redis, keys: Keys, campaign: str, *, hold: Hold, hold_ms: int, mail: Mail, group: str, run: str
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._campaign = campaign
        self._hold = hold
        self._hold_ms = hold_ms
        self._mails = {campaign: mail}
        self._group = group
        self._counters = Counters(redis, keys)
        self._recount = Recount(redis, keys, campaign, run=run)
        self._read_to = BEGINNING
        self._result = Recounted()

    async def run(
        self, *, keep: bool = False, without_missing: bool = False, told: Callable[[int], None] = lambda _: None
    ) -> Recounted:
        """Counts anew, and tells how many entries each page had that it read.

        With `keep` the old counters stay in place, and it only says what would change.

        Raises ClicksMissing when clicks that were counted have left the stream, unless `without_missing` gives them up;
        StoreError when the store cannot be asked.
        """
        try:
            for tried in range(1, TRIES + 1):
                result = await self._catch_up(told)
                if result.missing and not (without_missing and tried == TRIES):
                    await asyncio.sleep(TRY_AGAIN_SECONDS)
                elif keep or await self._recount.swap(result.before):
                    return result
            if result.missing:
                raise _missing(self._campaign, result)
            raise ClicksMissing(
                "clicks of the campaign are counted faster than they can be counted anew",
                field="CAMPAIGN",
                part=self._campaign,
                remedy="try again when fewer readers click",
            )
        finally:
            await self._recount.discard()

    async def _catch_up(self, told: Callable[[int], None]) -> Recounted:
        """Counts what was counted since the last time; what comes behind it within the hold is read as well."""
        key, name = self._keys.clicks(), self._campaign.encode()
        reached = (await reach(self._redis, key, self._group)).up_to
        self._result.before = await self._counters.by_link(self._campaign)
        async for page in walk(self._redis, key, after=self._read_to, up_to=str(reached[0] + self._hold_ms)):
            self._hold.read([entry for entry in page if entry.fields.get(b"campaign") == name], 0.0)
            self._read_to = page[-1].id
            while self._hold.due(-1.0, BATCH) == len(ids := self._hold.first(BATCH, up_to=reached)) == BATCH:
                await self._count(ids)
            told(len(page))
        while ids := self._hold.first(BATCH, up_to=reached):
            await self._count(ids)
        before, after = _of_links(self._result.before), _of_links(self._result.after)
        self._result.missing = sum(abs(before[link] - after[link]) for link in before | after)
        return self._result

    async def _count(self, ids: Sequence[str]) -> None:
        clicks: Sequence[Click] = list(self._hold.judged(ids, self._mails).clicks.values())
        await self._recount.add(additions(clicks, self._keys), {click.link for click in clicks})
        self._result.after.update((str(click.link), str(click.class_)) for click in clicks)
        self._result.rules.update(click.rule for click in clicks)


def _of_links(clicks: Mapping[tuple[str, str], int]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for (link, _), count in clicks.items():
        sums[link] += count
    return sums


def _missing(campaign: str, result: Recounted) -> ClicksMissing:
    return ClicksMissing(
        f"{result.missing} of its {sum(result.before.values())} clicks are in the counters or in the stream, and not"
        " in both",
        field="CAMPAIGN",
        part=campaign,
        remedy="they left the stream after stream_retention_days, or were erased; --without-missing gives them up",
    )
