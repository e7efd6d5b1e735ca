"""A browser, and a server with links to look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from redirector.client import Client
from redirector.installation import Running
from tests.browser.chromium import Browser, Tab, chromium
from tests.conftest import short_directory
from tests.processes import serving

PAYLOAD = '"><script>document.title="pwned"</script><img src=x onerror=document.title="pwned">'
OPERATOR: dict[str, Any] = {
    "operator_name": f"Lakeshore {PAYLOAD}"[:100],
    "operator_contact": "privacy@lakeshore.example",
    "operator_policy_url": "https://www.lakeshore.example/privacy",
}


@dataclass(frozen=True)
class Site:
    """Pages to look at, by name, each with its address."""

    pages: dict[str, str]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A server of the tests' own, with a link of each kind; what its sender wrote is hostile."""
    with short_directory() as directory, serving(directory, **OPERATOR) as running:
        public = running.public_url
        links = {name: url.replace("/c/", "/privacy/") for name, url in _links(running).items()}
        others = {
            "everything": f"{public}/privacy",
            "unknown": f"{public}/c/unknown",
            "nothing": f"{public}/nothing",
            "docs": f"{running.internal_url}/docs",
        }
        yield Site(links | others)


def _links(running: Running) -> dict[str, str]:
    with Client(running.internal_url, running.api_key) as client:
        hostile = PAYLOAD.replace("/", "|")  # a campaign's name has no slash
        client.create_campaign("club", tracking="individual", consent=PAYLOAD)
        shared = client.create_link("https://www.example.com/solar?plan=home", campaign="news", topics=["solar"])
        attack = f"https://www.example.com/{'a' * 300}?q=<script>document.title='pwned'</script>"
        injected = client.create_link(attack, campaign=hostile, topics=["a" * 50], label=PAYLOAD)
        personal = client.create_link("https://www.example.com/roofs", campaign="club", topics=["roofs", "solar"])
        gone = client.create_link("https://www.example.com/gone", campaign="news")
        client.update_link(gone.id, disabled=True)
        (his,) = client.urls(personal.id, ["reader-7"])
    return {"shared": shared.url, "hostile": injected.url, "personal": his.url, "gone": gone.url}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of a module together: to start one takes seconds."""
    with chromium() as running:
        yield running


@pytest.fixture
def tab(browser: Browser) -> Tab:
    """A page of the test's own, without what others left."""
    return Tab(browser)
