"""The append-only file is written anew, after one that was under way, and a store that cannot do it says so."""

import shutil
from pathlib import Path

import pytest

from redirector.errors import StoreError
from redirector.store.connection import connected
from redirector.store.rewriting import rewrite_append_only_file
from tests.store.stores import own_store

APPEND_ONLY = ("--appendonly", "yes", "--auto-aof-rewrite-percentage", "0")
SALT = b"a salt that has ended"


def on_disk(directory: Path) -> bool:
    """Whether the salt is in any of the store's files."""
    return any(SALT in path.read_bytes() for path in directory.rglob("*") if path.is_file())


async def test_what_was_removed_is_not_on_the_disk(directory: Path) -> None:
    """Also when a rewriting that began before its end is still under way."""
    with own_store("valkey", directory, *APPEND_ONLY, "--rdb-key-save-delay", "200") as url:
        async with connected(url) as redis:
            await redis.mset({"salt": SALT, **{f"filling-{number}": "x" for number in range(2_000)}})
            before = on_disk(directory)
            await redis.bgrewriteaof()
            await redis.delete("salt")
            await rewrite_append_only_file(redis)
            found = await redis.info("persistence")

    assert before
    assert not on_disk(directory)
    assert found["aof_rewrites"] == 2


async def test_store_that_cannot_rewrite_says_so(directory: Path) -> None:
    """Where its files should be, there is something else."""
    with own_store("valkey", directory, *APPEND_ONLY) as url:
        async with connected(url) as redis:
            await redis.set("a", "b")
            shutil.rmtree(directory / "appendonlydir")
            (directory / "appendonlydir").touch()
            with pytest.raises(StoreError):
                await rewrite_append_only_file(redis)
