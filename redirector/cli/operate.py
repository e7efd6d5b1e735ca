"""`doctor` and `config`: what an operator looks at."""

import asyncio
import os
import time
from dataclasses import asdict
from typing import Final

import typer
from rich.text import Text

from redirector import doctor
from redirector.cli.console import print_json, results, table
from redirector.cli.options import (
    ConfigOption,
    DataDirOption,
    JSONOption,
    StoreURLOption,
    store_of,
    with_origins,
    with_settings,
    with_the_servers,
)
from redirector.errors import RedirectorError
from redirector.findings import Finding, Severity
from redirector.installation import Running, running_in
from redirector.settings import Settings, shown
from redirector.store.keys import Keys

SIGNS: Final = {Severity.WARNING: ("! ", "bold yellow"), Severity.ERROR: ("!! ", "bold red")}

config_app = typer.Typer(no_args_is_help=True, help="Look at the settings.")


@with_settings
def doctor_command(
    settings: Settings,
    *,
    as_json: JSONOption = False,
) -> None:
    """Say what is wrong with this installation; the exit code is 1 after warnings, and 3 after errors."""
    running = running_in(settings.data_dir)
    settings = with_the_servers(settings, running)
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
    found = await doctor.of_addresses(settings)
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
