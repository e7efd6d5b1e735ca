"""Rewriting over the API: bytes in, bytes out, and what happened to each link."""

from typing import Any

import pytest

from tests.web.ports import BASE_URL, InternalPort

MAIL = (
    b"<!DOCTYPE html>\r\n<p>\xe9\xff broken "
    b"<A HREF='https://www.example.com/a?b=1&amp;c=2' data-topic=\"solar,billing\">x</a>"
    b"<a href=https://www.example.com/b>y</a>\n<a href=\"mailto:a@b.example\">z</a><a href='http://127.0.0.1/'>w</a>"
)


async def post(api: InternalPort, mail: bytes, content_type: str = "text/html", **params: Any) -> Any:
    """The answer as bytes."""
    return await api.send("/v1/rewrite", mail, content_type, **{"campaign": api.name, **params})


async def explain(api: InternalPort, mail: bytes, content_type: str = "text/html", **params: Any) -> Any:
    """The answer as JSON."""
    answer = await api.http.post(
        "/v1/rewrite",
        content=mail,
        params={"campaign": api.name, **params},
        headers={"content-type": content_type, "accept": "application/json"},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def links_of(api: InternalPort) -> list[dict[str, Any]]:
    """What was minted; with the first link the campaign comes to be."""
    answer = await api.get("/v1/links", params={"campaign": api.name})
    links: list[dict[str, Any]] = answer.json()["links"] if answer.status_code == 200 else []
    return links


async def test_mail_comes_back_byte_for_byte(api: InternalPort) -> None:
    """Nothing changes but the two targets that can be tracked."""
    answer = await post(api, MAIL)

    one, other = [link["url"].encode() for link in await links_of(api)]
    expected = MAIL.replace(b"https://www.example.com/a?b=1&amp;c=2", one)
    assert answer.content == expected.replace(b"https://www.example.com/b", other)


async def test_links_are_what_the_mail_says(api: InternalPort) -> None:
    """A link's destination is decoded once, and its topics are the author's."""
    await post(api, MAIL, topic="news")

    found = [(link["destination"], link["topics"]) for link in await links_of(api)]
    assert found == [
        ("https://www.example.com/a?b=1&c=2", ["solar", "billing"]),
        ("https://www.example.com/b", ["news"]),
    ]


async def test_header_counts_the_links(api: InternalPort) -> None:
    """`Redirector-Links` says how many were tracked, skipped, refused and planted."""
    assert (await post(api, MAIL)).headers["redirector-links"] == "tracked=2; skipped=1; refused=1; planted=0"


@pytest.mark.parametrize("content_type", ["text/html", "text/html; charset=ISO-8859-1", 'Text/HTML;charset="utf-8"'])
async def test_content_type_is_echoed(api: InternalPort, content_type: str) -> None:
    """The mail has the type that it came with, to the letter."""
    assert (await post(api, b"<p>", content_type)).headers["content-type"] == content_type


async def test_mail_without_links_is_the_same(api: InternalPort) -> None:
    """Also one that is no HTML at all, or nothing."""
    for mail in (b"", b"no links\0\xff", bytes(range(256)) * 100):
        assert (await post(api, mail)).content == mail


async def test_same_mail_again_makes_the_same_links(api: InternalPort) -> None:
    """A second rewriting mints nothing, and one of the result changes nothing."""
    first = await post(api, MAIL)

    again, of_result = await post(api, MAIL), await post(api, first.content)

    assert first.content == again.content == of_result.content
    assert len(await links_of(api)) == 2


async def test_json_tells_what_happened(api: InternalPort) -> None:
    """With `Accept: application/json` each link comes with its action, and the reason where it was left alone."""
    explained = await explain(api, MAIL)

    assert [(link["destination"], link["action"], link["reason"]) for link in explained["links"]] == [
        ("https://www.example.com/a?b=1&c=2", "tracked", ""),
        ("https://www.example.com/b", "tracked", ""),
        ("mailto:a@b.example", "skipped", "other-scheme"),
        ("http://127.0.0.1/", "refused", "private_address"),
    ]
    assert [link["url"] for link in explained["links"]] == [link["url"] for link in await links_of(api)] + [None, None]
    assert all(link["detail"] for link in explained["links"][2:])


@pytest.mark.parametrize("named", ["https://www.example.com/leave/a1b2", "HTTPS://WWW.example.com:443/x/../leave/a1b2"])
async def test_links_that_are_named_are_left_alone(api: InternalPort, named: str) -> None:
    """What the mail's header names for one click (RFC 8058) is not tracked, however it is spelled."""
    mail = b'<a href="https://www.example.com/leave/a1b2">a</a><a href="https://www.example.com/leave/a1b2?c">b</a>'

    explained = await explain(api, mail, never=[named, "https://other.example/"])

    assert [(link["action"], link["reason"]) for link in explained["links"]] == [("skipped", "never"), ("tracked", "")]
    assert 'href="https://www.example.com/leave/a1b2">' in explained["html"]


async def test_json_holds_the_mail_as_text(api: InternalPort) -> None:
    """`html` is the rewritten mail, decoded as its charset says."""
    explained = await explain(
        api, "<p>größer <a href=https://www.example.com/>x</a>".encode("latin-1"), "text/html; charset=latin1"
    )

    assert explained["html"] == f"<p>größer <a href={explained['links'][0]['url']}>x</a>"


async def test_dry_run_mints_nothing(api: InternalPort) -> None:
    """With dry_run the answer shows where codes would stand, and neither links nor campaign come into being."""
    explained = await explain(api, MAIL, dry_run="true")

    assert "/c/dry-run-1" in explained["html"]
    assert [link["url"] for link in explained["links"]] == [None] * 4
    assert [link["action"] for link in explained["links"]] == ["tracked", "tracked", "skipped", "refused"]
    assert await links_of(api) == []
    assert (await api.get(f"/v1/campaigns/{api.name}/report")).status_code == 404


async def test_honeypot_is_planted_once(api: InternalPort) -> None:
    """`honeypot` adds a link that no reader sees, which is told apart wherever links are listed."""
    plain = await post(api, MAIL)
    planted = await post(api, MAIL, honeypot="https://www.example.com/welcome")
    again = await post(api, planted.content, honeypot="https://www.example.com/welcome")
    explained = await explain(api, MAIL, honeypot="https://www.example.com/welcome")

    *seen, hidden = await links_of(api)
    assert planted.headers["redirector-links"] == "tracked=2; skipped=1; refused=1; planted=1"
    assert planted.content.startswith(plain.content + f'<a href="{hidden["url"]}" rel="nofollow"'.encode())
    assert again.content == planted.content
    assert [(link["honeypot"], link["label"]) for link in seen] == [(False, "")] * 2
    assert (hidden["honeypot"], hidden["label"], hidden["topics"]) == (True, "honeypot", [])
    assert [(link["action"], link["url"]) for link in explained["links"]][-1] == ("planted", hidden["url"])


async def test_only_the_rewriter_makes_honeypots(api: InternalPort) -> None:
    """A link that a caller mints is one that readers see: the field is none of POST /v1/links."""
    answer = await api.post(
        "/v1/links", {"destination": "https://www.example.com/", "campaign": api.name, "honeypot": True}
    )

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/honeypot"


async def test_recipient_gets_codes_of_their_own(api: InternalPort) -> None:
    """With a recipient each code carries their token; the links are everybody's."""
    await api.campaign(tracking="individual", consent="crm")

    explained = await explain(api, MAIL, recipient="reader-1")

    codes = api.services.urls.codes
    decoded = [codes.decode(link["url"].removeprefix(f"{BASE_URL}/c/")) for link in explained["links"][:2]]
    assert [code.recipient for code in decoded if code] == [codes.recipient_token("reader-1")] * 2
    assert [code.link for code in decoded if code] == [link["id"] for link in await links_of(api)]


async def test_recipient_in_an_aggregate_campaign_is_a_conflict(api: InternalPort) -> None:
    """409, and nothing is minted."""
    await api.campaign()

    answer = await post(api, MAIL, recipient="reader-1")

    assert answer.status_code == 409
    assert answer.json()["type"].endswith(":recipients_not_allowed")
    assert answer.json()["errors"][0]["pointer"] == "recipient"
    assert await links_of(api) == []


async def test_recipient_in_a_missing_campaign_is_not_found(api: InternalPort) -> None:
    """A campaign with individual tracking must have been made: 404."""
    answer = await post(api, MAIL, recipient="reader-1")

    assert answer.status_code == 404
    assert answer.json()["errors"][0]["pointer"] == "campaign"


async def test_utf_16_mail_comes_back_in_utf_16(api: InternalPort) -> None:
    """A mail in UTF-16 stays one, but for its targets."""
    mail = '\ufeff<p>größer <a href="https://www.example.com/">x</a>'.encode("utf-16-le")

    answer = await post(api, mail, "text/html; charset=utf-16")

    (link,) = await links_of(api)
    assert answer.content.decode("utf-16-le") == f'\ufeff<p>größer <a href="{link["url"]}">x</a>'


@pytest.mark.parametrize(
    "mail",
    [
        pytest.param(b'<a href="https://www.example.com/">x</a>' * 10_001, id="links"),
        pytest.param(b"<p>" * 3_500_000, id="bytes"),
    ],
)
async def test_mail_that_is_too_large_is_refused(api: InternalPort, mail: bytes) -> None:
    """413 for a mail of more links or bytes than any reader would see; nothing is minted."""
    answer = await post(api, mail)

    assert answer.status_code == 413
    assert answer.json()["type"].endswith(":body_too_large")
    assert await links_of(api) == []


async def test_mail_that_cannot_be_read_is_refused(api: InternalPort) -> None:
    """A mail that is not in the encoding that it must be in is left alone: 422 that names the charset."""
    answer = await post(api, b"\xff\xfe<\x00a\x00\x00\xd8<\x00", "text/html")

    assert answer.status_code == 422
    assert answer.json()["type"].endswith(":unreadable_mail")
    assert answer.json()["errors"][0]["pointer"] == "charset"


REFUSED = {
    "no campaign": ({"campaign": ""}, "campaign"),
    "campaign with a slash": ({"campaign": "a/b"}, "campaign"),
    "campaign with a NUL": ({"campaign": "a\0"}, "campaign"),
    "topic in capitals": ({"topic": "Solar"}, "topic"),
    "eleven topics": ({"topic": [f"t{number}" for number in range(11)]}, "topic"),
    "honeypot that is inside": ({"honeypot": "http://127.0.0.1/"}, "honeypot"),
    "honeypot that is the tracker": ({"honeypot": f"{BASE_URL}/c/x"}, "honeypot"),
    "dry_run misspelled": ({"dry-run": "true"}, "dry-run"),
    "dry_run maybe": ({"dry_run": "maybe"}, "dry_run"),
    "dry_run empty": ({"dry_run": ""}, "dry_run"),
}


@pytest.mark.parametrize(("params", "field"), REFUSED.values(), ids=REFUSED.keys())
async def test_wrong_parameter_is_named(api: InternalPort, params: dict[str, Any], field: str) -> None:
    """422 that names the parameter, before the mail is looked at."""
    answer = await post(api, MAIL, **params)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(("word", "dry"), [("1", True), ("TRUE", True), ("yes", True), ("0", False), ("no", False)])
async def test_dry_run_is_said_in_several_ways(api: InternalPort, word: str, dry: bool) -> None:
    """What people write for true and false is understood."""
    await post(api, MAIL, dry_run=word)

    assert (await links_of(api) == []) is dry


async def test_topic_without_room_leaves_the_link(api: InternalPort) -> None:
    """A link whose topics cannot be is refused alone, with the reason; the mail's others are tracked."""
    mail = b'<a href="https://www.example.com/1" data-topic="Not OK">x</a><a href="https://www.example.com/2">y</a>'

    explained = await explain(api, mail)

    assert [(link["action"], link["reason"]) for link in explained["links"]] == [
        ("refused", "invalid_input"),
        ("tracked", ""),
    ]
    assert explained["html"].startswith('<a href="https://www.example.com/1"')
