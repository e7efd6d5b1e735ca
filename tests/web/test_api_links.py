"""Links over the API: minted singly and in lists, found again, and changed."""

import json
import secrets
from typing import Any

import pytest

from redirector.destinations import Refusal
from redirector.store.keys import Keys
from tests.web.ports import BASE_URL, InternalPort, internal_port

DESTINATION = "https://www.example.com/offer?a=1&b={2}|3"


async def test_link_is_minted(api: InternalPort) -> None:
    """201 with the link, its code, and its tracked URL."""
    wanted = {"destination": DESTINATION, "campaign": api.name, "topics": ["solar", "billing"], "label": "button"}

    answer = await api.post("/v1/links", {**wanted, "expires_at": "2027-01-01T00:00:00.5+01:00"})

    assert answer.status_code == 201
    link = answer.json()
    assert link.items() >= wanted.items()
    assert link["url"] == f"{BASE_URL}/c/{link['code']}"
    assert link["sent_as"] is None
    assert link["expires_at"] == "2026-12-31T23:00:00.500000Z"
    assert link["disabled"] is False
    assert link["created_at"].endswith("Z")


async def test_code_is_the_links(api: InternalPort) -> None:
    """The code decodes to the link's number, and to no recipient."""
    link = await api.link()

    decoded = api.services.urls.codes.decode(link["code"])

    assert decoded is not None
    assert (decoded.link, decoded.recipient) == (link["id"], 0)


async def test_same_link_again_is_there_already(api: InternalPort) -> None:
    """The same link again answers 200 with the same link."""
    body = {"destination": DESTINATION, "campaign": api.name, "topics": ["solar"]}
    first = await api.post("/v1/links", body)

    again = await api.post("/v1/links", body)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()


@pytest.mark.parametrize("other", [{"topics": ["billing"]}, {"label": "footer"}, {"destination": DESTINATION + "x"}])
async def test_link_with_another_identity_is_another(api: InternalPort, other: dict[str, object]) -> None:
    """Another destination, other topics or another label make another link."""
    body = {"destination": DESTINATION, "campaign": api.name, "topics": ["solar"]}
    first = (await api.post("/v1/links", body)).json()

    assert (await api.post("/v1/links", {**body, **other})).json()["id"] != first["id"]


async def test_same_link_with_another_expiry_is_a_conflict(api: InternalPort) -> None:
    """409 that points at the expiry and names the link to change."""
    link = await api.link()

    answer = await api.post(
        "/v1/links",
        {"destination": link["destination"], "campaign": api.name, "expires_at": "2027-01-01T00:00:00Z"},
    )

    assert answer.status_code == 409
    (error,) = answer.json()["errors"]
    assert (error["code"], error["pointer"]) == ("link_exists", "/expires_at")
    assert error["remedy"] == f"change it with PATCH /v1/links/{link['id']}"


async def test_disabled_link_again_is_a_conflict(api: InternalPort) -> None:
    """409 that says how to enable the link: its tracked URL would lead nowhere."""
    link = await api.link()
    await api.patch(f"/v1/links/{link['id']}", {"disabled": True})

    answer = await api.post("/v1/links", {"destination": link["destination"], "campaign": api.name})

    assert answer.status_code == 409
    (error,) = answer.json()["errors"]
    assert (error["code"], error["pointer"]) == ("link_exists", "")
    assert error["remedy"] == f'enable it with PATCH /v1/links/{link["id"]} {{"disabled": false}}'


async def test_expiry_in_the_past_is_refused(api: InternalPort) -> None:
    """422 that points at the expiry; nothing is minted."""
    body = {"destination": DESTINATION, "campaign": api.name, "expires_at": "2020-01-01T00:00:00Z"}

    answer = await api.post("/v1/links", body)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/expires_at"]
    assert (await api.get("/v1/links", params={"campaign": api.name})).status_code == 404


async def test_unicode_destination_says_how_it_is_sent(api: InternalPort) -> None:
    """The destination is kept as written, and `sent_as` is the header's form."""
    link = await api.link("https://bücher.example.com/größe")

    assert link["destination"] == "https://bücher.example.com/größe"
    assert link["sent_as"] == "https://xn--bcher-kva.example.com/gr%C3%B6%C3%9Fe"


REFUSED = {
    "script": ("javascript:alert(1)", Refusal.SCHEME, "javascript"),
    "relative": ("/offer", Refusal.NOT_ABSOLUTE, "/offer"),
    "user name": ("https://a@www.example.com/", Refusal.USERINFO, "a@www.example.com"),
    "backslash": ("https://evil.example\\@good.example/", Refusal.BACKSLASH, "evil.example\\@good.example"),
    "line break": ("https://www.example.com/a\r\nX: y", Refusal.CONTROL_CHARACTER, "\r"),
    "this machine": ("http://127.0.0.1/", Refusal.PRIVATE_ADDRESS, "127.0.0.1"),
    "metadata": ("http://169.254.169.254/latest", Refusal.PRIVATE_ADDRESS, "169.254.169.254"),
    "ourselves": (f"{BASE_URL}/c/abc", Refusal.OWN_HOST, "news.example.com"),
    "too long": ("https://www.example.com/" + "a" * 2_048, Refusal.TOO_LONG, "https://www.example.com/" + "a" * 76),
    "empty": ("", Refusal.EMPTY, ""),
}


@pytest.mark.parametrize(("url", "reason", "part"), REFUSED.values(), ids=REFUSED.keys())
async def test_refused_destination_says_why(api: InternalPort, url: str, reason: Refusal, part: str) -> None:
    """422 that names the field, the reason as a stable word, the offending part and the remedy."""
    answer = await api.post("/v1/links", {"destination": url, "campaign": api.name})

    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["code"], error["pointer"]) == ("invalid_destination", "/destination")
    assert (error["reason"], error["part"]) == (reason.value, part)
    assert error["remedy"]


async def test_list_answers_row_by_row(api: InternalPort) -> None:
    """207: good rows are minted, and each bad one has its problem with pointers into the whole body."""
    await api.link("https://www.example.com/there")
    rows: list[Any] = [
        {"destination": "ftp://www.example.com/", "campaign": api.name},
        {"destination": "https://www.example.com/1", "campaign": api.name},
        {"campaign": api.name, "colour": "red"},
        17,
        {"destination": "https://www.example.com/2", "campaign": api.name, "topics": ["ok", "Not OK"]},
        {"destination": "https://www.example.com/there", "campaign": api.name, "expires_at": "2027-01-01T00:00:00Z"},
        {"destination": "https://www.example.com/3", "campaign": "a/b"},
        {"destination": "https://www.example.com/4", "campaign": api.name, "label": "\n"},
    ]

    answer = await api.post("/v1/links", rows)

    assert answer.status_code == 207
    found = answer.json()["links"]
    assert found[1]["destination"] == "https://www.example.com/1"
    pointers = {row: [error["pointer"] for error in each["errors"]] for row, each in enumerate(found) if row != 1}
    assert pointers == {
        0: ["/0/destination"],
        2: ["/2/destination", "/2/colour"],
        3: ["/3"],
        4: ["/4/topics"],
        5: ["/5/expires_at"],
        6: ["/6/campaign"],
        7: ["/7/label"],
    }


async def test_list_of_new_links_is_created(api: InternalPort) -> None:
    """201 if any was minted now, 200 if all were there; in the order of the request."""
    rows = [{"destination": f"https://www.example.com/{number}", "campaign": api.name} for number in range(3)]

    first, again = await api.post("/v1/links", rows[:2]), await api.post("/v1/links", rows)
    last = await api.post("/v1/links", rows[::-1])

    assert [first.status_code, again.status_code, last.status_code] == [201, 201, 200]
    assert [link["destination"] for link in last.json()["links"]] == [row["destination"] for row in rows[::-1]]


async def test_list_may_go_to_several_campaigns(api: InternalPort) -> None:
    """Each row is of its own campaign."""
    rows = [
        {"destination": "https://www.example.com/", "campaign": f"{api.name}-{letter}"} for letter in ("a", "b", "a")
    ]

    found = (await api.post("/v1/links", rows)).json()["links"]

    assert [link["campaign"] for link in found] == [row["campaign"] for row in rows]
    assert found[0]["id"] == found[2]["id"] != found[1]["id"]


async def test_empty_list_is_answered_with_one(api: InternalPort) -> None:
    """Nothing to mint is nothing minted."""
    answer = await api.post("/v1/links", [])

    assert (answer.status_code, answer.json()) == (200, {"links": []})


async def test_topic_without_room_is_a_conflict(store_url: str, keys: Keys) -> None:
    """409 that points at the topics, in a list with the row; a row with topics that are there is minted."""
    link = {"destination": DESTINATION, "campaign": "news"}
    async with internal_port(store_url, keys, topics_max=1) as api:
        await api.post("/v1/links", {**link, "topics": ["first"]})

        single = await api.post("/v1/links", {**link, "topics": ["second"]})
        listed = await api.post("/v1/links", [{**link, "topics": ["first"]}, {**link, "topics": ["second"]}])

    assert single.status_code == 409
    assert [(error["code"], error["pointer"]) for error in single.json()["errors"]] == [("too_many_topics", "/topics")]
    assert listed.status_code == 207
    assert listed.json()["links"][0]["topics"] == ["first"]
    assert listed.json()["links"][1]["errors"][0]["pointer"] == "/1/topics"


async def test_idempotency_key_makes_a_retry_safe(api: InternalPort) -> None:
    """The same key with the same body is the same request."""
    headers = {"idempotency-key": secrets.token_hex(8)}
    body = {"destination": DESTINATION, "campaign": api.name}
    first = await api.post("/v1/links", body, headers=headers)

    again = await api.post("/v1/links", body, headers=headers)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()


async def test_retry_after_a_change_makes_no_second_link(api: InternalPort) -> None:
    """A link that was changed since is still what the key stands for; the retry shows it as it is now."""
    headers = {"idempotency-key": secrets.token_hex(8)}
    body = {"destination": DESTINATION, "campaign": api.name}
    first = (await api.post("/v1/links", body, headers=headers)).json()
    patched = await api.patch(f"/v1/links/{first['id']}", {"destination": DESTINATION + "2", "disabled": True})

    again = await api.post("/v1/links", body, headers=headers)

    assert (again.status_code, again.json()) == (200, patched.json())
    assert len((await api.get("/v1/links", params={"campaign": api.name})).json()["links"]) == 1


async def test_retry_of_a_list_tries_what_was_refused_again(api: InternalPort) -> None:
    """Rows that were minted keep their links, whatever became of them; a row that was refused may be good by now."""
    headers = {"idempotency-key": secrets.token_hex(8)}
    link = await api.link("https://www.example.com/1")
    await api.patch(f"/v1/links/{link['id']}", {"disabled": True})
    rows = [{"destination": f"https://www.example.com/{number}", "campaign": api.name} for number in (1, 2)]
    refused, minted = (await api.post("/v1/links", rows, headers=headers)).json()["links"]
    await api.patch(f"/v1/links/{link['id']}", {"disabled": False})
    await api.patch(f"/v1/links/{minted['id']}", {"destination": DESTINATION})

    again = await api.post("/v1/links", rows, headers=headers)

    assert refused["status"] == 409
    assert again.status_code == 200
    assert [each["id"] for each in again.json()["links"]] == [link["id"], minted["id"]]


async def test_idempotency_key_with_another_body_is_a_conflict(api: InternalPort) -> None:
    """409 that names the header and the key, and nothing is minted."""
    headers = {"idempotency-key": (key := secrets.token_hex(8))}
    await api.post("/v1/links", {"destination": DESTINATION, "campaign": api.name}, headers=headers)

    answer = await api.post("/v1/links", {"destination": DESTINATION + "2", "campaign": api.name}, headers=headers)

    assert answer.status_code == 409
    (error,) = answer.json()["errors"]
    assert (error["code"], error["pointer"], error["part"]) == ("idempotency_key_reused", "Idempotency-Key", key)
    assert len((await api.get("/v1/links", params={"campaign": api.name})).json()["links"]) == 1


async def test_idempotency_keys_of_two_holders_are_two(api: InternalPort) -> None:
    """Another API key's Idempotency-Key is another one."""
    headers = {"idempotency-key": secrets.token_hex(8)}
    await api.post("/v1/links", {"destination": DESTINATION, "campaign": api.name}, headers=headers)

    answer = await api.post(
        "/v1/links",
        {"destination": DESTINATION + "2", "campaign": api.name},
        headers=headers | await api.key_with({"mint"}),
    )

    assert answer.status_code == 201


async def test_link_is_found(api: InternalPort) -> None:
    """A link can be read under its number."""
    link = await api.link(topics=["solar"])

    answer = await api.get(f"/v1/links/{link['id']}")

    assert (answer.status_code, answer.json()) == (200, link)


async def test_missing_link_is_not_found(api: InternalPort) -> None:
    """404 that says where links are listed."""
    answer = await api.get("/v1/links/123456789")

    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:redirector:problem:unknown_link"
    assert answer.json()["errors"][0]["remedy"] == "see GET /v1/links?campaign="


async def test_links_come_in_pages(api: InternalPort) -> None:
    """`after` leads from page to page; the last one has no next."""
    ids = [(await api.link(f"https://www.example.com/{number}"))["id"] for number in range(5)]

    pages = []
    after: int | None = 0
    while after is not None:
        query = {"campaign": api.name, "after": after, "limit": 2}
        page = (await api.get("/v1/links", params=query)).json()
        pages.append([link["id"] for link in page["links"]])
        after = page["next_after"]

    assert pages == [ids[:2], ids[2:4], ids[4:]]


async def test_links_of_no_campaign_are_not_found(api: InternalPort) -> None:
    """A name that is no campaign's is 404, and not an empty list; a campaign without links has an empty one."""
    missing = await api.get("/v1/links", params={"campaign": api.name})
    await api.campaign()
    empty = await api.get("/v1/links", params={"campaign": api.name})

    assert missing.status_code == 404
    assert [(error["pointer"], error["part"]) for error in missing.json()["errors"]] == [("campaign", api.name)]
    assert (empty.status_code, empty.json()) == (200, {"links": [], "next_after": None})


PATCHES = {
    "disabled": {"disabled": True},
    "destination": {"destination": "https://www.example.com/elsewhere"},
    "expiry": {"expires_at": "2027-01-01T00:00:00Z"},
    "all": {"disabled": True, "destination": "https://www.example.com/x", "expires_at": "2027-01-01T00:00:00Z"},
    "nothing": {},
}


@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES.keys())
async def test_patch_changes_what_it_names(api: InternalPort, patch: dict[str, object]) -> None:
    """What is absent stays; the code and the URL always do."""
    link = await api.link()

    answer = await api.patch(f"/v1/links/{link['id']}", patch)

    assert (answer.status_code, answer.json()) == (200, {**link, **patch})
    assert (await api.get(f"/v1/links/{link['id']}")).json() == answer.json()


async def test_patch_takes_an_expiry_away(api: InternalPort) -> None:
    """null means that the link does not expire."""
    link = await api.link(expires_at="2027-01-01T00:00:00Z")

    answer = await api.patch(f"/v1/links/{link['id']}", {"expires_at": None})

    assert answer.json() == {**link, "expires_at": None}


async def test_link_can_be_enabled_again(api: InternalPort) -> None:
    """Disabling is not for ever."""
    link = await api.link()
    await api.patch(f"/v1/links/{link['id']}", {"disabled": True})

    assert (await api.patch(f"/v1/links/{link['id']}", {"disabled": False})).json() == link


REFUSED_PATCHES = {
    "disabled null": ({"disabled": None}, "/disabled"),
    "disabled text": ({"disabled": "yes"}, "/disabled"),
    "disabled number": ({"disabled": 1}, "/disabled"),
    "destination null": ({"destination": None}, "/destination"),
    "destination empty": ({"destination": ""}, "/destination"),
    "destination refused": ({"destination": "ftp://www.example.com"}, "/destination"),
    "expiry without offset": ({"expires_at": "2027-01-01T00:00:00"}, "/expires_at"),
    "topics": ({"topics": ["solar"]}, "/topics"),
    "campaign": ({"campaign": "other"}, "/campaign"),
}


@pytest.mark.parametrize(("patch", "pointer"), REFUSED_PATCHES.values(), ids=REFUSED_PATCHES.keys())
async def test_wrong_patch_is_refused(api: InternalPort, patch: dict[str, object], pointer: str) -> None:
    """422 that points at what cannot be; the link stays as it is."""
    link = await api.link()

    answer = await api.patch(f"/v1/links/{link['id']}", patch)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await api.get(f"/v1/links/{link['id']}")).json() == link


async def test_patch_into_another_link_is_a_conflict(api: InternalPort) -> None:
    """A link cannot become the same as another one of its campaign."""
    one, other = await api.link("https://www.example.com/1"), await api.link("https://www.example.com/2")

    answer = await api.patch(f"/v1/links/{other['id']}", {"destination": one["destination"]})

    assert answer.status_code == 409
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/destination"]


async def test_patch_of_no_link_is_not_found(api: InternalPort) -> None:
    """404 for a number that no link has."""
    assert (await api.patch("/v1/links/123456789", {"disabled": True})).status_code == 404


async def test_json_is_utf_8(api: InternalPort) -> None:
    """What was sent with escapes comes back as the same text."""
    body = json.dumps({"destination": "https://www.example.com/ü", "campaign": api.name, "label": "🌞"}).encode()

    answer = await api.send("/v1/links", body)

    assert answer.json()["label"] == "🌞"
    assert answer.headers["content-type"] == "application/json"
