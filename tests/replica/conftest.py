"""A store with links and campaigns, for each test its own."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from redirector.store.keys import Keys
from tests.replica.catalogs import Catalog


@pytest.fixture
def catalog(redis: Redis, keys: Keys, directory: Path) -> Catalog:
    """Links and campaigns in a store of the test's own."""
    return Catalog(redis, keys, directory)
