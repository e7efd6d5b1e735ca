"""The client, with and without an event loop: its methods, its errors, and what it makes of strangers."""

import gc
import inspect
import secrets
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from redirector.client import AsyncClient, Client
from redirector.errors import (
    BrokenDestination,
    CampaignExists,
    IdempotencyKeyReused,
    InvalidDestination,
    InvalidInput,
    KeyMissing,
    LinkExists,
    RecipientsNotAllowed,
    RedirectorError,
    UnknownCampaign,
    UnknownLink,
)
from redirector.installation import Running
from redirector.wire import LinkIn, LinkOut

OFFER = "https://www.example.com/offer?a=1&b=2"
MAIL = b'<a href="https://www.example.com/mail">Offer</a> <a href="mailto:x@example.com">Write</a>\r\n'
NAMES = ["November 50% off", "Angebote für Österreich", "100%2F", "a?b#c&d=e+f;g", "日本 🎉", "..."]
LINK_ID = 2**50


@pytest.fixture
async def async_client(server: Running) -> AsyncIterator[AsyncClient]:
    """The other client of that server."""
    async with AsyncClient(server.internal_url, server.api_key) as found:
        yield found


@pytest.fixture
def campaign(client: Client) -> str:
    """A campaign that no other test has, with individual tracking."""
    name = f"client {secrets.token_hex(6)}"
    return client.create_campaign(name, tracking="individual", consent="form 7", sent=100).name


# --- every method


def test_both_clients_have_the_same_methods() -> None:
    """AsyncClient has Client's methods with the same parameters, each awaited or iterated."""
    methods = {name: method for name, method in vars(Client).items() if not name.startswith("_") and name != "close"}
    others = {name: method for name, method in vars(AsyncClient).items() if not name.startswith("_")}

    assert others.keys() == {*methods, "aclose"}
    for name, method in methods.items():
        assert inspect.signature(others[name]).parameters == inspect.signature(method).parameters
        assert inspect.iscoroutinefunction(others[name]) or inspect.isasyncgenfunction(others[name])
    assert inspect.signature(AsyncClient) == inspect.signature(Client)


def test_whole_api(client: Client, campaign: str) -> None:
    """Every method of Client does what its name says, against a real server."""
    moment = datetime.now(UTC) + timedelta(days=1)
    link = client.create_link(OFFER, campaign, ["solar", "billing"], label="button", expires_at=moment)
    second, refused = client.create_links(
        [
            LinkIn(destination=OFFER, campaign=campaign, label=""),
            LinkIn(destination="ftp://x.example", campaign=campaign, label=""),
        ]
    )
    changed = client.update_link(link.id, disabled=True, expires_at=None)
    urls = list(client.urls(link.id, ("ann", "bob")))
    mail = client.rewrite(MAIL, campaign, ("solar",), recipient="ann", charset="utf-8")
    planted = client.rewrite(MAIL, campaign, recipient="ann", honeypot="https://www.example.com/welcome")
    explained = client.explain_rewrite(MAIL, campaign, ["solar"])

    assert (link.destination, link.topics, link.label) == (OFFER, ["solar", "billing"], "button")
    assert isinstance(second, LinkOut)
    assert isinstance(refused, InvalidDestination)
    assert changed == client.link(link.id) == link.model_copy(update={"disabled": True, "expires_at": None})
    assert [each.recipient for each in urls] == ["ann", "bob"]
    assert len({link.url, *(each.url for each in urls)}) == 3
    assert (mail.tracked, mail.skipped, mail.refused, mail.planted) == (1, 1, 0, 0)
    assert (planted.tracked, planted.planted) == (1, 1)
    assert mail.mail.replace(mail.mail.split(b'"')[1], b"https://www.example.com/mail") == MAIL
    assert [each.action for each in explained.links] == ["tracked", "skipped"]
    assert client.update_campaign(campaign, sent=7).sent == 7
    assert [each.id for each in client.links(campaign)][:2] == [link.id, second.id]
    assert client.report(campaign).sent == 7
    assert {"solar", "billing"} <= {topic.topic for topic in client.topics().topics}


async def test_whole_api_on_a_loop(async_client: AsyncClient, campaign: str) -> None:
    """Every method of AsyncClient does the same."""
    moment = datetime.now(UTC) + timedelta(days=1)
    same = await async_client.create_campaign(campaign, tracking="individual", consent="form 7", sent=100)
    link = await async_client.create_link(OFFER, campaign, ["solar"], label="button", expires_at=moment)
    second, refused = await async_client.create_links(
        [
            LinkIn(destination=OFFER, campaign=campaign, label=""),
            LinkIn(destination="ftp://x.example", campaign=campaign, label=""),
        ]
    )
    changed = await async_client.update_link(link.id, disabled=True, expires_at=None)
    urls = [url async for url in async_client.urls(link.id, ("ann", "bob"))]
    mail = await async_client.rewrite(MAIL, campaign, ("solar",), recipient="ann", charset="utf-8")
    planted = await async_client.rewrite(MAIL, campaign, recipient="ann", honeypot="https://www.example.com/welcome")
    explained = await async_client.explain_rewrite(MAIL, campaign, ["solar"], dry_run=False)

    assert same.name == campaign
    assert isinstance(second, LinkOut)
    assert isinstance(refused, InvalidDestination)
    assert changed == await async_client.link(link.id)
    assert [each.recipient for each in urls] == ["ann", "bob"]
    assert (mail.tracked, mail.skipped, mail.refused, mail.planted) == (1, 1, 0, 0)
    assert (planted.tracked, planted.planted) == (1, 1)
    assert [each.action for each in explained.links] == ["tracked", "skipped"]
    assert (await async_client.update_campaign(campaign, sent=7)).sent == 7
    assert [each.id async for each in async_client.links(campaign)][:2] == [link.id, second.id]
    assert (await async_client.report(campaign)).sent == 7
    assert "solar" in {topic.topic for topic in (await async_client.topics()).topics}


def test_all_pages_of_links_are_listed(client: Client, campaign: str) -> None:
    """More links than a page holds are all there, in the order of their numbers, each once."""
    wanted = [LinkIn(destination=f"{OFFER}&n={number}", campaign=campaign, label="") for number in range(1_001)]
    client.create_links(wanted[:1_000])
    client.create_links(wanted[1_000:])

    links = list(client.links(campaign))

    assert [link.destination for link in links] == [each.destination for each in wanted]
    assert [link.id for link in links] == sorted(link.id for link in links)


async def test_all_pages_of_links_are_listed_on_a_loop(
    async_client: AsyncClient, client: Client, campaign: str
) -> None:
    """The same with an event loop."""
    wanted = [LinkIn(destination=f"{OFFER}&n={number}", campaign=campaign, label="") for number in range(1_001)]
    client.create_links(wanted[:1_000])
    client.create_links(wanted[1_000:])

    assert [link.destination async for link in async_client.links(campaign)] == [each.destination for each in wanted]


@pytest.mark.parametrize("name", NAMES)
def test_campaign_may_have_any_printable_name(client: Client, name: str) -> None:
    """A name with signs that mean something in URLs reaches the server as it is."""
    client.create_campaign(name)
    client.create_link(OFFER, name)

    assert client.update_campaign(name, sent=5).name == name
    assert client.report(name).campaign == name
    assert [link.campaign for link in client.links(name)] == [name]
    assert client.rewrite(MAIL, name).tracked == 1


@pytest.mark.parametrize("name", ["a/b", "..", ".", "", " a", "../topics", "a\nb"])
def test_impossible_name_is_refused_before_it_is_an_address(client: Client, name: str) -> None:
    """A name that no campaign can have is refused, and never changes which address is asked."""
    with pytest.raises(InvalidInput):
        client.report(name)
    with pytest.raises(InvalidInput):
        client.update_campaign(name, sent=1)


STRANGE = [
    "plain",
    "a b",
    "ü@example.com",
    "日本",
    "line\u2028separator",
    "next\x85line",
    "a\x0bb\x0cc\x1cd",
    'q"\\',
    "\r",
]


def test_recipient_may_be_any_text(client: Client, campaign: str) -> None:
    """Recipients come back as they were given, also those with what Unicode takes for a line end."""
    link = client.create_link(OFFER, campaign)

    urls = list(client.urls(link.id, STRANGE))

    assert [each.recipient for each in urls] == STRANGE
    assert len({each.url for each in urls}) == len(STRANGE)


async def test_recipient_may_be_any_text_on_a_loop(async_client: AsyncClient, campaign: str) -> None:
    """The same with an event loop."""
    link = await async_client.create_link(OFFER, campaign)

    assert [each.recipient async for each in async_client.urls(link.id, STRANGE)] == STRANGE


def test_urls_are_streamed(client: Client, campaign: str) -> None:
    """100,000 URLs pass through without being held together: the answer has some 9 MB, and far less is ever in use."""
    link = client.create_link(OFFER, campaign)
    recipients = [f"reader-{number}" for number in range(100_000)]
    urls = client.urls(link.id, recipients)
    first = next(urls)
    gc.collect()
    tracemalloc.start()
    try:
        count = 1 + sum(1 for _ in urls)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert first.recipient == "reader-0"
    assert count == 100_000
    assert peak < 4_000_000


async def test_half_read_stream_leaves_the_client_usable(
    client: Client, async_client: AsyncClient, campaign: str
) -> None:
    """Who has seen enough URLs stops, and goes on with the same client."""
    link = client.create_link(OFFER, campaign)
    recipients = [f"reader-{number}" for number in range(50_000)]

    urls = client.urls(link.id, recipients)
    assert next(urls).recipient == "reader-0"
    urls.close()  # type: ignore[attr-defined]
    others = async_client.urls(link.id, recipients)
    assert (await anext(others)).recipient == "reader-0"
    await others.aclose()  # type: ignore[attr-defined]

    assert client.link(link.id) == await async_client.link(link.id)


def test_retry_with_an_idempotency_key_is_the_same_link(client: Client, campaign: str) -> None:
    """The same request with the same key gives the same link."""
    first = client.create_link(OFFER, campaign, idempotency_key=f"{campaign.replace(' ', '-')}-1")

    assert client.create_link(OFFER, campaign, idempotency_key=f"{campaign.replace(' ', '-')}-1") == first


# --- errors of the server


def a_reused_key(client: Client, campaign: str) -> object:
    """Two links with one Idempotency-Key."""
    client.create_link(OFFER, campaign, idempotency_key="once")
    return client.create_link(OFFER + "&c=3", campaign, idempotency_key="once")


def an_aggregate(client: Client, campaign: str) -> object:
    """URLs for recipients in a campaign that does not tell them apart."""
    link = client.create_link(OFFER, campaign + " for all")
    return list(client.urls(link.id, ["ann"]))


def another_expiry(client: Client, campaign: str) -> object:
    """The same link once more, but for its end."""
    client.create_link(OFFER, campaign)
    return client.create_link(OFFER, campaign, expires_at=datetime(2100, 1, 1, tzinfo=UTC))


def another_number(client: Client, _: str) -> object:
    """The same campaign once more, but for the number of mails."""
    client.create_campaign("news of client tests", sent=1)
    return client.create_campaign("news of client tests", sent=2)


REFUSALS: list[tuple[Callable[[Client, str], object], type[RedirectorError], tuple[str, str]]] = [
    (lambda client, _: client.link(LINK_ID), UnknownLink, ("", "")),
    (lambda client, _: client.link(-1), UnknownLink, ("", "-1")),
    (lambda client, _: client.update_link(LINK_ID, disabled=True), UnknownLink, ("", "")),
    (lambda client, _: list(client.urls(LINK_ID, ["ann"])), UnknownLink, ("", "")),
    (lambda client, _: client.report("no such campaign"), UnknownCampaign, ("name", "no such campaign")),
    (
        lambda client, _: client.update_campaign("no such campaign", sent=1),
        UnknownCampaign,
        ("name", "no such campaign"),
    ),
    (lambda client, _: list(client.links("no such campaign")), UnknownCampaign, ("campaign", "no such campaign")),
    (another_number, CampaignExists, ("/sent", "news of client tests")),
    (
        lambda client, name: client.create_link("https://user@x.example", name),
        InvalidDestination,
        ("/destination", "user@x.example"),
    ),
    (lambda client, name: client.create_link(OFFER, name, ["Solar"]), InvalidInput, ("/topics", "Solar")),
    (lambda client, name: client.rewrite(MAIL, name, ["Solar"]), InvalidInput, ("topic", "Solar")),
    (an_aggregate, RecipientsNotAllowed, ("/recipients", "")),
    (a_reused_key, IdempotencyKeyReused, ("Idempotency-Key", "once")),
    (another_expiry, LinkExists, ("/expires_at", "")),
]


@pytest.mark.parametrize(("act", "kind", "evidence"), REFUSALS)
def test_refusal_comes_out_as_the_servers_error(
    client: Client,
    campaign: str,
    act: Callable[[Client, str], object],
    kind: type[RedirectorError],
    evidence: tuple[str, str],
) -> None:
    """The server's error comes out as the same class, with the field, the part and the remedy."""
    with pytest.raises(kind) as refused:
        act(client, campaign)

    assert type(refused.value) is kind
    assert (refused.value.field, refused.value.part) == evidence
    assert refused.value.detail
    assert refused.value.remedy


async def test_refusal_comes_out_the_same_on_a_loop(async_client: AsyncClient) -> None:
    """AsyncClient raises the same errors, also where the answer would have been streamed."""
    with pytest.raises(UnknownCampaign):
        await async_client.report("no such campaign")
    with pytest.raises(UnknownLink):
        await anext(async_client.urls(LINK_ID, ["ann"]))


def test_list_keeps_its_order_around_refused_rows(client: Client, campaign: str) -> None:
    """A refused row stands in its place as an error with its pointer; the others are minted."""
    answers = client.create_links(
        [LinkIn(destination=url, campaign=campaign, label="") for url in (OFFER, "javascript:alert(1)", OFFER + "&c=3")]
    )

    first, refused, third = answers
    assert isinstance(first, LinkOut)
    assert isinstance(refused, InvalidDestination)
    assert refused.field == "/1/destination"
    assert isinstance(third, LinkOut)


def test_wrong_key_is_refused(server: Running) -> None:
    """A key that the server does not know is KeyMissing, and is not quoted."""
    with (
        Client(server.internal_url, "rdr_" + "0" * 12 + "_" + "f" * 40) as stranger,
        pytest.raises(KeyMissing) as refused,
    ):
        stranger.topics()

    assert "f" * 40 not in f"{refused.value} {refused.value!r}"


# --- wrong arguments


WRONG: list[tuple[str, Callable[[Client], object]]] = [
    ("a destination that is a number", lambda client: client.create_link(5, "news")),  # type: ignore[arg-type]
    ("topics that are one text", lambda client: client.create_link(OFFER, "news", "solar")),
    ("topics that are a number", lambda client: client.create_link(OFFER, "news", 5)),  # type: ignore[arg-type]
    ("a property that is not known", lambda client: client.create_link(OFFER, "news", lable="x")),
    ("a moment without a zone", lambda client: client.create_link(OFFER, "news", expires_at=datetime(2100, 1, 1))),  # noqa: DTZ001
    ("an idempotency key with a line end", lambda client: client.create_link(OFFER, "news", idempotency_key="a\nb")),
    ("an idempotency key beyond ASCII", lambda client: client.create_link(OFFER, "news", idempotency_key="ü")),
    ("an empty idempotency key", lambda client: client.create_link(OFFER, "news", idempotency_key="")),
    ("a text with a lone surrogate", lambda client: client.create_link(OFFER + "\ud800", "news")),
    (
        "a row with a lone surrogate",
        lambda client: client.create_links([LinkIn(destination="\ud800", campaign="", label="")]),
    ),
    ("a mail's campaign with a lone surrogate", lambda client: client.rewrite(MAIL, "\ud800")),
    ("a campaign to list with a lone surrogate", lambda client: list(client.links("\ud800"))),
    ("rows that are no links", lambda client: client.create_links([5])),  # type: ignore[list-item]
    ("a campaign's name that is a number", lambda client: client.create_campaign(5)),  # type: ignore[arg-type]
    ("a tracking mode that is none", lambda client: client.create_campaign("news", tracking="spy")),
    ("a number of mails that is a text", lambda client: client.update_campaign("news", sent="7")),
    ("a link's number that is a text", lambda client: client.link("7/urls")),  # type: ignore[arg-type]
    ("a number to change that is a text", lambda client: client.update_link("7", disabled=True)),  # type: ignore[arg-type]
    ("a change that is not known", lambda client: client.update_link(7, topics=[])),
    ("a campaign to list that is a number", lambda client: list(client.links(5))),  # type: ignore[arg-type]
    ("a campaign to report that is none", lambda client: client.report(None)),  # type: ignore[arg-type]
    ("recipients that are one text", lambda client: list(client.urls(7, "ann"))),
    ("recipients that are bytes", lambda client: list(client.urls(7, [b"ann"]))),  # type: ignore[list-item]
    ("no recipients", lambda client: list(client.urls(7, []))),
    ("an empty recipient", lambda client: list(client.urls(7, [""]))),
    ("a mail that is a text", lambda client: client.rewrite("<a>", "news")),  # type: ignore[arg-type]
    ("topics of a mail that are one text", lambda client: client.rewrite(MAIL, "news", "solar")),
    ("a honeypot that is no text", lambda client: client.rewrite(MAIL, "news", honeypot=7)),  # type: ignore[arg-type]
    ("a charset with a line end", lambda client: client.rewrite(MAIL, "news", charset="utf-8\r\nx: y")),
    ("a mail to explain that is a text", lambda client: client.explain_rewrite("<a>", "news")),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("act", [act for _, act in WRONG], ids=[name for name, _ in WRONG])
def test_wrong_argument_is_invalid_input(client: Client, act: Callable[[Client], object]) -> None:
    """A wrong argument is the program's own error, never another library's."""
    with pytest.raises(InvalidInput) as refused:
        act(client)

    assert type(refused.value) is InvalidInput


@pytest.mark.parametrize("key", ["rdr_secret\n", "rdr_secret ", "rdr_sécret", "rdr_secret\x00"])
def test_key_that_cannot_be_one_is_refused_without_being_shown(server: Running, key: str) -> None:
    """A key with a character that cannot travel is refused at once, and not quoted."""
    for kind in (Client, AsyncClient):
        with pytest.raises(InvalidInput) as refused:
            kind(server.internal_url, key)

        assert refused.value.field == "api_key"
        assert key.strip() not in f"{refused.value} {refused.value!r} {refused.value.__context__!r}"


async def test_key_is_not_in_the_clients_repr(client: Client, async_client: AsyncClient, server: Running) -> None:
    """A client can be printed."""
    assert server.api_key not in f"{client!r} {client} {async_client!r} {async_client}"


def test_proxies_of_the_environment_are_ignored(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API's key never goes to a proxy that happens to be set."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    with Client(server.internal_url, server.api_key) as direct:
        assert direct.topics().topics is not None


# --- checked destinations


def test_destination_that_does_not_answer_is_not_minted(client: Client, campaign: str) -> None:
    """With `check` the server's refusal comes out as its own exception, for one link and for a row."""
    nowhere = "https://shop.invalid/"  # RFC 6761: never resolves

    with pytest.raises(BrokenDestination) as refused:
        client.create_link(nowhere, campaign, check=True)
    (row,) = client.create_links([LinkIn(destination=nowhere, campaign=campaign, label="")], check=True)

    assert (refused.value.reason, refused.value.field) == ("unresolved", "/destination")
    assert isinstance(row, BrokenDestination)
    assert row.field == "/0/destination"


async def test_destination_is_checked_on_a_loop_too(async_client: AsyncClient, campaign: str) -> None:
    """The asynchronous client refuses in the same way."""
    with pytest.raises(BrokenDestination):
        await async_client.create_link("https://shop.invalid/", campaign, check=True)
