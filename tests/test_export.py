"""The map of all redirects: the URLs that stand in it are those that stand in mails."""

import json
from collections.abc import AsyncIterator

from redirector.export import MapFormat, Redirect, as_lines


async def found() -> AsyncIterator[Redirect]:
    """A link of each kind of campaign."""
    yield Redirect("a", 1, "https://www.example.com/1")
    yield Redirect("b", 2, "https://www.example.com/2", "https://go.example.org")
    yield Redirect("c", 3, "https://www.example.com/3", "https://removed.example.org")


async def test_json_has_each_campaigns_host() -> None:
    """A URL has its campaign's host, or the main one if that is configured no more."""
    hosts = ("https://news.example.com", "https://go.example.org")

    lines = [json.loads(line) async for line in as_lines(found(), MapFormat.JSON, hosts)]

    assert [line["url"] for line in lines] == [
        "https://news.example.com/c/a",
        "https://go.example.org/c/b",
        "https://news.example.com/c/c",
    ]


async def test_nginx_answers_by_the_code_alone() -> None:
    """Every host answers every code: the map for nginx names none."""
    text = "\n".join([line async for line in as_lines(found(), MapFormat.NGINX, ("https://news.example.com",))])

    assert '  b "https://www.example.com/2";' in text
    assert "go.example.org" not in text
