"""A consumer's part of the stream, taken as the tests want it."""

from redis.asyncio import Redis

from redirector.count import COUNTING_GROUP, Tally
from redirector.gateways import Gateways
from redirector.judging import Judging, Mails
from redirector.rules import JUDGES
from redirector.store.campaigns import Campaigns
from redirector.store.clicks import ClickStream
from redirector.store.counters import Counters
from redirector.store.keys import Keys
from redirector.store.links import Links


async def next_of(stream: ClickStream, limit: int) -> list[str]:
    """The ids of the next entries that nobody in the group was given yet, whether they are due or not."""
    before = await stream.take(limit, after="")
    return (await stream.take(limit, after=before.last_given)).ids


def judging(stream: ClickStream, redis: Redis, keys: Keys, *, hold_ms: int = 0, rules: int = 2) -> Judging:
    """What judges for this consumer."""
    mails = Mails(Campaigns(redis, keys), Links(redis, keys))
    return Judging(stream, mails, JUDGES[rules], Gateways(), hold_ms=hold_ms)


async def count_all(redis: Redis, keys: Keys) -> None:
    """Counts whatever is in the stream, as the worker's group."""
    stream = ClickStream(redis, keys, group=COUNTING_GROUP, consumer="test")
    await stream.join()
    judged = await judging(stream, redis, keys).those(await next_of(stream, 1_000))
    await Tally(stream, Counters(redis, keys), keys).count(judged)
