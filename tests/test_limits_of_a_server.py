"""A whole server keeps to the limits that its settings give, and believes the proxies that they name."""

import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from redirector.installation import Running
from tests.conftest import short_directory
from tests.processes import serving


@pytest.fixture(scope="module")
def limited() -> Iterator[Running]:
    """A server with tight limits behind a trusted proxy."""
    limits: dict[str, Any] = {
        "unknown_codes_per_minute": 3,
        "privacy_requests_per_minute": 2,
        "api_requests_per_second": 1,
        "api_wrong_keys_per_minute": 2,
    }
    with short_directory() as directory, serving(directory, trusted_proxies="127.0.0.2/32", **limits) as running:
        yield running


def statuses(url: str, count: int, *, peer: str = "127.0.0.1", **headers: str) -> list[int]:
    """What so many requests are answered that come from this address of the machine."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.Client(transport=httpx.HTTPTransport(local_address=peer)) as client:
        return [client.get(url.replace("CODE", secrets.token_hex(9)), headers=named).status_code for _ in range(count)]


def test_unknown_codes_are_limited(limited: Running) -> None:
    """As many as the setting says, whatever the stranger claims about where they are."""
    url = f"{limited.public_url}/c/CODE"

    assert statuses(url, 4, x_forwarded_for="203.0.113.1") == [404, 404, 404, 429]
    assert statuses(url, 1, x_forwarded_for="203.0.113.2") == [429]


def test_what_readers_ask_for_is_limited(limited: Running) -> None:
    """As many as the setting says, by either button."""
    url = f"{limited.public_url}/privacy/{secrets.token_hex(9)}"
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.3")) as client:
        asked = [client.post(f"{url}/{act}").status_code for act in ("erase", "opt-out", "erase")]

    assert asked == [404, 404, 429]


def test_trusted_proxy_is_believed(limited: Running) -> None:
    """Readers behind the proxy that the setting names are told apart."""
    url = f"{limited.public_url}/d/CODE"

    assert statuses(url, 4, peer="127.0.0.2", x_forwarded_for="203.0.113.1") == [404, 404, 404, 429]
    assert statuses(url, 1, peer="127.0.0.2", forwarded="for=203.0.113.2") == [404]


def test_requests_of_a_key_are_limited(limited: Running) -> None:
    """Ten seconds' worth at once."""
    answers = statuses(f"{limited.internal_url}/v1/topics", 15, authorization=f"Bearer {limited.api_key}")

    assert answers[:10] == [200] * 10
    assert 429 in answers


def test_wrong_keys_are_limited(limited: Running) -> None:
    """As many as the setting says."""
    wrong = f"Bearer rdr_{'0' * 12}_{'0' * 40}"

    assert statuses(f"{limited.internal_url}/v1/topics", 3, peer="127.0.0.4", authorization=wrong) == [401, 401, 429]
