"""What the operator does for a reader: everything that is recorded of a recipient is handed out, and erased."""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from redirector.count import COUNTING_GROUP, Tally
from redirector.erase import Eraser
from redirector.store.audit import Audit
from redirector.store.clicks import ClickStream
from redirector.store.counters import Counters
from redirector.store.entries import PAGE
from redirector.store.erasures import ACTIVE_MS, Erasures
from redirector.store.people import People
from redirector.wire import RecordedRequest
from tests.builders import a_click, fields_of
from tests.streams import judging, next_of
from tests.web.ports import InternalPort

EXPORT, FORGET = "/v1/recipients/export", "/v1/recipients/forget"


async def click(api: InternalPort, recipient: str, number: int = 1) -> dict[str, str]:
    """A click of the recipient's in the stream, as it stands there."""
    token = api.services.urls.codes.recipient_token(recipient)
    fields = fields_of(a_click(number, recipient=str(token), visitor=""))
    await api.services.redis.xadd(api.services.keys.clicks(), fields)
    return fields


async def count_all(api: InternalPort) -> None:
    """Everything that waits is counted."""
    known = api.services
    stream = ClickStream(known.redis, known.keys, group=COUNTING_GROUP, consumer="tests")
    await stream.join()
    tally = Tally(stream, Counters(known.redis, known.keys), known.keys)
    while ids := await next_of(stream, 1_000):
        await tally.count(await judging(stream, known.redis, known.keys).those(ids))


async def erase(api: InternalPort) -> None:
    """A worker erases what it can."""
    eraser = Eraser(api.services.redis, api.services.keys, group=COUNTING_GROUP)
    while await eraser.erase():
        pass


async def exported(api: InternalPort, recipient: str) -> list[dict[str, str]]:
    """The clicks that the API hands out of the recipient."""
    return [each for each in await everything(api, recipient) if "kind" not in each]


async def everything(api: InternalPort, recipient: str) -> list[dict[str, str]]:
    """What the API hands out of the recipient."""
    answer = await api.post(EXPORT, {"recipient": recipient})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines() if line]


@pytest.fixture
def ann() -> str:
    """A recipient whom no other test has."""
    return f"ann-{secrets.token_hex(8)}@example.com"


async def test_every_click_is_handed_out(api: InternalPort, ann: str) -> None:
    """Field by field as the stream has it, over as many pages as it takes; nobody else's, and never the id itself."""
    mine = [await click(api, ann)]
    for number in range(PAGE + 5):
        await click(api, "bob", number)
    mine.append(await click(api, ann, 2))
    aside: dict[Any, Any] = {**mine[0], "poison_reason": "odd"}
    await api.services.redis.xadd(api.services.keys.poison(), aside)
    found = await exported(api, ann)

    assert found == [*mine, aside]
    assert ann not in json.dumps(found)


async def test_of_nobody_nothing_is_known(api: InternalPort, ann: str) -> None:
    """Somebody who never clicked has no line, and nothing to erase; both are no error."""
    known = await everything(api, ann)
    forgotten = await api.post(FORGET, {"recipient": ann})

    assert known == []
    assert (forgotten.status_code, forgotten.json()["clicks"]) == (202, 0)


async def test_what_the_recipient_asked_for_is_handed_out(api: InternalPort, ann: str) -> None:
    """Opt-out and erasure come first, with their moments; the erasure first waits, then is done, until it is forgotten.

    Each line is in the shape that the API describes.
    """
    known = api.services
    token, people = known.urls.codes.recipient_token(ann), People(known.redis, known.keys)
    erasures, long_ago = Erasures(known.redis, known.keys), 1_000_000_000_000
    clicked = await click(api, ann)
    await people.opt_out(token, long_ago)
    await people.opt_out(token + 1, long_ago + 5)
    await erasures.ask(token, long_ago + 1)
    waiting = await everything(api, ann)
    await erasures.done({token: long_ago + 1})
    done = await everything(api, ann)
    await people.forget(recipients_before=long_ago + 1, visitors_before=0)
    await erasures.end(long_ago + 2 + ACTIVE_MS)
    forgotten = await everything(api, ann)

    opt_out = {"kind": "opt_out", "at": str(long_ago)}
    erasure = {"kind": "erasure", "at": str(long_ago + 1)}
    assert waiting == [opt_out, {**erasure, "state": "waiting"}, clicked]
    assert done == [opt_out, {**erasure, "state": "done"}, clicked]
    assert forgotten == [clicked]
    assert all(RecordedRequest.model_validate(line) for line in waiting[:2] + done[:2])


async def test_what_no_request_can_be_read_from_is_no_silence(api: InternalPort, ann: str) -> None:
    """A key that holds something else is an error: nobody is told that nothing is known."""
    known = api.services
    async with spoiled(api, known.keys.opted_out):
        assert (await api.post(EXPORT, {"recipient": ann})).status_code == 503
    async with spoiled(api, known.keys.erasures):
        assert (await api.post(EXPORT, {"recipient": ann})).status_code == 503


@asynccontextmanager
async def spoiled(api: InternalPort, key: str) -> AsyncIterator[None]:
    """While the block lasts, the key holds a text."""
    redis, aside = api.services.redis, f"{key}:aside"
    there = bool(await redis.exists(key))
    if there:
        await redis.rename(key, aside)
    await redis.set(key, "no sorted set")
    try:
        yield
    finally:
        await redis.delete(key)
        if there:
            await redis.rename(aside, key)


async def test_a_recipient_is_forgotten(api: InternalPort, ann: str) -> None:
    """What is to be erased is counted, and gone when the worker has been there; asking again changes nothing."""
    await click(api, ann)
    await click(api, ann, 2)
    known = api.services
    answers = [(await api.post(FORGET, {"recipient": ann})).json() for _ in range(2)]
    waiting = await Erasures(known.redis, known.keys).waiting()
    await count_all(api)
    await erase(api)

    assert [answer["clicks"] for answer in answers] == [2, 2]
    assert known.urls.codes.recipient_token(ann) in waiting
    assert await exported(api, ann) == []
    assert (await api.post(FORGET, {"recipient": ann})).json()["clicks"] == 0


@pytest.mark.parametrize("path", [EXPORT, FORGET])
async def test_it_takes_the_scope_personal(api: InternalPort, path: str) -> None:
    """Neither who mints nor who reads reports nor who administers may see or erase a person's clicks."""
    key = await api.key_with(["mint", "read", "admin"])

    assert (await api.post(path, {"recipient": "ann"}, headers=key)).status_code == 403


@pytest.mark.parametrize("path", [EXPORT, FORGET])
async def test_each_use_is_audited_and_names_nobody(api: InternalPort, ann: str, path: str) -> None:
    """Who did it when is known; of whom is not."""
    known = api.services
    before = len(await Audit(known.redis, known.keys).since(0))
    await api.post(path, {"recipient": ann})
    (use,) = (await Audit(known.redis, known.keys).since(0))[before:]
    entries: Any = await known.redis.xrange(known.keys.audit)

    assert use.action == ("post_export" if path == EXPORT else "post_forget")
    assert use.who == "tests"
    assert not any(text in repr(entries) for text in (ann, str(known.urls.codes.recipient_token(ann))))


@pytest.mark.parametrize("path", [EXPORT, FORGET])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nobody"),
        pytest.param({"recipient": ""}, id="empty"),
        pytest.param({"recipient": "hunter2-" * 40}, id="endless"),
        pytest.param({"recipient": ["hunter2"]}, id="a list"),
        pytest.param({"recipient": 5}, id="a number"),
        pytest.param({"recipient": "a", "hunter2": 1}, id="something else"),
    ],
)
async def test_what_is_no_recipient_is_refused_and_not_repeated(api: InternalPort, path: str, body: object) -> None:
    """The answer says what is wrong, without the value: it may be somebody's address."""
    answer = await api.post(path, body)

    assert answer.status_code == 422
    assert all(not error["part"] for error in answer.json()["errors"])


async def test_a_click_that_waits_is_counted_before_it_goes(api: InternalPort, ann: str) -> None:
    """Until the consumer is through, the erasure waits; the sums have the click all the same."""
    known = api.services
    await count_all(api)
    before = (await Counters(known.redis, known.keys).totals()).get("human", 0)
    await click(api, ann)
    await api.post(FORGET, {"recipient": ann})
    await erase(api)
    still_there = len(await exported(api, ann))
    await count_all(api)
    await erase(api)

    assert (still_there, await exported(api, ann)) == (1, [])
    assert (await Counters(known.redis, known.keys).totals())["human"] == before + 1
