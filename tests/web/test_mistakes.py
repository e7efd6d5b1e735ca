"""A mistake of the program's own is said to be one, and tells a stranger nothing."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from redirector.web.internal import internal_app
from redirector.web.server import listening, serving
from tests.web.ports import InternalPort


def broken_clock() -> float:
    """What no clock does."""
    raise ZeroDivisionError("the secret of the clock")


@pytest.fixture
async def broken(api: InternalPort) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an internal port with a mistake in it."""
    listener = listening("internal", "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = internal_app(replace(api.services, clock=broken_clock), version="1")
    headers = {"authorization": f"Bearer {api.key}"}
    async with serving(app, listener), httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as http:
        yield http


async def test_mistake_is_a_problem(broken: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    """500 as a problem that says where to look; what went wrong is in the log alone."""
    answer = await broken.get("/v1/topics")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "something went wrong here; the log says what"
    assert "secret" not in answer.text
    assert "the secret of the clock" in caplog.text
