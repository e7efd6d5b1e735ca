"""Links and topics in the store."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from redirector.errors import LinkExists, StoreError, TooManyTopics, UnknownLink
from redirector.links import Campaign, Link
from redirector.store.changes import KEPT_CHANGES
from redirector.store.connection import as_bytes, script, store_errors, text
from redirector.store.keys import Keys
from redirector.store.records import campaign_record, identity, link_from, link_record

PAGE: Final = 500

MAX_DIGITS: Final = 16  # of a link's number

# What replace.lua answers.
REPLACED: Final = 1
TAKEN: Final = -1


@dataclass(frozen=True, slots=True)
class Minted:
    """A link with its number; `created` tells a new one from one that was there already."""

    link: Link
    created: bool


class Links:
    """The links of the catalog."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._mint = script(redis, "mint")
        self._replace = script(redis, "replace")
        self._restore = script(redis, "restore")
        self._keep_numbers = script(redis, "keep_numbers")

    async def mint(
        self, campaign: Campaign, drafts: Sequence[Link], *, topics_max: int, now: int
    ) -> list[Minted | TooManyTopics]:
        """Links for `drafts` (their numbers do not count), all of one campaign, in one step and in the same order.

        The campaign and the topics are created when they are not there yet. A draft whose topics find no room
        spoils none of the others: its place holds the error.
        """
        keys = self._keys
        arguments: list[str | int] = [campaign.name, campaign_record(campaign), topics_max, now, KEPT_CHANGES]
        for draft in drafts:
            arguments += (identity(draft), link_record(draft), ",".join(draft.topics), int(draft.honeypot))
        with store_errors():
            answers = await self._mint(
                keys=[
                    keys.links,
                    keys.next_link,
                    keys.identities,
                    keys.campaigns,
                    keys.topics,
                    keys.changes,
                    keys.links_of(campaign.name),
                    keys.honeypots_of(campaign.name),
                ],
                args=arguments,
            )
        return [_minted(answer, topics_max) for answer in answers]

    async def get(self, number: int) -> Link | None:
        """The link of this number, if there is one."""
        record = await self.record(number)
        return None if record is None else link_from(number, record)

    async def record(self, number: int) -> bytes | None:
        """The link of this number as the store keeps it, if there is one."""
        with store_errors():
            record = await self._redis.hget(self._keys.links, str(number))
            return None if record is None else as_bytes(record)

    async def records(self, numbers: Collection[int]) -> dict[int, bytes]:
        """The links of these numbers as the store keeps them; those that there are."""
        if not numbers:
            return {}
        with store_errors():
            records = await self._redis.hmget(self._keys.links, [str(number) for number in numbers])
            found = zip(numbers, records, strict=True)
            return {number: as_bytes(record) for number, record in found if record is not None}

    async def last_number(self) -> int:
        """The number of the newest link; 0 when there is none yet."""
        with store_errors():
            number = text(await self._redis.get(self._keys.next_link))
        if not (number.isascii() and number[:MAX_DIGITS].isdecimal()):
            return 0
        return int(number[:MAX_DIGITS])

    async def keep_numbers(self, last: int) -> bool:
        """Sees to it that no link gets a number up to `last` again; answers whether the store had forgotten them."""
        with store_errors():
            keys = [self._keys.next_link, self._keys.changes]
            return int(await self._keep_numbers(keys=keys, args=[last, KEPT_CHANGES])) == 1

    async def those(self, numbers: Collection[int]) -> dict[int, Link]:
        """The links of these numbers, as far as there are any."""
        return {number: link_from(number, record) for number, record in (await self.records(numbers)).items()}

    async def page(self, campaign: str, *, after: int, limit: int) -> list[Link]:
        """A campaign's links with numbers above `after`, in their order."""
        with store_errors():
            numbers: Any = await self._redis.zrangebyscore(
                self._keys.links_of(campaign), f"({after}", "+inf", start=0, num=limit
            )
        return list((await self.those([int(number) for number in numbers])).values())

    async def page_of_all(self, after: int, limit: int) -> list[Link]:
        """Links of every campaign with numbers above `after`, in their order. A restored catalog may lack some."""
        last, page = await self.last_number(), list[Link]()
        while len(page) < limit and after < last:
            end = min(after + limit - len(page), last)
            page += (await self.those(range(after + 1, end + 1))).values()
            after = end
        return page

    async def count(self, campaign: str) -> int:
        """How many links a campaign has that a reader can see."""
        with store_errors():
            links = int(await self._redis.zcard(self._keys.links_of(campaign)))
            return links - int(await self._redis.scard(self._keys.honeypots_of(campaign)))

    async def of_campaign(self, campaign: str) -> AsyncIterator[Link]:
        """A campaign's links, in the order of their numbers."""
        after = 0
        while page := await self.page(campaign, after=after, limit=PAGE):
            for link in page:
                yield link
            after = page[-1].number

    async def change(self, number: int, decide: Callable[[Link], Link]) -> Link:
        """Puts `decide(link)` in the link's place, asking again if somebody else changed it in between.

        Raises UnknownLink, and LinkExists when the change makes it the same link as another one of its campaign.
        """
        while True:
            record = await self.record(number)
            if record is None:
                raise UnknownLink(f"there is no link {number}", remedy="see GET /v1/links?campaign=")
            old = link_from(number, record)
            new = decide(old)
            with store_errors():
                outcome = await self._replace(
                    keys=[self._keys.links, self._keys.changes, self._keys.identities],
                    args=[number, record, link_record(new), "link", KEPT_CHANGES, identity(old), identity(new)],
                )
            if outcome == TAKEN:
                raise LinkExists(
                    "the campaign has another link with this destination, these topics and this label",
                    field="/destination",
                    part=new.destination.stored,
                    remedy="disable one of the two instead",
                )
            if outcome == REPLACED:
                return new

    async def restore(self, links: Sequence[Link]) -> int:
        """Puts links of one campaign back under their numbers, and answers how many; a number that is taken stays."""
        keys, arguments = self._keys, [str(KEPT_CHANGES)]
        for link in links:
            arguments += (
                str(link.number),
                identity(link),
                link_record(link),
                ",".join(link.topics),
                str(link.created_at),
                str(int(link.honeypot)),
            )
        with store_errors():
            return int(
                await self._restore(
                    keys=[
                        keys.links,
                        keys.next_link,
                        keys.identities,
                        keys.topics,
                        keys.changes,
                        keys.links_of(links[0].campaign),
                        keys.honeypots_of(links[0].campaign),
                    ],
                    args=arguments,
                )
            )

    async def topics(self) -> list[str]:
        """Every registered topic, oldest first."""
        with store_errors():
            topics: Any = await self._redis.zrange(self._keys.topics, 0, -1)
        return [text(topic) for topic in topics]


def _minted(answer: Sequence[object], topics_max: int) -> Minted | TooManyTopics:
    match answer:
        case (0, 0, bytes() as topic):
            return TooManyTopics(
                f"there are {topics_max} topics already",
                field="/topics",
                part=text(topic),
                remedy="use one that is there, or raise topics_max",
            )
        case (int() as number, int() as created, bytes() as record):
            return Minted(link_from(number, record), bool(created))
        case _:
            raise StoreError("the store knows the link's identity, but has lost the link", remedy="restore a backup")
