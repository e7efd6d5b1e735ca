"""What a click leaves in the stream, and what it never does."""

import pytest

from redirector.links import Link, Tracking
from redirector.store.keys import Keys
from tests.builders import NOON
from tests.recorders import lost
from tests.web.ports import PublicPort, public_port

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
BROWSER = [
    ("User-Agent", AGENT),
    ("Accept-Language", "de-CH,de;q=0.9"),
    ("Referer", "https://mail.example.org/inbox/secret?id=1"),
]
ALWAYS = {"id", "at", "link", "campaign", "topics", "class", "rule", "rules"}
WHEN_KNOWN = {"recipient", "visitor", "client", "os", "device", "lang", "country", "isp", "referrer"}


@pytest.fixture
async def link(public: PublicPort) -> Link:
    """A link of an aggregate campaign about two topics."""
    return await public.link(topics=("solar", "billing"))


async def personal_link(public: PublicPort) -> Link:
    """A link of a campaign that tells its recipients apart."""
    await public.campaign(tracking=Tracking.INDIVIDUAL, consent="crm:newsletter-2026")
    return await public.link()


async def test_click_names_its_link_and_moment(public: PublicPort, link: Link) -> None:
    """The entry says when, which link, of which campaign, about which topics."""
    entry = await public.click(link, *BROWSER)

    assert entry["at"] == str(NOON)
    assert entry["link"] == str(link.number)
    assert entry["campaign"] == public.name
    assert entry["topics"] == "solar,billing"


async def test_click_has_the_contracts_fields(public: PublicPort, link: Link) -> None:
    """What the contract promises is always there, and nothing that it does not list."""
    entry = await public.click(link, *BROWSER)

    assert set(entry) >= ALWAYS
    assert set(entry) <= ALWAYS | WHEN_KNOWN


async def test_honeypot_is_followed_by_scanners(public: PublicPort) -> None:
    """Whoever follows a link that no reader can see is a scanner, however much like a browser."""
    entry = await public.click(await public.link(honeypot=True), *BROWSER)

    assert (entry["class"], entry["rule"]) == ("scanner", "honeypot-link")


async def test_every_click_has_its_own_id(public: PublicPort, link: Link) -> None:
    """Two clicks of the same reader at the same moment have different ids."""
    first, second = await public.click(link, *BROWSER), await public.click(link, *BROWSER)

    assert first["id"] != second["id"]


async def test_address_and_agent_are_never_written(public: PublicPort, link: Link) -> None:
    """No field holds the reader's address, the words of the user agent, or more of the referrer than its host."""
    entry = await public.click(link, *BROWSER, ("X-Forwarded-For", "203.0.113.9"), ("Cookie", "id=tasty"))

    text = " ".join(entry.values())
    for secret in ("127.0.0.1", "203.0.113.9", "Mozilla", "Gecko", "20100101", "140.0", "inbox", "secret", "tasty"):
        assert secret not in text
    assert entry["referrer"] == "mail.example.org"


CLASSES = {
    "browser": ("GET", BROWSER, "human"),
    "no agent": ("GET", [], "human"),
    "head": ("HEAD", BROWSER, "probe"),
    "prefetch": ("GET", [*BROWSER, ("Sec-Purpose", "prefetch;prerender")], "prefetch"),
    "link previewer": ("GET", [("User-Agent", "Slackbot-LinkExpanding 1.0")], "bot"),
}


@pytest.mark.parametrize(("method", "headers", "expected"), CLASSES.values(), ids=CLASSES.keys())
async def test_click_has_a_class_and_its_rule(
    public: PublicPort, link: Link, method: str, headers: list[tuple[str, str]], expected: str
) -> None:
    """The request's class goes with the click, and with it the rule that decided and the version of the rules."""
    await public.ask(method, public.path(link), *headers)

    (entry,) = await public.clicks()
    assert entry["class"] == expected
    assert entry["rule"]
    assert int(entry["rules"]) >= 1


async def test_aggregate_campaign_tells_visitors_apart_for_a_day(public: PublicPort, link: Link) -> None:
    """The same browser has the same visitor hash on the same day, another browser has another."""
    first = await public.click(link, *BROWSER)
    again = await public.click(link, *BROWSER)
    other = await public.click(link, ("User-Agent", AGENT.replace("140", "139")))

    assert first["visitor"] == again["visitor"] != other["visitor"]
    assert "recipient" not in first


async def test_individual_campaign_records_the_recipients_token(public: PublicPort) -> None:
    """With consent, a click on a recipient's URL carries the token, not the mailing tool's id, and no visitor."""
    link = await personal_link(public)

    entry = await public.click(link, *BROWSER, recipient="reader-1@example.org")

    assert entry["recipient"] == str(public.codes.recipient_token("reader-1@example.org"))
    assert "visitor" not in entry
    assert "reader-1" not in " ".join(entry.values())


async def test_individual_campaign_shared_url_records_a_visitor(public: PublicPort) -> None:
    """A click on the URL that is the same for everybody has no recipient to record."""
    entry = await public.click(await personal_link(public), *BROWSER)

    assert entry["visitor"]
    assert "recipient" not in entry


async def test_recipient_is_not_recorded_without_consent(public: PublicPort, link: Link) -> None:
    """A code with a recipient in it, on a campaign that counts in aggregate, records none."""
    entry = await public.click(link, *BROWSER, recipient="reader-1")

    assert "recipient" not in entry
    assert entry["visitor"]


@pytest.mark.parametrize("objection", [("Sec-GPC", "1"), ("DNT", "1")], ids=["Sec-GPC", "DNT"])
async def test_objection_leaves_neither_recipient_nor_visitor(public: PublicPort, objection: tuple[str, str]) -> None:
    """A reader whose browser objects is counted for the topic, and nothing else about them is kept."""
    entry = await public.click(await personal_link(public), *BROWSER, objection, recipient="reader-1")

    assert set(entry) == ALWAYS


async def test_day_without_a_salt_has_no_visitors(public: PublicPort, link: Link) -> None:
    """On a day whose salt is not known, clicks are recorded without a visitor."""
    public.clock.now += 3 * 24 * 3600 * 1000

    entry = await public.click(link, *BROWSER)

    assert "visitor" not in entry


async def test_reader_may_come_over_ipv6(store_url: str, keys: Keys) -> None:
    """A reader's IPv6 address is no different: it makes a visitor, and is not written."""
    async with public_port(store_url, keys, host="::1") as public:
        entry = await public.click(await public.link(), *BROWSER)

    assert entry["visitor"]
    assert "::1" not in " ".join(entry.values())


async def test_click_that_cannot_be_made_keeps_no_reader(
    store_url: str, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that nobody foresaw costs that click, which is counted as lost; its reader is sent on."""

    def no_id() -> str:
        raise OverflowError

    before = lost("failed")
    async with public_port(store_url, keys, click_ids=no_id) as public:
        reply = await public.get(public.path(await public.link("https://www.example.com/offer")), *BROWSER)

        assert await public.clicks() == []
    assert (reply.status, reply.header("location")) == (302, b"https://www.example.com/offer")
    assert lost("failed") == before + 1
    assert any(said.startswith("1 click is lost: OverflowError in ") for said in caplog.messages)
