"""Which addresses may be told: never fewer than the least number that differ in nothing else, and each once."""

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector.access import MOST_ORIGINS, Waiting, to_tell
from redirector.facts import NOWHERE, Network

ADDRESSES = st.integers(1, 60).map(lambda number: f"192.0.2.{number}")
WAITING = st.dictionaries(
    st.sampled_from([404, 405, 503]), st.sets(ADDRESSES).map(lambda known: {each: each for each in known}), max_size=3
)


def network(address: str) -> Network:
    """One of three networks of unlike size."""
    number = int(address.rpartition(".")[2])
    return (
        Network("DE", "Large") if number <= 40 else Network("AT", "Middle") if number <= 55 else Network("LI", "Small")
    )


def addresses(numbers: Iterable[int]) -> dict[str, str]:
    """Addresses that end so, each an origin of its own."""
    return {f"192.0.2.{number}": f"192.0.2.{number}" for number in numbers}


@given(WAITING, st.sets(ADDRESSES), st.integers(1, 20))
def test_each_line_is_one_of_several_alike(waiting: dict[int, dict[str, str]], told: set[str], least: int) -> None:
    """Lines that have the same status and network are as many as must be, and no address is told twice."""
    lines = to_tell(waiting, network=network, told=told, least=least)

    alike = Counter((status, network(address)) for status, address in lines)
    assert all(count >= least for count in alike.values())
    assert len({address for _, address in lines}) == len(lines)
    assert not {address for _, address in lines} & told
    assert all(address in waiting[status] for status, address in lines)


@given(WAITING, st.sets(ADDRESSES), st.integers(1, 20))
def test_who_is_not_told_could_not_be(waiting: dict[int, dict[str, str]], told: set[str], least: int) -> None:
    """What is left makes no group that is large enough."""
    lines = {address for _, address in to_tell(waiting, network=network, told=told, least=least)}

    left = {status: {who: who for who in each.keys() - lines - told} for status, each in waiting.items()}
    assert to_tell(left, network=network, told=lines | told, least=least) == []


def test_address_with_two_statuses_is_told_once() -> None:
    """The groups that it leaves must be large enough without it."""
    waiting = {404: addresses(range(1, 4)), 405: addresses(range(3, 6))}

    lines = to_tell(waiting, network=lambda _: NOWHERE, told=set(), least=3)

    assert sorted(lines) == [(404, "192.0.2.1"), (404, "192.0.2.2"), (404, "192.0.2.3")]


def test_small_network_is_not_told_among_others() -> None:
    """Ten strangers hide nobody whose provider has no other reader here."""
    lines = to_tell({404: addresses([*range(1, 11), 60])}, network=network, told=set(), least=10)

    assert {address for _, address in lines} == set(addresses(range(1, 11)))


def test_household_hides_nobody() -> None:
    """Temporary IPv6 addresses of one network of 64 bits are as good as one; with nine others the first is told."""
    waiting = Waiting()
    for number in range(1, 11):
        waiting.add(404, f"2001:db8:0:1::{number:x}")
    assert to_tell(waiting.origins, network=lambda _: NOWHERE, told=set(), least=10) == []
    others = {f"2001:db8:0:{number:x}::1" for number in range(2, 11)}
    for address in others:
        waiting.add(404, address)

    lines = to_tell(waiting.origins, network=lambda _: NOWHERE, told=set(), least=10)
    assert {address for _, address in lines} == {"2001:db8:0:1::1"} | others


def test_memory_is_bounded() -> None:
    """Beyond so many origins requests are only counted, and those who are known stay so."""
    waiting = Waiting()
    for number in range(MOST_ORIGINS + 50):
        waiting.add(404, f"2001:db8:{number:x}::1")
    waiting.add(404, "2001:db8:1::1")
    waiting.take_in({405: {"2001:db9::": "2001:db9::1"}})

    assert waiting.requests == MOST_ORIGINS + 51
    assert sum(map(len, waiting.origins.values())) == MOST_ORIGINS


def test_one_network_does_not_fill_the_memory() -> None:
    """Whoever asks from more addresses of their 64 bits than there are places leaves them to others."""
    waiting = Waiting()
    for number in range(MOST_ORIGINS + 50):
        waiting.add(404, f"2001:db8:0:1::{number:x}")
    waiting.add(404, "192.0.2.1")

    assert waiting.requests == MOST_ORIGINS + 51
    assert list(waiting.origins[404].values()) == ["2001:db8:0:1::0", "192.0.2.1"]


@pytest.mark.parametrize("address", ["", "192.0.2.1"])
def test_request_without_an_address_is_counted(address: str) -> None:
    """Who objects is a number."""
    waiting = Waiting()
    waiting.add(404, address)

    assert waiting.requests == 1
    assert set(waiting.origins[404]) == ({address} - {""})
