"""What the tests of the web share: each port, served in this process over each of the shared stores; and a bare app."""

import secrets
from collections.abc import AsyncIterator

import pytest

from redirector.store.keys import Keys
from tests.web.apps import Address, Echo, on_a_port
from tests.web.ports import InternalPort, PublicPort, internal_port, public_port


@pytest.fixture(scope="module")
async def public_of_module(store_url: str) -> AsyncIterator[PublicPort]:
    """The public port for the tests of a module together: to start one for each would take longer than the tests."""
    async with public_port(store_url, Keys(f"test-{secrets.token_hex(6)}")) as port:
        yield port


@pytest.fixture
async def public(public_of_module: PublicPort) -> PublicPort:
    """The public port, with a campaign and a view of the stream that no other test has."""
    return await public_of_module.for_a_test()


@pytest.fixture(scope="module")
async def api_of_module(store_url: str) -> AsyncIterator[InternalPort]:
    """The internal port for the tests of a module together."""
    async with internal_port(store_url, Keys(f"test-{secrets.token_hex(6)}")) as port:
        yield port


@pytest.fixture
def api(api_of_module: InternalPort) -> InternalPort:
    """The internal port, with the name of a campaign that no other test has."""
    return api_of_module.for_a_test()


@pytest.fixture
async def echo() -> Echo:
    """An app that tests of the server itself are served by."""
    return Echo()


@pytest.fixture
async def address(echo: Echo) -> AsyncIterator[Address]:
    """Where this app answers."""
    async with on_a_port(echo) as address:
        yield address
