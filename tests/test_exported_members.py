"""The names that other programs may use: complete, there, and free of what they do not ask for."""

import subprocess
import sys

import pytest

import redirector
from redirector import client, errors

PUBLIC = {"AsyncClient", "Client", "RedirectorError", "__version__", "errors"}


def test_public_names_are_complete() -> None:
    """`__all__` and `dir()` are exactly the public names."""
    assert set(redirector.__all__) == PUBLIC
    assert set(dir(redirector)) == PUBLIC


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Client", client.Client),
        ("AsyncClient", client.AsyncClient),
        ("RedirectorError", errors.RedirectorError),
        ("errors", errors),
    ],
)
def test_public_name_can_be_had(name: str, found: object) -> None:
    """Each public name is the thing itself."""
    assert getattr(redirector, name) is found


def test_star_import_gives_every_name() -> None:
    """`from redirector import *` brings them all."""
    names: dict[str, object] = {}

    exec("from redirector import *", names)  # noqa: S102 - the statement itself is what is tested

    assert names.keys() >= PUBLIC


def test_unknown_name_is_an_attribute_error() -> None:
    """A name that is not there fails as it does with every module."""
    with pytest.raises(AttributeError, match=r"module 'redirector' has no attribute 'Cleint'"):
        _ = redirector.Cleint


@pytest.mark.parametrize("statement", ["import redirector", "from redirector import errors, RedirectorError"])
def test_import_alone_loads_no_library(statement: str) -> None:
    """Who only imports the package or its errors does not pay for HTTP, for shapes or for Redis."""
    code = f"{statement}\nimport sys\nprint(*sorted({{'httpx', 'pydantic', 'redis', 'typer'}} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout == "\n"
