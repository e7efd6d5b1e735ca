"""API keys: who has one may act, and the store does not have one."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from redirector.errors import InvalidInput, KeyMissing, KeyNameTaken, StoreError, UnknownKey
from redirector.store.api_keys import DAY_MS, SCOPES, ApiKey, ApiKeys, ListedKey
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

    assert await api_keys.holder(key, now=NOON) == ApiKey("000102030405", "mailer", frozenset({"mint", "read"}))


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
        await ApiKeys(redis, keys, pepper=b"another").holder(key, now=NOON)

    assert str(refused.value) == await refusal(api_keys, "")


async def refusal(api_keys: ApiKeys, key: str) -> str:
    """What the holder of a key that is not known is told."""
    with pytest.raises(KeyMissing) as refused:
        await api_keys.holder(key, now=NOON)
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

    assert (await api_keys.holder(key, now=NOON)).name == "mailer"


async def test_a_key_can_be_replaced(api_keys: ApiKeys) -> None:
    """The new key of a name takes the place of the old one, which is not known any more."""
    old = await create(api_keys)
    other = await create(api_keys, "other", bytes(26))
    new = await create(api_keys, entropy=ENTROPY[::-1], replace=True)

    assert (await api_keys.holder(new, now=NOON)).name == "mailer"
    assert (await api_keys.holder(other, now=NOON)).name == "other"
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
        pytest.param("0123456789ab", ["mint"], "NAME", id="like an id"),
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

    assert (await api_keys.holder(key, now=NOON)).scopes == frozenset(SCOPES)


async def test_key_ends_at_its_moment(api_keys: ApiKeys) -> None:
    """A millisecond before its end a key is known; from then on it is answered like one that never was."""
    key = await api_keys.create("x", ["read"], now=NOON, entropy=ENTROPY, expires_at=NOON + 1)
    before = await api_keys.holder(key, now=NOON)
    with pytest.raises(KeyMissing) as refused:
        await api_keys.holder(key, now=NOON + 1)

    assert before.name == "x"
    assert str(refused.value) == await refusal(api_keys, "nonsense")


async def test_revoked_key_is_refused_like_one_that_never_was(api_keys: ApiKeys) -> None:
    """Revoking ends a key at once; doing so again changes nothing."""
    key = await create(api_keys)
    other = await create(api_keys, "other", bytes(26))

    assert await api_keys.revoke("000102030405")
    assert not await api_keys.revoke("000102030405")
    assert await refusal(api_keys, key) == await refusal(api_keys, "nonsense")
    assert (await api_keys.holder(other, now=NOON)).name == "other"


async def test_name_of_a_revoked_key_is_free(api_keys: ApiKeys) -> None:
    """A new key may have the name."""
    await create(api_keys)
    await api_keys.revoke("000102030405")

    assert (await api_keys.holder(await create(api_keys, entropy=ENTROPY[::-1]), now=NOON)).name == "mailer"


async def test_backup_does_not_bring_back_what_was_revoked(api_keys: ApiKeys) -> None:
    """A record from before the revocation is not put back; one that was merely lost is, as it was."""
    revoked, lost = await create(api_keys), await create(api_keys, "other", bytes(26))
    records = await api_keys.all_records()
    await api_keys.revoke("000102030405")
    await api_keys._redis.hdel(api_keys._keys.api_keys, "000000000000")

    assert [await api_keys.restore(key_id, records[key_id]) for key_id in ("000102030405", "000000000000")] == [0, 1]
    assert (await api_keys.holder(lost, now=NOON)).name == "other"
    await refusal(api_keys, revoked)


async def test_destinations_of_a_key_are_its_holders(api_keys: ApiKeys) -> None:
    """The domains that a key is bound to come with its holder; a key that is not bound has none."""
    bound = await api_keys.create("x", ["mint"], now=NOON, entropy=ENTROPY, destinations=["example.com", "a.example"])

    assert (await api_keys.holder(bound, now=NOON)).destinations == {"example.com", "a.example"}
    assert (await api_keys.holder(await create(api_keys, entropy=bytes(26)), now=NOON)).destinations == frozenset()


async def test_keys_are_listed_without_themselves(api_keys: ApiKeys) -> None:
    """Everything about each key but the key and its hash, by name."""
    await create(api_keys, "b")
    key = await api_keys.create("a", ["read"], now=NOON, entropy=bytes(26), expires_at=NOON + 5, destinations=["a.de"])
    await api_keys.holder(key, now=NOON + 4)

    assert await api_keys.listed() == [
        ListedKey("000000000000", "a", ("read",), NOON, NOON + 5, NOON // DAY_MS * DAY_MS, ("a.de",)),
        ListedKey("000102030405", "b", ("mint", "read"), NOON, None, None, ()),
    ]


async def test_use_is_written_once_a_day(api_keys: ApiKeys, redis: Redis, keys: Keys) -> None:
    """A second use on the same day writes nothing; one on the next day does."""
    key = await create(api_keys)
    await api_keys.holder(key, now=NOON)
    await redis.delete(keys.api_keys_used)
    await api_keys.holder(key, now=NOON + 1)
    same_day = await redis.exists(keys.api_keys_used)
    await api_keys.holder(key, now=NOON + DAY_MS)

    assert not same_day
    assert (await api_keys.listed())[0].last_used == NOON // DAY_MS * DAY_MS + DAY_MS


async def test_wrong_secret_is_no_use(api_keys: ApiKeys) -> None:
    """Who tries keys leaves no trace on the one whose id they know."""
    await create(api_keys)
    await refusal(api_keys, "rdr_000102030405_" + "0" * 40)

    assert (await api_keys.listed())[0].last_used is None


@pytest.mark.parametrize("wanted", ["mailer", "000102030405"], ids=["name", "id"])
async def test_key_is_found_by_its_name_and_its_id(api_keys: ApiKeys, wanted: str) -> None:
    """Either says which is meant."""
    await create(api_keys)
    await create(api_keys, "other", bytes(26))

    assert (await api_keys.find(wanted)).id == "000102030405"


async def test_key_that_is_not_there_is_not_found(api_keys: ApiKeys) -> None:
    """Nor is one by a part of its name."""
    await create(api_keys)

    with pytest.raises(UnknownKey):
        await api_keys.find("maile")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    record=st.binary(max_size=40)
    | st.dictionaries(
        st.sampled_from(["name", "scopes", "hash", "expires_at", "destinations", "created_at"]),
        st.none() | st.integers() | st.text() | st.lists(st.integers()),
    ).map(lambda value: json.dumps(value).encode())
)
async def test_a_spoiled_record_opens_nothing(redis: Redis, record: bytes) -> None:
    """Whatever lies where a key should, nobody is let in, and no other error than the program's own comes out."""
    keys = Keys("spoiled-keys")
    await redis.hset(keys.api_keys, "000102030405", record)

    with pytest.raises((KeyMissing, StoreError)):
        await ApiKeys(redis, keys, pepper=b"p").holder("rdr_000102030405_" + "0" * 40, now=NOON)


async def test_a_spoiled_record_is_named(api_keys: ApiKeys, redis: Redis, keys: Keys) -> None:
    """A new key is not made beside a record that may hold the same name; the error says which it is."""
    await redis.hset(keys.api_keys, "000102030405", "{")

    with pytest.raises(StoreError, match="API key 000102030405"):
        await create(api_keys, entropy=bytes(26))
