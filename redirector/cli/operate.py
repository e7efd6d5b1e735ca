"""`keys`, `doctor` and `config`: what an operator needs."""

import asyncio
import os
import secrets
import sys
import time
from dataclasses import asdict
from typing import Annotated, Final

import typer
from pydantic import SecretStr
from rich.text import Text

from redirector import doctor
from redirector.cli.console import print_json, results, say, table
from redirector.cli.options import (
    ConfigOption,
    DataDirOption,
    JSONOption,
    StoreURLOption,
    settings_of,
    store_of,
    with_origins,
)
from redirector.errors import InvalidSetting, KeyMissing, RedirectorError
from redirector.findings import Finding, Severity
from redirector.installation import Running, running_in, secret_in, secret_of
from redirector.settings import Settings, shown
from redirector.store.api_keys import SCOPES, ApiKeys
from redirector.store.keys import Keys

SIGNS: Final = {Severity.WARNING: ("! ", "bold yellow"), Severity.ERROR: ("!! ", "bold red")}

keys_app = typer.Typer(no_args_is_help=True, help="Keys for the API.")
config_app = typer.Typer(no_args_is_help=True, help="Look at the settings.")


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    *,
    scopes: Annotated[list[str], typer.Option("--scope", help=f"What it may do: {', '.join(SCOPES)}.")],
    data_dir: DataDirOption = None,
    store_url: StoreURLOption = None,
    config: ConfigOption = None,
    as_json: JSONOption = False,
) -> None:
    """Make an API key and print it; it cannot be shown again."""
    settings = settings_of(config, data_dir=data_dir, store_url=store_url)
    secret = _secret_for_keys(settings)

    async def create() -> str:
        async with store_of(settings) as redis:
            api_keys = ApiKeys(redis, Keys(settings.store_prefix), pepper=secret.get_secret_value().encode())
            await _expect_the_secret_of_the_server(settings, api_keys)
            return await api_keys.create(name, scopes, now=int(time.time() * 1000), entropy=secrets.token_bytes(26))

    key = asyncio.run(create())
    if as_json:
        print_json({"name": name, "scopes": scopes, "key": key})
    else:
        sys.stdout.write(key + "\n")


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


async def _expect_the_secret_of_the_server(settings: Settings, api_keys: ApiKeys) -> None:
    """Raises KeyMissing when a server runs here with another secret: it would know none of the keys made with ours."""
    running = None if settings.store_url.get_secret_value() else running_in(settings.data_dir)
    if running is None:
        return
    try:
        await api_keys.holder(running.api_key)
    except KeyMissing:
        raise KeyMissing(
            f"the server over {settings.data_dir} has another secret, and would not know the key",
            field="REDIRECTOR_SECRET",
            remedy="set it as the server has it",
        ) from None


def doctor_command(
    *,
    data_dir: DataDirOption = None,
    store_url: StoreURLOption = None,
    config: ConfigOption = None,
    as_json: JSONOption = False,
) -> None:
    """Say what is wrong with this installation; the exit code is 1 after warnings, and 3 after errors."""
    settings = settings_of(config, data_dir=data_dir, store_url=store_url)
    running = running_in(settings.data_dir)
    found = [
        *doctor.of_settings(settings, os.environ),
        *doctor.of_machine(settings, running),
        *asyncio.run(_asked(settings, running)),
    ]
    if as_json:
        print_json([asdict(finding) for finding in found])
    for finding in () if as_json else found:
        results().print(Text.assemble(SIGNS[finding.severity], finding.what, "\n  try: ", finding.remedy))
    if found:
        raise typer.Exit(3 if Severity.ERROR in {finding.severity for finding in found} else 1)
    if not as_json:
        results().print("Nothing is wrong.")


async def _asked(settings: Settings, running: Running | None) -> list[Finding]:
    """What the address and the store say."""
    found = await doctor.of_address(settings)
    if not settings.store_url.get_secret_value() and running is None:
        what = f"no server runs over {settings.data_dir}"
        return [*found, Finding(what, "start one with `redirector serve`", Severity.ERROR)]
    try:
        async with store_of(settings) as redis:
            return found + await doctor.of_store(redis, Keys(settings.store_prefix), int(time.time() * 1000))
    except RedirectorError as error:
        return [*found, doctor.of_error(error)]


@config_app.command("explain")
def explain(
    *,
    data_dir: DataDirOption = None,
    store_url: StoreURLOption = None,
    config: ConfigOption = None,
    as_json: JSONOption = False,
) -> None:
    """Show each setting, its value, and where that came from."""
    settings, origins = with_origins(config, data_dir=data_dir, store_url=store_url)
    rows = [(name, shown(name, getattr(settings, name)), origins[name]) for name in Settings.model_fields]
    if as_json:
        print_json({name: {"value": value, "origin": origin.kind, "from": origin.name} for name, value, origin in rows})
        return
    explained = table("setting", "value", "from")
    for name, value, origin in rows:
        explained.add_row(name, Text(value), "default" if origin.kind == "default" else Text(origin.name))
    results().print(explained)
