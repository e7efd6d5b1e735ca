"""The names of what lies in the store."""

import inspect
import re

import pytest

from redirector.store.keys import Keys

CATALOG = (
    "links",
    "next_link",
    "identities",
    "campaigns",
    "topics",
    "changes",
    "api_keys",
)


def every_key(keys: Keys) -> dict[str, str]:
    """Each of the names, by what it is called here."""
    arguments = {
        "campaign": "a {strange} one",
        "digest": "d",
        "group": "counting",
        "identity": "p-1",
        "day": "2026-11-23",
        "link": 7,
        "topic": "solar",
        "month": "2026-11",
    }
    found = {name: getattr(keys, name) for name in CATALOG}
    for name, method in inspect.getmembers(keys, inspect.ismethod):
        if not name.startswith("_"):
            wanted = inspect.signature(method).parameters
            found[name] = method(**{each: arguments[each] for each in wanted if each != "shard"})
    return found


def slot_of(key: str) -> str:
    """The hash tag: what stands between the first brace and the next closing one."""
    tag = re.search(r"\{([^}]+)\}", key)
    assert tag
    return tag[1]


def test_every_key_begins_with_the_prefix() -> None:
    """Another program's keys in the same database are never touched."""
    assert all(key.startswith("mine:{") for key in every_key(Keys("mine")).values())


def test_no_two_things_have_one_name() -> None:
    """Each name belongs to one thing."""
    names = list(every_key(Keys()).values())

    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("script", "tag", "names"),
    [
        pytest.param("mint", "catalog", [*CATALOG[:6], "links_of"], id="mint"),
        pytest.param("replace", "catalog", ["links", "campaigns", "changes", "identities"], id="replace"),
        pytest.param("append", "0", ["clicks", "recorder"], id="append"),
        pytest.param(
            "count",
            "0",
            [
                "clicks", "counted_to", "totals", "by_topic", "by_link", "by_hour",
                "unique_of_link", "unique_of_campaign", "unique_of_topic",
            ],
            id="count",
        ),
    ],
)  # fmt: skip
def test_a_script_stays_in_one_slot(script: str, tag: str, names: list[str]) -> None:
    """All keys that one script touches carry the same hash tag, whatever braces the names of campaigns have."""
    keys = every_key(Keys())

    assert {slot_of(keys[name]) for name in names} == {tag}


def test_a_shard_has_keys_of_its_own() -> None:
    """The number of the shard is the hash tag of what belongs to it."""
    assert Keys().clicks(3) == "redirector:{3}:clicks"
    assert Keys().by_topic(3) == "redirector:{3}:count:topics"


def test_the_stream_has_the_name_that_readers_were_promised() -> None:
    """`redirector:{0}:clicks` is a contract with every other reader of the stream."""
    assert Keys().clicks() == "redirector:{0}:clicks"
