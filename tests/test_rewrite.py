"""From a mail to a mail with tracked links, over a real store."""

import asyncio
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from redirector.codes import Codes
from redirector.destinations import DestinationPolicy
from redirector.errors import BodyTooLarge, InvalidDestination, RedirectorError, UnreadableMail
from redirector.links import Link
from redirector.mint import TrackedURLs, mint
from redirector.rewrite import MAX_LINKS_A_MAIL, Action, Rewritten, Wishes, rewrite
from redirector.store.keys import Keys
from redirector.store.links import Links, Minted
from tests.builders import NOON, SECRET, a_link

NEWSLETTER = Path(__file__).parent / "data" / "emails" / "lakeshore-energy-news.html"
POLICY = DestinationPolicy(own_hosts=frozenset({"news.example.com"}))
URLS = TrackedURLs("https://news.example.com", Codes(SECRET))
NEWS = Wishes(campaign="news", topics=("news",))


class Rewriter:
    """Rewrites over one store."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.links = Links(redis, keys)

    async def __call__(self, mail: bytes, wishes: Wishes = NEWS, *, topics_max: int = 20) -> Rewritten:
        """The mail with its links tracked."""
        minting = partial(mint, self.links, topics_max=topics_max, now=NOON)
        return await rewrite(mail, wishes, policy=POLICY, urls=URLS, mint=minting, now=NOON)

    async def minted(self) -> list[Link]:
        """What is in the store."""
        return [link async for link in self.links.of_campaign("news")]


@pytest.fixture
def rewriter(redis: Redis, keys: Keys) -> Rewriter:
    """Over the shared store."""
    return Rewriter(redis, keys)


async def dry(mail: bytes, wishes: Wishes = NEWS) -> Rewritten:
    """What would become of the mail."""
    return await rewrite(mail, wishes, policy=POLICY, urls=URLS, mint=None, now=NOON)


def anchor(url: str, attributes: str = "") -> bytes:
    """A link in a mail."""
    return f'<a href="{url}"{attributes}>x</a>'.encode()


async def test_same_destination_and_topics_are_one_link(rewriter: Rewriter) -> None:
    """A mail that names a destination twice has one link, and the same tracked URL twice."""
    mail = anchor("https://www.example.com/a") + anchor("https://www.example.com/a", ' data-topic="news"')

    rewritten = await rewriter(mail)

    assert len(await rewriter.minted()) == 1
    assert rewritten.links[0].url == rewritten.links[1].url


async def test_same_destination_with_other_topics_is_another_link(rewriter: Rewriter) -> None:
    """What a click says about its reader's interest depends on the topics."""
    mail = anchor("https://www.example.com/a") + anchor("https://www.example.com/a", ' data-topic="solar"')

    await rewriter(mail)

    assert [link.topics for link in await rewriter.minted()] == [("news",), ("solar",)]


async def test_refused_link_is_left_with_its_reason(rewriter: Rewriter) -> None:
    """A link that may not lead there stays as it is, and the rest is tracked."""
    bad, good = anchor("https://user@www.example.com/"), anchor("https://www.example.com/")

    rewritten = await rewriter(bad + good)

    assert [(link.action, link.reason) for link in rewritten.links] == [
        (Action.REFUSED, "userinfo"),
        (Action.TRACKED, ""),
    ]
    assert "user@www.example.com" in rewritten.links[0].detail
    assert rewritten.mail.startswith(bad)


async def test_link_whose_topic_finds_no_room_is_left(rewriter: Rewriter) -> None:
    """Of two topics with room for one, the second link is refused by the store, and says so."""
    mail = anchor("https://www.example.com/1", ' data-topic="one"') + anchor(
        "https://www.example.com/2", ' data-topic="two"'
    )

    rewritten = await rewriter(mail, topics_max=1)

    assert [(link.action, link.reason) for link in rewritten.links] == [
        (Action.TRACKED, ""),
        (Action.REFUSED, "too_many_topics"),
    ]
    assert b'href="https://www.example.com/2"' in rewritten.mail


async def test_skipped_link_says_why() -> None:
    """What is not to be tracked is left, with a word and a sentence."""
    (link,) = (await dry(anchor("mailto:a@b.example"))).links

    assert (link.action, link.reason, link.url) == (Action.SKIPPED, "other-scheme", None)
    assert link.detail


async def test_link_with_an_expiry_is_tracked(rewriter: Rewriter) -> None:
    """A link that was minted with an end is the mail's link too."""
    (link,) = (await mint(rewriter.links, {0: a_link(expires_at=NOON + 1)}, topics_max=9, now=NOON)).values()

    (found,) = (await rewriter(anchor(a_link().destination.stored), Wishes("news", ("solar",)))).links

    assert isinstance(link, Minted)
    assert (found.action, found.url) == (Action.TRACKED, URLS.url(link.link.number))


async def test_disabled_link_is_left_with_the_remedy(rewriter: Rewriter) -> None:
    """A link that leads nowhere any more does not get into a new mail; the detail says how to enable it."""
    mail = anchor("https://www.example.com/")
    await rewriter(mail)
    await rewriter.links.change(1, lambda link: replace(link, disabled=True))

    rewritten = await rewriter(mail)

    assert rewritten.mail == mail
    assert [(link.action, link.reason) for link in rewritten.links] == [(Action.REFUSED, "link_exists")]
    assert "PATCH /v1/links/1" in rewritten.links[0].detail


async def test_dry_run_numbers_its_placeholders() -> None:
    """Codes that do not exist yet are told apart by their place in the mail."""
    mail = anchor("https://www.example.com/1") + anchor("#a") + anchor("https://www.example.com/2")

    rewritten = await dry(mail)

    assert rewritten.mail == (
        anchor("https://news.example.com/c/dry-run-1") + anchor("#a") + anchor("https://news.example.com/c/dry-run-3")
    )
    assert [link.url for link in rewritten.links] == [None, None, None]


async def test_recipient_is_in_every_code(rewriter: Rewriter) -> None:
    """Each tracked URL is the recipient's own."""
    rewritten = await rewriter(anchor("https://www.example.com/"), Wishes("news", recipient="reader-1"))

    (link,) = await rewriter.minted()
    assert rewritten.links[0].url == URLS.url(link.number, "reader-1") != URLS.url(link.number)


async def test_rewritten_mail_is_left_alone(rewriter: Rewriter) -> None:
    """Links that are tracked already are skipped."""
    once = await rewriter(anchor("https://www.example.com/"))

    twice = await rewriter(once.mail)

    assert twice.mail == once.mail
    assert [link.reason for link in twice.links] == ["already-tracked"]


async def test_whole_newsletter(rewriter: Rewriter) -> None:
    """A real newsletter: its tracked URLs put back give the mail byte for byte, and each leads to its destination."""
    mail = NEWSLETTER.read_bytes()

    rewritten = await rewriter(mail)

    minted = {URLS.url(link.number): link for link in await rewriter.minted()}
    tracked = [link for link in rewritten.links if link.action is Action.TRACKED]
    assert len(tracked) > 10
    assert {link.url for link in tracked} == set(minted)
    for link in tracked:
        assert link.url is not None
        assert (minted[link.url].destination.stored, minted[link.url].topics) == (link.destination, link.topics)
        assert rewritten.mail.count(link.url.encode()) == [each.url for each in tracked].count(link.url)
    assert len(rewritten.mail) - len(mail) == sum(len(link.url or "") for link in tracked) - await replaced_bytes(mail)
    assert {link.reason for link in rewritten.links} >= {"", "template", "no-track", "other-scheme", "fragment"}


async def replaced_bytes(mail: bytes) -> int:
    """How many bytes the targets of a mail's trackable links take."""
    from redirector.emails import find_links

    return sum(link.end - link.start for link in find_links(mail) if link.skip is None)


POT = replace(NEWS, honeypot="https://www.example.com/welcome")
HIDDEN = re.compile(rb'<a href="([^"]*)" rel="nofollow" tabindex="-1" aria-hidden="true" style="[^"]*"></a>')


async def test_honeypot_is_planted(rewriter: Rewriter) -> None:
    """One more link, without topics, at the mail's end; nothing else differs from the mail without it."""
    mail = b"<body>" + anchor("https://www.example.com/") + b"</body></html>"
    plain = await rewriter(mail)

    rewritten = await rewriter(mail, POT)

    seen, hidden = await rewriter.minted()
    (url,) = HIDDEN.findall(rewritten.mail)
    assert url.decode() == URLS.url(hidden.number) == rewritten.links[-1].url
    assert HIDDEN.sub(b"", rewritten.mail) == plain.mail
    assert rewritten.mail.endswith(b'"></a></body></html>')
    assert [(link.action, link.topics) for link in rewritten.links] == [
        (Action.TRACKED, ("news",)),
        (Action.PLANTED, ()),
    ]
    assert (hidden.honeypot, hidden.label, hidden.topics) == (True, "honeypot", ())
    assert hidden.destination.stored == POT.honeypot
    assert not seen.honeypot


async def test_visible_link_to_the_same_place_stays_visible(rewriter: Rewriter) -> None:
    """A reader who follows it is no scanner: the honeypot is another link."""
    rewritten = await rewriter(anchor(POT.honeypot), replace(POT, topics=()))

    assert [link.honeypot for link in await rewriter.minted()] == [False, True]
    assert rewritten.links[0].url != rewritten.links[1].url


@pytest.mark.parametrize("again", [POT, replace(POT, campaign="spring", honeypot="https://www.example.com/other")])
async def test_mail_with_a_honeypot_gets_no_other(rewriter: Rewriter, again: Wishes) -> None:
    """It is known again, also when another one is asked for, and for another campaign."""
    once = await rewriter(b"<body>x</body>", POT)

    twice = await rewriter(once.mail, again)

    assert twice.mail == once.mail
    assert [(link.action, link.reason) for link in twice.links] == [(Action.SKIPPED, "honeypot")]
    assert len(await rewriter.minted()) == 1


async def test_dry_run_shows_the_honeypot() -> None:
    """The place is shown, with a placeholder for the code."""
    rewritten = await dry(b"<body>" + anchor("#top") + b"</body>", POT)

    assert HIDDEN.findall(rewritten.mail) == [b"https://news.example.com/c/dry-run-2"]
    assert [(link.action, link.url) for link in rewritten.links] == [(Action.SKIPPED, None), (Action.PLANTED, None)]


async def test_honeypot_is_the_recipients_own(rewriter: Rewriter) -> None:
    """With a recipient its URL carries their token, as every other one."""
    rewritten = await rewriter(b"", replace(POT, recipient="reader-1"))

    (hidden,) = await rewriter.minted()
    assert rewritten.links[0].url == URLS.url(hidden.number, "reader-1") != URLS.url(hidden.number)


@pytest.mark.parametrize("url", ["ftp://x.example/", "https://news.example.com/c/x", "http://127.0.0.1/", "nonsense"])
async def test_honeypot_must_be_a_destination(rewriter: Rewriter, url: str) -> None:
    """Where no link may lead a honeypot may not either, and then nothing of the mail is minted."""
    with pytest.raises(InvalidDestination) as refused:
        await rewriter(anchor("https://www.example.com/"), replace(POT, honeypot=url))

    assert refused.value.field == "honeypot"
    assert await rewriter.minted() == []


async def test_honeypot_without_a_place_is_refused(rewriter: Rewriter) -> None:
    """A mail that ends within a comment has its links tracked, and the answer says why no honeypot is in it."""
    rewritten = await rewriter(anchor("https://www.example.com/") + b"<!-- and so on", POT)

    assert [(link.action, link.reason) for link in rewritten.links] == [
        (Action.TRACKED, ""),
        (Action.REFUSED, "unreadable_mail"),
    ]
    assert [link.honeypot for link in await rewriter.minted()] == [False]


async def test_disabled_honeypot_is_not_planted(rewriter: Rewriter) -> None:
    """One that leads nowhere any more is refused as every other link."""
    await rewriter(b"", POT)
    await rewriter.links.change(1, lambda link: replace(link, disabled=True))

    rewritten = await rewriter(b"", POT)

    assert rewritten.mail == b""
    assert [(link.action, link.reason) for link in rewritten.links] == [(Action.REFUSED, "link_exists")]


REAL = [pytest.param(path.read_bytes(), id=path.stem) for path in sorted(NEWSLETTER.parent.glob("*.html"))]


@pytest.mark.parametrize("mail", REAL)
async def test_real_mail_with_a_honeypot(rewriter: Rewriter, mail: bytes) -> None:
    """Without its one splice a real mail is the same as one without a honeypot, byte for byte."""
    plain, planted = await rewriter(mail), await rewriter(mail, POT)

    assert len(HIDDEN.findall(planted.mail)) == 1
    assert HIDDEN.sub(b"", planted.mail) == plain.mail
    assert planted.links[:-1] == plain.links


async def test_mail_with_too_many_links_is_refused(rewriter: Rewriter) -> None:
    """10,000 links are the most; of a mail with more, none is minted."""
    most = anchor("https://www.example.com/") * MAX_LINKS_A_MAIL

    assert (await rewriter(most)).mail.count(b"/c/") == MAX_LINKS_A_MAIL
    with pytest.raises(BodyTooLarge, match="more than 10,000 links"):
        await rewriter(most + anchor("https://www.example.com/other"))
    assert len(await rewriter.minted()) == 1


async def test_others_are_answered_while_a_mail_is_rewritten() -> None:
    """The event loop goes on turning while a mail with thousands of links is read and written."""
    turns = 0
    rewriting = asyncio.create_task(dry(anchor("https://www.example.com/") * 2_000))
    while not rewriting.done():
        turns += 1
        await asyncio.sleep(0.001)

    assert (await rewriting).mail.count(b"/c/") == 2_000
    assert turns > 5


async def test_mail_that_cannot_be_read_is_refused() -> None:
    """A mail in a broken encoding is not touched."""
    with pytest.raises(UnreadableMail):
        await dry(b"\xff\xfe<\x00a\x00\x00\xd8<\x00")


PIECES = [b"<a href=", b'"', b"'", b">", b"https://www.example.com/", b"http://", b"&amp;", b"&#", b"data-topic=", b" "]
PIECES += [b"</body>", b"<body>", b"<script>", b"<!--", b"<title>"]
PIECES += [b"<!--[if mso]>", b"-->", b"<meta charset=utf-7>", b"+2AA-", b"</a>", b"\xe4", b"\\", b"\0", b"\xff\xfe"]


@given(
    mail=st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=40).map(b"".join),
    charset=st.none() | st.sampled_from(["utf-8", "utf-16", "utf-7", "iso-2022-jp", "shift_jis", "nonsense"]),
)
async def test_any_bytes_are_a_mail_or_refused(mail: bytes, charset: str | None) -> None:
    """Whatever comes as a mail raises the program's own errors, and nothing else."""
    try:
        rewritten = await dry(mail, Wishes("news", charset=charset))
    except RedirectorError:
        return

    if not any(link.action is Action.TRACKED for link in rewritten.links):
        assert rewritten.mail == mail


@given(
    mail=st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=40).map(b"".join),
    charset=st.none() | st.sampled_from(["utf-8", "utf-16", "utf-7", "iso-2022-jp", "shift_jis", "nonsense"]),
)
async def test_any_mail_gets_one_honeypot_or_none(mail: bytes, charset: str | None) -> None:
    """Whatever the mail is, its own links come out as without a honeypot, and a second rewriting plants none."""
    wishes = replace(POT, charset=charset)
    try:
        plain = await dry(mail, replace(wishes, honeypot=""))
    except RedirectorError:
        return

    *links, last = (once := await dry(mail, wishes)).links
    assert links == plain.links
    if last.action is Action.PLANTED:
        again = (await dry(once.mail, wishes)).links
        assert [link.reason for link in again].count("honeypot") == 1
        assert Action.PLANTED not in {link.action for link in again}
