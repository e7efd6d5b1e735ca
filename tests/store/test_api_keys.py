"""API keys: who has one may act, and the store does not have one."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from redirector.errors import InvalidInput, KeyMissing, KeyNameTaken, StoreError
from redirector.store.api_keys import SCOPES, ApiKey, ApiKeys
from redirector.store.connection import connected
from redirector.store.keys import Keys
from tests.builders import NOON, SECRET

ENTROPY = bytes(range(26))


@pytest.fixture
def api_keys(redis: Redis, keys: Keys) -> ApiKeys:
    """The keys of one installation."""
    return ApiKeys(redis, keys, pepper=SECRET.encode())


async def create(api_keys: ApiKeys, name: str = "mailer", entropy: bytes = ENTROPY, *, replace: bool = False) -> str:
    """A key that may read and mint."""
    return await api_keys.create(name, ["read", "mint"], now=NOON, entropy=entropy, replace=replace)


async def test_a_key_is_known_with_its_scopes(api_keys: ApiKeys) -> None:
    """The key that was made leads to its holder and what they may do."""
    key = await create(api_keys)

    assert await api_keys.holder(key) == ApiKey("000102030405", "mailer", frozenset({"mint", "read"}))


async def test_the_store_does_not_have_the_key(api_keys: ApiKeys, redis: Redis, keys: Keys) -> None:
    """The secret part of a key is nowhere in the store, in no spelling, and neither is the pepper."""
    secret = (await create(api_keys)).rpartition("_")[2]
    names = [name async for name in redis.scan_iter(f"{keys.prefix}:*")]
    kept = repr(await redis.hgetall(keys.api_keys)).encode()

    assert names == [keys.api_keys.encode()]
    assert b"mailer" in kept
    for spelled in (secret.encode(), repr(bytes.fromhex(secret)).encode(), SECRET.encode()):
        assert spelled not in kept


async def test_another_installation_does_not_know_it(api_keys: ApiKeys, redis: Redis, keys: Keys) -> None:
    """A copy of the store is of no use to who has another secret."""
    key = await create(api_keys)
    with pytest.raises(KeyMissing) as refused:
        await ApiKeys(redis, keys, pepper=b"another").holder(key)

    assert str(refused.value) == await refusal(api_keys, "")


async def refusal(api_keys: ApiKeys, key: str) -> str:
    """What the holder of a key that is not known is told."""
    with pytest.raises(KeyMissing) as refused:
        await api_keys.holder(key)
    return str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param("rdr_000102030405_" + "0" * 40, id="another secret"),
        pytest.param("rdr_" + "f" * 12 + "_" + ENTROPY[6:].hex(), id="another id"),
        pytest.param("rdr_000102030405_" + ENTROPY[6:].hex()[:-1], id="shorter"),
        pytest.param("rdr_000102030405_" + ENTROPY[6:].hex() + "0", id="longer"),
        pytest.param("RDR_000102030405_" + ENTROPY[6:].hex(), id="re-cased"),
        pytest.param("rdr_000102030405_" + ENTROPY[6:].hex() + "\n", id="line feed"),
        pytest.param("rdr_000102030405_", id="id alone"),
        pytest.param("", id="nothing"),
        pytest.param("\ud800é", id="no text"),
        pytest.param("rdr_" + "0" * 100_000, id="very long"),
    ],
)
async def test_every_wrong_key_is_refused_in_the_same_way(api_keys: ApiKeys, wrong: str) -> None:
    """Whatever is wrong with a key, the answer does not tell what."""
    await create(api_keys)

    assert await refusal(api_keys, wrong) == await refusal(api_keys, "nonsense")


async def test_a_name_is_given_once(api_keys: ApiKeys) -> None:
    """A second key of the same name is refused, and the first goes on being good."""
    key = await create(api_keys)
    with pytest.raises(KeyNameTaken):
        await create(api_keys, entropy=ENTROPY[::-1])

    assert (await api_keys.holder(key)).name == "mailer"


async def test_a_key_can_be_replaced(api_keys: ApiKeys) -> None:
    """The new key of a name takes the place of the old one, which is not known any more."""
    old = await create(api_keys)
    other = await create(api_keys, "other", bytes(26))
    new = await create(api_keys, entropy=ENTROPY[::-1], replace=True)

    assert (await api_keys.holder(new)).name == "mailer"
    assert (await api_keys.holder(other)).name == "other"
    await refusal(api_keys, old)


async def test_of_two_at_once_one_gets_the_name(store_url: str, keys: Keys) -> None:
    """Two operators who make a key of one name at the same moment do not both get one."""

    async def one_operator(number: int) -> str | KeyNameTaken:
        async with connected(store_url) as client:
            try:
                return await create(ApiKeys(client, keys, pepper=b"p"), entropy=bytes([number] * 26))
            except KeyNameTaken as taken:
                return taken

    made = await asyncio.gather(*(one_operator(number) for number in range(8)))

    assert sum(isinstance(answer, str) for answer in made) == 1


@pytest.mark.parametrize(
    ("name", "scopes", "field"),
    [
        pytest.param("", ["mint"], "NAME", id="no name"),
        pytest.param("x" * 65, ["mint"], "NAME", id="long name"),
        pytest.param(" x", ["mint"], "NAME", id="space before"),
        pytest.param("a\nb", ["mint"], "NAME", id="line feed"),
        pytest.param("mailer\n", ["mint"], "NAME", id="line feed at the end"),
        pytest.param("é", ["mint"], "NAME", id="not ASCII"),
        pytest.param("mailer", [], "--scope", id="no scope"),
        pytest.param("mailer", ["mint", "all"], "--scope", id="unknown scope"),
    ],
)
async def test_a_bad_name_or_scope_is_refused(api_keys: ApiKeys, name: str, scopes: list[str], field: str) -> None:
    """The refusal names the flag and the remedy."""
    with pytest.raises(InvalidInput) as refused:
        await api_keys.create(name, scopes, now=NOON, entropy=ENTROPY)

    assert refused.value.field == field
    assert refused.value.remedy


async def test_a_key_may_have_every_scope(api_keys: ApiKeys) -> None:
    """All of the scopes that there are can be given."""
    key = await api_keys.create("x", SCOPES, now=NOON, entropy=ENTROPY)

    assert (await api_keys.holder(key)).scopes == frozenset(SCOPES)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    record=st.binary(max_size=40)
    | st.dictionaries(
        st.sampled_from(["name", "scopes", "hash"]), st.none() | st.integers() | st.text() | st.lists(st.integers())
    ).map(lambda value: json.dumps(value).encode())
)
async def test_a_spoiled_record_opens_nothing(redis: Redis, record: bytes) -> None:
    """Whatever lies where a key should, nobody is let in, and no other error than the program's own comes out."""
    keys = Keys("spoiled-keys")
    await redis.hset(keys.api_keys, "000102030405", record)

    with pytest.raises((KeyMissing, StoreError)):
        await ApiKeys(redis, keys, pepper=b"p").holder("rdr_000102030405_" + "0" * 40)


async def test_a_spoiled_record_is_named(api_keys: ApiKeys, redis: Redis, keys: Keys) -> None:
    """A new key is not made beside a record that may hold the same name; the error says which it is."""
    await redis.hset(keys.api_keys, "000102030405", "{")

    with pytest.raises(StoreError, match="API key 000102030405"):
        await create(api_keys, entropy=bytes(26))
