"""How old the oldest is of what the store keeps for a time: what shows that retention is kept to."""

from typing import Final

from redis.asyncio import Redis

from redirector.store.connection import store_errors, text
from redirector.store.keys import Keys
from redirector.store.salts import oldest_salt_seconds

CLICKS: Final = "clicks"
SALTS: Final = "visitor_salts"
OPT_OUTS: Final = "opt_outs"


async def oldest_seconds(redis: Redis, keys: Keys, now: int) -> dict[str, float]:
    """The age of the oldest click in the stream, salt, and recipient's opt-out at `now` (Unix ms); 0 without any.

    Raises StoreError.
    """
    with store_errors():
        clicks = await redis.xrange(keys.clicks(), count=1)
        opt_outs = await redis.zrange(keys.opted_out, 0, 0, withscores=True)
    moments = {
        CLICKS: int(text(clicks[0][0]).partition("-")[0]) if clicks else now,
        OPT_OUTS: int(opt_outs[0][1]) if opt_outs else now,
    }
    ages = {data: max(0.0, (now - at) / 1000) for data, at in moments.items()}
    return {**ages, SALTS: await oldest_salt_seconds(redis, keys, now)}
