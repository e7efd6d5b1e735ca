"""The options that several commands share, and what they lead to: settings, a client, and the store."""

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import update_wrapper
from inspect import Signature, signature
from pathlib import Path
from typing import Annotated, Any, Concatenate

import typer
from redis.asyncio import Redis

from redirector.cli import logs
from redirector.client import Client
from redirector.errors import ServerUnavailable
from redirector.installation import Running, expect_format, running_in
from redirector.origins import Origin, load
from redirector.settings import DEBUG, Settings
from redirector.store.connection import connected
from redirector.store.embedded import EmbeddedStore, ownership, socket_path

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="A TOML file with settings; see config/redirector.toml.")
]
DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Where everything is kept; ~/.local/share/redirector unless told."),
]
StoreURLOption = Annotated[
    str | None,
    typer.Option("--store-url", metavar="URL", help="redis://, rediss:// or unix://; a store of its own unless told."),
]
JSONOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def settings_of(config: Path | None = None, **flags: object) -> Settings:
    """The settings that these flags, the environment and the file give."""
    settings = with_origins(config, **flags)[0]
    logging.getLogger("redirector").setLevel(logging.DEBUG if os.environ.get(DEBUG) else settings.log_level.upper())
    logs.write_as(settings.log_format)
    return settings


def with_origins(config: Path | None = None, **flags: object) -> tuple[Settings, dict[str, Origin]]:
    """The settings, and where each came from."""
    return load(flags, os.environ, config)


def with_the_servers(settings: Settings, running: Running | None) -> Settings:
    """The settings with what only the server that runs here was told, on its command line: its base URL."""
    if settings.base_url or running is None:
        return settings
    return settings.model_copy(update={"base_url": running.base_url})


def client_of(data_dir: Path | None, config: Path | None = None) -> Client:
    """A client of the server that `REDIRECTOR_URL` and `REDIRECTOR_API_KEY` name, or of the one on this machine.

    A data directory that is given as a flag goes before both variables.
    """
    url, key = os.environ.get("REDIRECTOR_URL", ""), os.environ.get("REDIRECTOR_API_KEY", "")
    if data_dir and url:
        url = key = ""  # the key is for the server at that address
    if url and not key:
        raise ServerUnavailable(
            "REDIRECTOR_URL says where the server is, but there is no key for it",
            field="REDIRECTOR_API_KEY",
            remedy="set it to a key that `redirector keys create` printed there",
        )
    if url:
        return Client(url, key)
    settings = settings_of(config, data_dir=data_dir)
    running = running_in(settings.data_dir)
    if running is None:
        raise ServerUnavailable(
            f"no server runs over {settings.data_dir}",
            remedy="start one with `redirector serve`, or set REDIRECTOR_URL and REDIRECTOR_API_KEY",
        )
    return Client(running.internal_url, key or running.api_key)


def with_settings(command: Callable[Concatenate[Settings, ...], None]) -> Callable[..., None]:
    """The command with the options --data-dir, --store-url and --config, in whose place it takes settings, first.

    Typer reads the options of a command off its signature.
    """

    def run(
        *arguments: Any,
        data_dir: DataDirOption = None,
        store_url: StoreURLOption = None,
        config: ConfigOption = None,
        **options: Any,
    ) -> None:
        command(settings_of(config, data_dir=data_dir, store_url=store_url), *arguments, **options)

    _, *own = signature(command).parameters.values()
    where = [parameter for parameter in signature(run).parameters.values() if parameter.kind is parameter.KEYWORD_ONLY]
    update_wrapper(run, command).__dict__["__signature__"] = Signature([*own, *where])
    return run


@asynccontextmanager
async def store_of(settings: Settings) -> AsyncIterator[Redis]:
    """The installation's store: the operator's, or the embedded one, which is started if no server runs."""
    url = settings.store_url.get_secret_value()
    if not url and running_in(settings.data_dir):
        url = f"unix://{socket_path(settings.data_dir)}"
    if url:
        async with connected(url) as redis:
            yield redis
        return
    with ownership(settings.data_dir) as lock:
        expect_format(settings.data_dir)
        store = EmbeddedStore(settings.data_dir, lock)
        try:
            await store.start()
            async with connected(store.url) as redis:
                yield redis
        finally:
            await store.stop()
