"""A click-through redirector for the links of mails: this module holds the names that other programs may use.

Nothing inside the package imports them, and each is loaded when it is first asked for, so that a redirect worker never
pays for the client.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from redirector import errors as errors
    from redirector.client import AsyncClient as AsyncClient
    from redirector.client import Client as Client
    from redirector.errors import RedirectorError as RedirectorError

_HOMES = {"AsyncClient": "redirector.client", "Client": "redirector.client", "RedirectorError": "redirector.errors"}

__all__ = ["AsyncClient", "Client", "RedirectorError", "__version__", "errors"]


def __getattr__(name: str) -> object:
    if name == "errors":
        return import_module("redirector.errors")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
