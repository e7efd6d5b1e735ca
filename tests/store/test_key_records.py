"""An API key's record: it comes back as it was written, and whatever else lies there opens nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector.errors import StoreError
from redirector.store.key_records import LAST_MOMENT, KeyRecord, key_from, key_record
from tests.builders import NOON

MOMENTS = st.integers(0, LAST_MOMENT)
SOME = st.frozensets(st.text())


@given(st.builds(KeyRecord, st.text(), SOME, st.text(), MOMENTS, st.none() | MOMENTS, SOME))
def test_record_comes_back_as_it_was(key: KeyRecord) -> None:
    """What is written is read as the same value."""
    assert key_from("000102030405", key_record(key)) == key


def test_record_of_an_earlier_version_is_read() -> None:
    """A key from before there were limits has none."""
    record = {"name": "mailer", "scopes": ["mint"], "hash": "ab", "created_at": NOON}

    assert key_from("000102030405", json.dumps(record)) == KeyRecord("mailer", frozenset({"mint"}), "ab", NOON)


SPOILED: dict[str, dict[str, object]] = {
    "expiry text": {"expires_at": "never"},
    "expiry a fraction": {"expires_at": 1.5},
    "expiry true": {"expires_at": True},
    "expiry before time": {"expires_at": -1},
    "destinations null": {"destinations": None},
    "destinations text": {"destinations": "example.com"},
    "destination a number": {"destinations": [1]},
    "scopes text": {"scopes": "mint"},
    "name a number": {"name": 1},
    "hash null": {"hash": None},
}


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED.keys())
def test_limit_that_cannot_be_read_is_not_none(spoiled: dict[str, object]) -> None:
    """A record with a field of another kind is refused as a whole, and named."""
    record = {"name": "mailer", "scopes": ["mint"], "hash": "ab", "created_at": NOON, **spoiled}

    with pytest.raises(StoreError, match="API key 000102030405"):
        key_from("000102030405", json.dumps(record))
