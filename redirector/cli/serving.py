"""`serve` and `run`: the commands that stay."""

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Coroutine
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from redirector import __version__
from redirector.cli.console import print_json, say
from redirector.cli.options import ConfigOption, DataDirOption, JSONOption, StoreURLOption, settings_of
from redirector.errors import InvalidSetting
from redirector.installation import Running
from redirector.settings import Settings

# Numbers are taken as text: `settings` judges them, and says what is wrong in the same words wherever they come from.
PublicPort = Annotated[str | None, typer.Option(metavar="PORT", help="What the internet sees; 8080 unless told.")]
InternalPort = Annotated[str | None, typer.Option(metavar="PORT", help="API and metrics; 9090 unless told.")]
BaseURL = Annotated[
    str | None, typer.Option(metavar="URL", help="Where tracked URLs point, as readers reach the public port.")
]
SharedStoreURL = Annotated[
    str | None,
    typer.Option("--store-url", metavar="URL", help="redis://, rediss:// or unix://; one for all roles."),
]
Descriptor = Annotated[int | None, typer.Option(hidden=True)]

log = logging.getLogger(__name__)

run_app = typer.Typer(no_args_is_help=True, help="Run one role, as Kubernetes does; needs a store URL and a secret.")


def serve_command(
    *,
    data_dir: DataDirOption = None,
    public_port: PublicPort = None,
    internal_port: InternalPort = None,
    public_host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The public port's address; 127.0.0.1 unless told.")
    ] = None,
    internal_host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The internal port's address; 127.0.0.1 unless told.")
    ] = None,
    store_url: StoreURLOption = None,
    base_url: BaseURL = None,
    workers: Annotated[str | None, typer.Option(metavar="N", help="Processes for redirects; 1 unless told.")] = None,
    config: ConfigOption = None,
    as_json: JSONOption = False,
) -> None:
    """Serve everything on this machine: redirects, API, metrics, counting, and a store of its own."""
    from redirector.serve import serve

    settings = settings_of(
        config,
        data_dir=data_dir,
        public_port=public_port,
        internal_port=internal_port,
        public_host=public_host,
        internal_host=internal_host,
        store_url=store_url,
        base_url=base_url,
        workers=workers,
    )

    def ready(running: Running) -> None:
        if as_json:
            print_json({"public_url": running.public_url, "internal_url": running.internal_url, "pid": running.pid})
            sys.stdout.flush()
        say(f"Redirects: {running.public_url}    API and metrics: {running.internal_url}    Data: {settings.data_dir}")
        if not settings.base_url:
            say(f"Tracked URLs begin with {running.public_url}; --base-url sets the address that readers reach.")

    _run(serve(settings, ready))


@run_app.command("redirect")
def run_redirect(
    *,
    store_url: SharedStoreURL = None,
    public_port: PublicPort = None,
    internal_port: InternalPort = None,
    config: ConfigOption = None,
    public_fd: Descriptor = None,
) -> None:
    """Answer readers on the public port."""
    settings = _role_settings(config, store_url=store_url, public_port=public_port, internal_port=internal_port)
    from redirector.roles.redirect import redirect_role

    with ExitStack() as ports:
        public = ports.enter_context(_listener(public_fd, "public", settings.public_host, settings.public_port))
        internal = None if public_fd else ports.enter_context(_internal_listener(settings))
        _run_role(redirect_role(settings, public, internal), settings, alone=public_fd is None)


@run_app.command("api")
def run_api(
    *,
    store_url: SharedStoreURL = None,
    internal_port: InternalPort = None,
    base_url: BaseURL = None,
    config: ConfigOption = None,
    internal_fd: Descriptor = None,
) -> None:
    """Answer tooling and monitoring on the internal port."""
    settings = _role_settings(config, store_url=store_url, internal_port=internal_port, base_url=base_url)
    from redirector.roles.api import api_role

    with _internal_listener(settings, internal_fd) as internal:
        if internal_fd is None and not settings.base_url:
            log.warning("no base URL is set: tracked URLs lead to %s; remedy: set base_url", settings.public_base_url())
        _run_role(api_role(settings, internal, version=__version__), settings, alone=internal_fd is None)


@run_app.command("worker")
def run_worker(
    *,
    store_url: SharedStoreURL = None,
    internal_port: InternalPort = None,
    config: ConfigOption = None,
    supervised: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Count clicks."""
    settings = _role_settings(config, store_url=store_url, internal_port=internal_port)
    from redirector.roles.worker import worker_role

    with nullcontext() if supervised else _internal_listener(settings) as internal:
        _run_role(worker_role(settings, internal), settings, alone=not supervised)


def _role_settings(config: Path | None, **flags: object) -> Settings:
    settings = settings_of(config, **flags)
    if not settings.store_url.get_secret_value():
        raise InvalidSetting(
            "a role on its own needs a store, and none is set",
            field="--store-url",
            remedy="name one, such as redis://valkey:6379/0; or use `redirector serve`, which brings its own",
        )
    return settings


def _internal_listener(settings: Settings, descriptor: int | None = None) -> socket.socket:
    return _listener(descriptor, "internal", settings.internal_host, settings.internal_port)


def _listener(descriptor: int | None, name: str, host: str, port: int) -> socket.socket:
    """The listening socket that was handed down, or else one of this process's own."""
    if descriptor is not None:
        handed_down = socket.socket(fileno=descriptor)
        handed_down.setblocking(False)
        return handed_down
    from redirector.web.server import listening

    return listening(name, host, port)


def _run_role(role: Coroutine[Any, Any, None], settings: Settings, *, alone: bool) -> None:
    """Runs the role; one that is `alone` looks at the store too, which is otherwise the supervisor's."""
    from redirector.metrics import BUILD_INFO
    from redirector.roles.process import warn_of_store

    BUILD_INFO.labels(__version__).set(1)
    # What is loaded now stays: the collector need not look through it again and again.
    gc.freeze()

    async def both() -> None:
        await asyncio.gather(role, warn_of_store(settings))  # at once: a store that does not answer delays no reader

    _run(both() if alone else role)


def _run(role: Coroutine[Any, Any, None]) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(role)
