"""The audit: who used a key that may see persons or change the installation, for what, and what came of it.

It never holds a recipient, a code or a body. Each use is noted before it is begun, and its outcome before it is
answered; a use without an outcome was begun, and nobody knows how it ended. Whatever raises StoreError here must not
be done: what is not in the audit must not happen.
"""

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from redis.asyncio import Redis

from redirector.store.connection import store_errors, text
from redirector.store.keys import Keys

DAY_MS: Final = 24 * 3600 * 1000

# Some 30 MB. Beyond it the oldest go, so that no flood fills the store. A use is two entries, so these are at least the
# last 100,000 uses, as the documents have it.
MOST_ENTRIES: Final = 200_000
PAGE: Final = 1_000

COMMAND_LINE: Final = "command line"
WORKER: Final = "worker"

_ENTRY: Final = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Use:
    """Somebody's use: `at` in Unix ms, by the store's clock; `key` is the id of the key that was used, or made.

    `who` is the key's name, COMMAND_LINE or WORKER; `action` an operation's id or a command; `outcome` a status, a
    word, or "" while it is not known.
    """

    who: str
    action: str
    key: str = ""
    outcome: str = ""
    at: int = 0


class Audit:
    """The audit stream, capped at `MOST_ENTRIES`."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._key = keys.audit

    async def begin(self, use: Use) -> str:
        """Notes a use, and returns the entry's id, for its outcome. Raises StoreError."""
        return await self._append({"who": use.who, "key": use.key, "action": use.action, "outcome": use.outcome})

    async def end(self, entry: str, outcome: str) -> None:
        """Notes the outcome of a use. Raises StoreError."""
        await self._append({"of": entry, "outcome": outcome})

    async def _append(self, fields: dict[str, str]) -> str:
        kept: dict[Any, Any] = {name: value for name, value in fields.items() if value}
        with store_errors():
            return text(await self._redis.xadd(self._key, kept, maxlen=MOST_ENTRIES, approximate=True))

    async def since(self, moment: int) -> list[Use]:
        """Every use from this moment (Unix ms) on, oldest first."""
        uses: dict[str, Use] = {}
        after = str(max(0, moment))
        while page := await self._page(after):
            for entry, fields in page:
                begun = fields.get("of", "")
                if not begun:
                    uses[entry] = _use(entry, fields)
                elif begun in uses:
                    uses[begun] = replace(uses[begun], outcome=fields.get("outcome", ""))
            after = f"({page[-1][0]}"
        return list(uses.values())

    async def _page(self, after: str) -> list[tuple[str, dict[str, str]]]:
        with store_errors():
            found: Any = await self._redis.xrange(self._key, min=after, count=PAGE)
        return [
            (text(entry), {text(name): text(value) for name, value in fields.items()})
            for entry, fields in found
            if _ENTRY.fullmatch(text(entry))
        ]

    async def trim(self, before: int) -> None:
        """Removes what is older than this moment (Unix ms). Raises StoreError."""
        with store_errors():
            await self._redis.xtrim(self._key, minid=max(0, before), approximate=False)


def _use(entry: str, fields: dict[str, str]) -> Use:
    return Use(
        who=fields.get("who", ""),
        action=fields.get("action", ""),
        key=fields.get("key", ""),
        outcome=fields.get("outcome", ""),
        at=int(entry.partition("-")[0]),
    )
