"""`/privacy` and `/privacy/{code}`: what readers are told. Nothing that they look at records or changes anything."""

import re
from html import unescape

import pytest

from redirector.destinations import Destination
from redirector.ledger import ledger
from redirector.limits import Limiter
from redirector.links import Tracking
from redirector.store.keys import Keys
from redirector.web import pages
from redirector.web.privacy import as_browsers_read
from tests.builders import NOON
from tests.web.ports import POLICY, PublicPort, public_port, settings_for
from tests.web.sockets import Reply

GPC = ("Sec-GPC", "1")
DNT = ("DNT", "1")


def words(reply: Reply) -> str:
    """What a reader sees of a page, in one line."""
    html = re.sub(r"<style>.*?</style>", "", reply.body.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


async def link_page(public: PublicPort, code: str, *headers: tuple[str, str]) -> Reply:
    """The page about a link."""
    return await public.get(f"/privacy/{code}", *headers)


def is_safe(reply: Reply) -> bool:
    """Whether a page can be neither kept, nor framed, nor made to do anything but send a form to where it is from."""
    policy = (reply.header("content-security-policy") or b"").decode()
    (style,) = re.findall(r"style-src ([^;]*);", policy)
    names = {name for name, _ in reply.headers}
    return (
        policy == f"default-src 'none'; style-src {style}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        and re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='( 'sha256-[A-Za-z0-9+/]{43}=')?", style) is not None
        and reply.header("cache-control") == b"no-store"
        and reply.header("referrer-policy") == b"no-referrer"
        and reply.header("x-robots-tag") == b"noindex, nofollow"
        and reply.header("x-content-type-options") == b"nosniff"
        and b"set-cookie" not in names
        and b"<script" not in reply.body.lower()
    )


async def test_everything_that_is_kept_is_told(public: PublicPort, store_url: str) -> None:
    """Each place and each field of the ledger stands in the page, with how long it is kept and where it goes."""
    reply = await public.get("/privacy")

    text = words(reply)
    places = ledger(settings_for(store_url, public.keys))
    assert reply.status == 200
    assert is_safe(reply)
    of_places = {
        f"{place.name} {place.about} Kept for: {place.kept_for}. Where it goes: {place.goes_to}" for place in places
    }
    assert [each for each in sorted(of_places) if each not in text] == []
    told = {f"{field.name} {field.what} {field.why}" for place in places for field in place.fields}
    assert [each for each in sorted(told) if each not in text] == []


async def test_operator_is_named(store_url: str, keys: Keys) -> None:
    """The page names the operator as the settings do, with links to contact and policy."""
    async with public_port(
        store_url,
        keys,
        operator_name="Lakeshore <Energy>",
        operator_contact="privacy@lakeshore.example",
        operator_policy_url="https://www.lakeshore.example/privacy?a=1&b=2",
    ) as port:
        pages_of = [await port.get("/privacy"), await link_page(port, port.code(await port.link()))]

    for reply in pages_of:
        assert "Operator Lakeshore <Energy> Contact privacy@lakeshore.example Privacy policy https://" in words(reply)
        assert b'href="mailto:privacy@lakeshore.example"' in reply.body
        assert b'href="https://www.lakeshore.example/privacy?a=1&amp;b=2"' in reply.body
        assert b"does not say who operates it" not in reply.body


async def test_contact_may_be_a_page(store_url: str, keys: Keys) -> None:
    """A contact that is an address on the web is linked as it is."""
    async with public_port(store_url, keys, operator_contact="https://www.lakeshore.example/contact") as port:
        reply = await port.get("/privacy")

    assert b'<a href="https://www.lakeshore.example/contact">' in reply.body


async def test_nameless_operator_is_said_to_be_one(public: PublicPort) -> None:
    """Without an operator's name the page says that it is missing."""
    assert "This server does not say who operates it." in words(await public.get("/privacy"))


async def test_honeypot_says_that_it_is_one(public: PublicPort) -> None:
    """Its page says that no reader sees it, and what becomes of clicks around it; other pages say nothing of that."""
    hidden, seen = await public.link(honeypot=True), await public.link()

    page, of_other = [words(await link_page(public, public.code(link))) for link in (hidden, seen)]
    objecting = words(await link_page(public, public.code(hidden), GPC))

    assert "No reader can see this link in the mail." in page
    assert "from the same address and browser within ten seconds of it." in page
    assert "within ten seconds" not in objecting
    assert "No reader can see" not in of_other


async def test_link_is_told_before_it_is_followed(public: PublicPort) -> None:
    """The page shows the destination with its host apart, the mailing, topics and label, the twin and both forms."""
    link = await public.link("https://www.example.com:8443/a?b=%20c#d", topics=("solar", "billing"), label="Top button")
    code = public.code(link)

    reply = await link_page(public, code)

    text = words(reply)
    assert reply.status == 200
    assert is_safe(reply)
    assert b"https://<strong>www.example.com:8443</strong>/a?b=%20c#d" in reply.body
    assert f"Mailing {public.name} Topics solar, billing Label Top button" in text
    assert f'href="/d/{code}"'.encode() in reply.body
    assert re.findall(rb'<form method="(\w+)" action="([^"]*)"', reply.body) == [
        (b"post", f"/privacy/{code}/opt-out".encode()),
        (b"post", f"/privacy/{code}/erase".encode()),
    ]


async def test_host_of_another_script_is_told_as_browsers_go_there(public: PublicPort) -> None:
    """A host that only looks like another one shows as the ASCII that it is."""
    link = await public.link("https://www.exаmple.com/")  # the a is Cyrillic  # noqa: RUF001

    assert b"<strong>www.xn--exmple-4nf.com</strong>" in (await link_page(public, public.code(link))).body


READ = [
    ("HTTPS://Example.COM:443/a/../b?c#d", ("https://", "example.com", "/b?c#d")),
    ("https://good.example@evil.example/", ("https://", "evil.example", "/")),
    ("https://evil.example\\@good.example/", ("https://", "evil.example", "/@good.example/")),
    ("https://0x7f.1/", ("https://", "127.0.0.1", "/")),
    ("https://<b>/", ("https://<b>/", "", "")),
]


@pytest.mark.parametrize(("sent", "read"), READ, ids=[row[0] for row in READ])
def test_destination_is_told_as_browsers_read_it(sent: str, read: tuple[str, str, str]) -> None:
    """Also one that would never have been minted, but got into the store some other way."""
    assert as_browsers_read(Destination(sent, sent)) == read


FIELDS = [
    ("a link for everybody", False, (), {"visitor", "client", "lang"}, {"recipient"}),
    ("a link for one reader", True, (), {"recipient", "client", "lang"}, {"visitor"}),
    ("a link for everybody, GPC", False, (GPC,), {"class"}, {"visitor", "client", "lang", "recipient"}),
    ("a link for one reader, DNT", True, (DNT,), {"class"}, {"visitor", "client", "lang", "recipient"}),
]


@pytest.mark.parametrize("case", FIELDS, ids=[row[0] for row in FIELDS])
async def test_fields_are_those_of_a_click(
    public: PublicPort, case: tuple[str, bool, tuple[tuple[str, str], ...], set[str], set[str]]
) -> None:
    """What the page says a click records is what a click of the same reader then has on the stream."""
    _, individual, headers, kept, spared = case
    if individual:
        await public.campaign(tracking=Tracking.INDIVIDUAL, consent="sign-up form of 2026")
    link = await public.link()
    recipient = "reader-7" if individual else ""
    browser = (("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"),
               ("Accept-Language", "de"), ("Referer", "https://mail.example.org/x"))  # fmt: skip

    reply = await link_page(public, public.code(link, recipient), *headers)
    click = await public.click(link, *browser, *headers, recipient=recipient)

    told = set(re.findall(r"<code>(\w+)</code></th>", reply.body.decode()))
    assert kept <= told
    assert not spared & told
    assert set(click) == told
    assert ("Your browser asks not to be tracked." in words(reply)) == bool(headers)
    assert ("as recorded under sign-up form of 2026" in words(reply)) == individual


async def test_looking_records_nothing(public: PublicPort) -> None:
    """No page, by GET or HEAD, known code or not, leaves a click."""
    code = public.code(await public.link())
    for method in ("GET", "HEAD"):
        for path in ("/privacy", f"/privacy/{code}", f"/privacy/{code}x"):
            await public.ask(method, path)

    assert await public.clicks() == []


UNKNOWN = ["", "x", "%00", "..", "x/y", "x" * 5_000, "<script>alert(1)</script>", "%3Cscript%3E"]


@pytest.mark.parametrize("code", UNKNOWN, ids=[each[:20] or "empty" for each in UNKNOWN])
async def test_unknown_code_is_not_found(public: PublicPort, code: str) -> None:
    """A code that was never made answers 404 and repeats nothing of it."""
    reply = await link_page(public, code)

    assert reply.status == 404
    assert reply.body in {pages.UNKNOWN, pages.NOT_FOUND}
    assert is_safe(reply)


async def test_escaped_code_is_another_code(public: PublicPort) -> None:
    """As with a redirect, the code is read as it was sent: with a character escaped it is unknown."""
    code = public.code(await public.link())

    assert (await link_page(public, f"%{ord(code[0]):02X}{code[1:]}")).body == pages.UNKNOWN


async def test_link_that_is_gone_still_tells(public: PublicPort) -> None:
    """A link that was disabled or has expired leads nowhere, and says so; opting out and erasing stay possible."""
    link = await public.link(expires_at=NOON)

    reply = await link_page(public, public.code(link))

    assert reply.status == 200
    assert "It is no longer in use, and leads nowhere." in words(reply)
    assert b"/d/" not in reply.body
    assert reply.body.count(b"<form ") == 2


async def test_link_that_is_gone_tells_of_its_fallback(public: PublicPort) -> None:
    """Where a link that is gone leads to its mailing's fallback, that is told."""
    await public.campaign(fallback_url=POLICY.accept("https://shop.example.com/over"))
    link = await public.link(disabled=True)

    reply = await link_page(public, public.code(link))

    assert "no longer in use. Whoever opens it is sent to:" in words(reply)
    assert b"<strong>shop.example.com</strong>/over" in reply.body
    assert "What a click on it records Nothing." in words(reply)


@pytest.mark.parametrize("recipient", ["", "reader-who-left"], ids=["a link for everybody", "a link for one reader"])
async def test_who_opted_out_is_told_so(public: PublicPort, recipient: str) -> None:
    """After a reader has opted out, the page says that a click of theirs records nothing; others see no such thing."""
    code = public.code(await public.link(), recipient)
    browser = ("User-Agent", f"A browser that nobody else has {recipient}")
    before = words(await link_page(public, code, browser))
    await public.ask("POST", f"/privacy/{code}/opt-out", browser)

    after = words(await link_page(public, code, browser))

    assert "You have opted out" not in before
    assert "You have opted out: a click of yours on this link records nothing." in after


async def test_who_tries_codes_is_told_to_wait(store_url: str, keys: Keys) -> None:
    """Trying codes here counts as trying them as links; pages of links that there are go on being shown."""
    async with public_port(store_url, keys, unknown_codes=Limiter(per_second=0.1, burst=2)) as port:
        code = port.code(await port.link())
        statuses = [(await port.get(path)).status for path in ("/c/x", "/privacy/x", "/privacy/x", "/c/x")]
        refused = await link_page(port, "y")
        known = await link_page(port, code)

    assert statuses == [404, 404, 429, 429]
    assert (refused.status, refused.header("retry-after"), refused.body) == (429, b"10", pages.TOO_MANY)
    assert known.status == 200


HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}'`"


async def test_what_the_sender_wrote_is_text(public: PublicPort) -> None:
    """Markup in a campaign's name, a label, a consent and a destination shows as it was written, and is no markup."""
    public.name += " <img src=x onerror=alert(1)>"
    await public.campaign(tracking=Tracking.INDIVIDUAL, consent=HOSTILE)
    link = await public.link("https://www.example.com/?q=<script>alert(1)</script>", label=HOSTILE)

    reply = await link_page(public, public.code(link, "reader-7"))

    assert reply.status == 200
    assert is_safe(reply)
    assert b"<img" not in reply.body
    assert words(reply).count(HOSTILE) == 2
    assert public.name in words(reply)
