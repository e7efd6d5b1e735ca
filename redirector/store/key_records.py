"""API keys as the store keeps them: JSON with the hash of a key, never the key, and hostile until it is parsed."""

import json
from dataclasses import dataclass
from typing import Any, Final

from redirector.errors import StoreError

LAST_MOMENT: Final = 253_402_300_799_999  # the year 9999, in Unix ms: what a date can be made of


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is known of a key. Moments are in Unix ms; no `expires_at`: never; no `destinations`: any."""

    name: str
    scopes: frozenset[str]
    hash: str
    created_at: int = 0
    expires_at: int | None = None
    destinations: frozenset[str] = frozenset()


def key_record(key: KeyRecord) -> str:
    """A key as JSON; its id is the field that it lies in."""
    record: dict[str, object] = {
        "name": key.name,
        "scopes": sorted(key.scopes),
        "hash": key.hash,
        "created_at": key.created_at,
    }
    if key.expires_at is not None:
        record["expires_at"] = key.expires_at
    if key.destinations:
        record["destinations"] = sorted(key.destinations)
    return json.dumps(record)


def key_from(key_id: str, stored: bytes | str) -> KeyRecord:
    """The key of this id; raises StoreError when the record is not what `key_record` writes.

    A record of an earlier version, without the later fields, is read; a field of another kind never is, because a
    limit that cannot be read must not count as none.
    """
    try:
        known: Any = json.loads(stored)
        expires_at = known.get("expires_at")
        return KeyRecord(
            name=_text(known["name"]),
            scopes=_texts(known["scopes"]),
            hash=_text(known["hash"]),
            created_at=_moment(known.get("created_at", 0)),
            expires_at=None if expires_at is None else _moment(expires_at),
            destinations=_texts(known.get("destinations", [])),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StoreError(f"the store's record of the API key {key_id} cannot be read: {error!r}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, {type(value).__name__} found")
    return value


def _texts(value: Any) -> frozenset[str]:
    if not isinstance(value, list):
        raise TypeError(f"list expected, {type(value).__name__} found")
    return frozenset(map(_text, value))


def _moment(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= LAST_MOMENT:
        raise ValueError(f"a moment from 0 to {LAST_MOMENT} expected")
    return value
