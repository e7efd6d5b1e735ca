"""Country and provider go with a click, and the address does not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from redirector.networks import Networks
from redirector.store.keys import Keys
from tests.networks import countries, providers
from tests.web.ports import PublicPort, public_port


@pytest.fixture
async def public(store_url: str, keys: Keys, tmp_path: Path) -> AsyncIterator[PublicPort]:
    """The public port of an operator who has both files."""
    networks = Networks(
        country=str(countries(tmp_path / "c.mmdb", {"127.0.0.0/8": "DE"})),
        isp=str(providers(tmp_path / "p.mmdb", {"127.0.0.0/8": "Loop Back & Sons"})),
    )
    async with public_port(store_url, keys, networks=networks) as port:
        yield await port.for_a_test()


async def test_click_carries_country_and_provider(public: PublicPort) -> None:
    """As the files have them, and no field has the address."""
    click = await public.click(await public.link())

    assert (click["country"], click["isp"]) == ("DE", "Loop Back & Sons")
    assert not any("127.0.0" in value for value in click.values())


async def test_click_of_a_reader_who_objects_carries_neither(public: PublicPort) -> None:
    """With GPC nothing is kept of where the click came from."""
    click = await public.click(await public.link(), ("Sec-GPC", "1"))

    assert {"country", "isp"}.isdisjoint(click)
