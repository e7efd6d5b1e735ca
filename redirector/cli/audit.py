"""`keys audit`: what was done with keys that may see persons or change the installation, and with keys themselves."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated

import typer
from redis.asyncio import Redis
from rich.text import Text

from redirector.cli.console import print_json, results, table
from redirector.cli.options import JSONOption, store_of, with_settings
from redirector.errors import RedirectorError
from redirector.settings import Settings
from redirector.spans import span_ms, utc
from redirector.store.audit import COMMAND_LINE, Audit, Use
from redirector.store.keys import Keys


@with_settings
def show_audit(
    settings: Settings,
    *,
    since: Annotated[str, typer.Option(metavar="SPAN", help="How far back: 12h, 7d, 8w.")] = "7d",
    as_json: JSONOption = False,
) -> None:
    """Show who used a key that may see persons or change the installation, and which keys were made and revoked."""
    begin = int(time.time() * 1000) - span_ms(since, "--since")

    async def ask() -> list[Use]:
        async with store_of(settings) as redis:
            return await Audit(redis, Keys(settings.store_prefix)).since(begin)

    uses = asyncio.run(ask())
    if as_json:
        print_json([asdict(use) | {"at": utc(use.at)} for use in uses])
        return
    shown = table("at", "who", "key", "action", "outcome", whole=("at", "key"))
    for use in uses:
        shown.add_row(utc(use.at), Text(use.who), Text(use.key), Text(use.action), Text(use.outcome or "not known"))
    results().print(shown)


@asynccontextmanager
async def audited(settings: Settings, redis: Redis, action: str, key_id: str) -> AsyncIterator[None]:
    """What a command does in the block is in the audit, with its outcome. Raises StoreError before it is done."""
    audit = Audit(redis, Keys(settings.store_prefix))
    entry = await audit.begin(Use(COMMAND_LINE, action, key_id))
    try:
        yield
    except RedirectorError as error:
        await audit.end(entry, error.code)
        raise
    await audit.end(entry, "done")
