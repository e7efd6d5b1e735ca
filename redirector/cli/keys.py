"""`keys`: who may use the API, for what, and until when."""

import asyncio
import secrets
import sys
import time
from dataclasses import asdict
from typing import Annotated

import typer
from pydantic import SecretStr
from redis.asyncio import Redis
from rich.text import Text

from redirector.cli.audit import audited, show_audit
from redirector.cli.console import print_json, results, say, table
from redirector.cli.options import JSONOption, store_of, with_settings
from redirector.cli.secret import expect_the_secret_of_the_server
from redirector.destinations import ascii_host
from redirector.errors import InvalidInput, InvalidSetting, StoreError
from redirector.installation import secret_in, secret_of
from redirector.settings import Settings
from redirector.spans import end_at, utc
from redirector.store.api_keys import SCOPES, ApiKeys, ListedKey
from redirector.store.audit import COMMAND_LINE, Audit, Use
from redirector.store.keys import Keys
from redirector.suffixes import expect_registrable

keys_app = typer.Typer(no_args_is_help=True, help="Keys for the API.")
keys_app.command("audit")(show_audit)


@keys_app.command("create")
@with_settings
def create_key(
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    *,
    scopes: Annotated[list[str], typer.Option("--scope", help=f"What it may do: {', '.join(SCOPES)}.")],
    expires: Annotated[
        str | None, typer.Option(metavar="WHEN", help="90d, 12h, or the day on which it ends: 2027-03-01 (UTC).")
    ] = None,
    domains: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-destination", metavar="DOMAIN", help="Links of this key may lead there only; repeatable."
        ),
    ] = None,
    as_json: JSONOption = False,
) -> None:
    """Make an API key and print it; it cannot be shown again."""
    now = int(time.time() * 1000)
    expires_at = None if expires is None else end_at(expires, now, "--expires")
    destinations = list(dict.fromkeys(_domain(domain) for domain in domains or ()))
    expect_registrable(destinations, "--allow-destination")
    secret = _secret_for_keys(settings)
    entropy = secrets.token_bytes(26)

    async def create() -> str:
        async with store_of(settings) as redis:
            api_keys = _api_keys(settings, redis, secret)
            await expect_the_secret_of_the_server(settings, api_keys)
            async with audited(settings, redis, "keys create", entropy[:6].hex()):
                return await api_keys.create(
                    name, scopes, now=now, entropy=entropy, expires_at=expires_at, destinations=destinations
                )

    key = asyncio.run(create())
    if as_json:
        limits = {"expires_at": None if expires_at is None else utc(expires_at), "destinations": destinations}
        print_json({"name": name, "scopes": scopes, **limits, "key": key})
    else:
        sys.stdout.write(key + "\n")


@keys_app.command("list")
@with_settings
def list_keys(
    settings: Settings,
    *,
    as_json: JSONOption = False,
) -> None:
    """Show every API key but the key itself: what it may do, until when, and on which day it was last used."""

    async def ask() -> list[ListedKey]:
        async with store_of(settings) as redis:
            return await _api_keys(settings, redis).listed()

    listed = asyncio.run(ask())
    if as_json:
        print_json([asdict(key) | _moments(key) for key in listed])
        return
    shown = table("id", "name", "scopes", "created", "expires", "last used", "destinations", whole=("id",))
    for key in listed:
        moments = _moments(key)
        shown.add_row(
            key.id,
            Text(key.name),
            " ".join(key.scopes),
            str(moments["created_at"])[:10],
            moments["expires_at"] or "never",
            moments["last_used"] or "never",
            Text(" ".join(key.destinations) or "any"),
        )
    results().print(shown)


def _moments(key: ListedKey) -> dict[str, str | None]:
    return {
        "created_at": utc(key.created_at),
        "expires_at": None if key.expires_at is None else utc(key.expires_at),
        "last_used": None if key.last_used is None else utc(key.last_used)[:10],
    }


@keys_app.command("revoke")
@with_settings
def revoke_key(
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="NAME|ID", help="Which key, as `keys list` shows it.")],
    *,
    as_json: JSONOption = False,
) -> None:
    """End an API key: no server takes it from now on."""

    async def revoke() -> tuple[str, str]:
        async with store_of(settings) as redis:
            api_keys = _api_keys(settings, redis)
            key = await api_keys.find(name)
            try:  # a leaked key is ended first, and written about after that
                await api_keys.revoke(key.id)
                await Audit(redis, Keys(settings.store_prefix)).begin(
                    Use(COMMAND_LINE, "keys revoke", key.id, outcome="done")
                )
            except StoreError as error:
                if key.id in await api_keys.all_records():
                    raise
                say(f"It is not in the audit, and an older backup would bring the key back: {error}")
            return key.id, key.name

    key_id, key_name = asyncio.run(revoke())
    if as_json:
        print_json({"id": key_id, "name": key_name, "revoked": True})
    else:
        say(f"The key {key_name} ({key_id}) is revoked.")


def _api_keys(settings: Settings, redis: Redis, secret: SecretStr | None = None) -> ApiKeys:
    """The keys; without the secret, to look at and to revoke."""
    pepper = secret.get_secret_value() if secret else ""
    return ApiKeys(redis, Keys(settings.store_prefix), pepper=pepper.encode())


def _domain(domain: str) -> str:
    try:
        return ascii_host(domain)
    except ValueError as error:
        raise InvalidInput(
            str(error), field="--allow-destination", part=domain, remedy="write it like example.com"
        ) from None


def _secret_for_keys(settings: Settings) -> SecretStr:
    """The secret of the servers that are to know the key: the one that is set, or the data directory's own.

    Raises InvalidSetting when the servers over a store of the operator's have another one, that is not known here.
    """
    if settings.secret.get_secret_value():
        return settings.secret
    if not settings.store_url.get_secret_value():
        return secret_of(settings.data_dir)
    found = secret_in(settings.data_dir)
    if found is None:
        raise InvalidSetting(
            "a key is only known to servers with the same secret, and none is set",
            field="REDIRECTOR_SECRET",
            remedy="set it as the servers over this store have it, or name their --data-dir",
        )
    say(f"The key is for servers with the secret in {settings.data_dir}.")
    return found
