"""Whether destinations answer, asked of real sites on this machine."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from redirector.ask import Asker
from redirector.check import WINDOW, Checked, Checker, Pace, Verdict, judged, next_hop
from redirector.destinations import DestinationPolicy
from redirector.errors import BrokenDestination, InvalidDestination
from tests.sites import Names, Site, here, site

POLICY = DestinationPolicy(own_hosts=frozenset({"news.example.com"}))
LOCAL: dict[str, list[Sequence[str]]] = {
    name: [["127.0.0.1"]] for name in ("www.example.com", "shop.example.com", "news.example.com")
}


@dataclass
class Time:
    """A clock that moves only when somebody sleeps."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        """The time in seconds."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Moves on by so much."""
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def shop() -> Iterator[Site]:
    """A site."""
    with site() as found:
        yield found


def checker(names: Names | None = None, *, time: Time | None = None, link_seconds: float = 10.0) -> Checker:
    """A checker that reaches the tests' sites, and waits for nothing."""
    time = time or Time()
    asker = Asker(names or Names({**LOCAL}), may_connect=here)
    return Checker(asker, clock=time.clock, sleep=time.sleep, link_seconds=link_seconds)


async def test_page_answers(shop: Site) -> None:
    """A page that answers is asked once, with HEAD."""
    shop.answers("/offer")

    found = await checker().check(shop.url("/offer"), POLICY)

    assert found == Checked(shop.url("/offer"), Verdict.ANSWERS, (shop.url("/offer"),), 200)
    assert shop.lines == ["HEAD /offer"]


async def test_missing_page_is_broken(shop: Site) -> None:
    """Whatever HEAD was refused with, GET decides; the answer says the status."""
    found = await checker().check(shop.url("/nothing"), POLICY)

    assert (found.verdict, found.status, found.reason) == (Verdict.BROKEN, 404, "status")
    assert found.detail == "it answers 404"
    assert shop.lines == ["HEAD /nothing", "GET /nothing"]


@pytest.mark.parametrize("refusal", [403, 404, 405, 500, 501])
async def test_page_that_refuses_head_answers_get(shop: Site, refusal: int) -> None:
    """A server that has no HEAD is no reason to call its pages broken."""
    shop.answers("HEAD /offer", refusal)
    shop.answers("GET /offer", 200, b"page")

    assert (await checker().check(shop.url("/offer"), POLICY)).verdict is Verdict.ANSWERS


async def test_redirects_are_followed(shop: Site) -> None:
    """Redirects of every kind and spelling are followed, to other hosts too; each step is told."""
    shop.answers("/1", 301, location="/2")
    shop.answers("/2", 302, location="3?a=1")
    shop.answers("/3?a=1", 303, location=f"//shop.example.com:{shop.port}/4")
    shop.answers("/4", 307, location=f"HTTP://www.EXAMPLE.com:{shop.port}/ü".encode().decode("latin-1"))
    shop.answers("/%C3%BC", 308, location="?b=2#c")
    shop.answers("/%C3%BC?b=2", 200)

    found = await checker().check(shop.url("/1"), POLICY)

    assert (found.verdict, found.status) == (Verdict.ANSWERS, 200)
    assert found.hops == (
        *(shop.url(path) for path in ("/1", "/2", "/3?a=1")),
        shop.url("/4", "shop.example.com"),
        shop.url("/%C3%BC"),
        shop.url("/%C3%BC?b=2#c"),
    )


async def test_sixth_redirect_is_not_followed(shop: Site) -> None:
    """A loop ends after five redirects."""
    shop.answers("/loop", 302, location="/loop")

    found = await checker().check(shop.url("/loop"), POLICY)

    assert (found.verdict, found.reason) == (Verdict.BROKEN, "redirects")
    assert shop.lines == ["HEAD /loop"] * 6


REFUSED_HOPS = {
    "metadata": ("http://169.254.169.254/latest/meta-data/", "private_address"),
    "metadata in decimal": ("http://2852039166/", "private_address"),
    "metadata in hexadecimal": ("//0xa9fea9fe/", "private_address"),
    "metadata as IPv6": ("http://[fd00:ec2::254]/", "private_address"),
    "metadata mapped": ("http://[::ffff:169.254.169.254]/", "private_address"),
    "metadata by name": ("http://metadata.google.internal/", "local_name"),
    "this machine": ("http://localhost/", "local_name"),
    "this machine in octal": ("http://0177.1/", "private_address"),
    "full-width": ("http://\uff11\uff12\uff17.0.0.1/", "private_address"),
    "ourselves": ("https://news.example.com/c/x", "own_host"),
    "file": ("file:///etc/passwd", "scheme"),
    "gopher": ("gopher://www.example.com:6379/_INFO", "scheme"),
    "script": ("javascript:alert(1)", "scheme"),
    "credentials": ("http://user:word@www.example.com/", "userinfo"),
    "unsubscribes": ("/unsubscribe?u=1", "unsubscribes"),
    "no URL": ("http://[", "redirect"),
}


@pytest.mark.parametrize(("location", "reason"), REFUSED_HOPS.values(), ids=REFUSED_HOPS)
async def test_redirect_to_where_no_link_may_lead_is_refused(shop: Site, location: str, reason: str) -> None:
    """Each step is judged like a destination, and not asked when it is refused."""
    shop.answers("/on", 302, location=location.encode().decode("latin-1"))

    found = await checker().check(shop.url("/on"), POLICY)

    assert (found.verdict, found.reason, found.status) == (Verdict.BROKEN, reason, None)
    assert found.detail.startswith("it redirects to ")
    assert shop.lines == ["HEAD /on"]


async def test_redirect_to_a_name_of_this_machine_is_refused(shop: Site) -> None:
    """A name on the way is looked at like the first one."""
    names = Names({**LOCAL, "inside.example.org": [["10.0.0.7"]]})
    shop.answers("/on", 302, location="http://inside.example.org/")

    found = await checker(names).check(shop.url("/on"), POLICY)

    assert (found.reason, found.hops[-1]) == ("not_public", "http://inside.example.org/")
    assert found.detail == "its host leads to 10.0.0.7, which is no public address"


async def test_redirect_off_the_list_is_refused(shop: Site) -> None:
    """With a list of allowed hosts, a redirect must stay on it."""
    policy = DestinationPolicy(frozenset(), allowed_hosts=("www.example.com",))
    shop.answers("/on", 302, location=shop.url("/", "shop.example.com"))

    assert (await checker().check(shop.url("/on"), policy)).reason == "not_allowed"


async def test_rebound_name_is_not_asked_on_its_second_turn(shop: Site) -> None:
    """A name that turns into an address inside between two requests of one check is refused at the second."""
    names = Names({"www.example.com": [["127.0.0.1"], ["127.0.0.2"]]})  # the one may be asked, the other not
    shop.answers("/1", 302, location="/2")
    shop.answers("/2", 200)

    found = await checker(names).check(shop.url("/1"), POLICY)

    assert (found.reason, found.hops) == ("not_public", (shop.url("/1"), shop.url("/2")))
    assert shop.lines == ["HEAD /1"]


async def test_cookies_are_not_kept(shop: Site) -> None:
    """What a site sets, it never gets back."""
    shop.pages["/1"] = (302, {"location": "/2", "set-cookie": "a=b"}, b"")
    shop.answers("/2", 200)

    await checker().check(shop.url("/1"), POLICY)

    assert not any("cookie" in name.lower() for _, _, headers in shop.asked for name in headers)


async def test_site_that_hangs_is_left(shop: Site) -> None:
    """A link has ten seconds in all, here a tenth of one."""
    found = await checker(link_seconds=0.1).check(shop.url("/hang"), POLICY)

    assert (found.verdict, found.reason) == (Verdict.BROKEN, "timeout")


async def test_seconds_are_for_the_whole_way(shop: Site) -> None:
    """What a step took is not there for the next one; waiting for one's turn takes nothing."""

    class Slow(Asker):
        async def ask(self, *asked: object) -> object:  # type: ignore[override]
            time.now += 4.0
            return await super().ask(*asked)  # type: ignore[arg-type]

    time = Time()
    shop.answers("/loop", 302, location="/loop")
    slow = Checker(Slow(Names({**LOCAL}), may_connect=here), clock=time.clock, sleep=time.sleep)

    found = await slow.check(shop.url("/loop"), POLICY)

    assert found.reason == "timeout"
    assert len(shop.asked) == 3


async def test_host_is_asked_once_a_second(shop: Site) -> None:
    """Requests to one host are a second apart; another host does not wait for it."""
    time = Time()
    shop.answers("/", 200)
    several = checker(time=time)

    for path in ("/?1", "/?2", "/?3"):
        shop.answers(path)
        await several.check(shop.url(path), POLICY)
    await several.check(shop.url("/", "shop.example.com"), POLICY)

    assert time.slept == [0.0, 1.0, 1.0, 0.0]


async def test_host_that_many_wait_for_is_not_asked(shop: Site) -> None:
    """On a server, who comes when a minute of turns is taken is told so, and takes none: no fault of the link's."""
    time = Time()
    asker = Asker(Names({**LOCAL}), may_connect=here)
    busy = Checker(asker, clock=time.clock, sleep=time.sleep, longest_wait=2.0)
    for _ in range(4):
        busy._pace.seconds_until_turn("www.example.com", 0.0)

    found = await busy.check(shop.url("/"), POLICY)
    time.now = 2.0
    again = await busy.check(shop.url("/"), POLICY)

    assert (found.verdict, found.reason) == (Verdict.UNSURE, "busy")
    assert found.refusal("/destination") is None
    assert again.status == 404


async def test_eight_are_asked_at_once() -> None:
    """More than eight wait, whatever their hosts."""
    most = now = 0
    eight = asyncio.Event()

    class Counting(Asker):
        async def ask(self, *_: object) -> object:  # type: ignore[override]
            nonlocal most, now
            now += 1
            most = max(most, now)
            if now == 8:
                eight.set()
            await eight.wait()
            await asyncio.sleep(0)
            now -= 1
            raise BrokenDestination("nobody is there", reason="unreachable")

    urls = [f"https://www{number}.example.com/" for number in range(20)]

    found = [each async for each in Checker(Counting()).each(urls, POLICY)]

    assert most == 8
    assert {each.destination for each in found} == set(urls)


async def test_long_list_is_taken_in_parts() -> None:
    """However many destinations there are, a few hundred are under way at a moment; each is answered."""
    most, before = 0, asyncio.all_tasks()

    class Watching(Asker):
        async def ask(self, *_: object) -> object:  # type: ignore[override]
            nonlocal most
            most = max(most, len(asyncio.all_tasks() - before))
            raise BrokenDestination("nobody is there", reason="unreachable")

    urls = [f"https://www{number}.example.com/" for number in range(3 * WINDOW)]

    found = [each async for each in Checker(Watching()).each(urls, POLICY)]

    assert 8 < most <= WINDOW
    assert sorted(each.destination for each in found) == sorted(urls)


async def test_list_that_is_given_up_leaves_nothing_running() -> None:
    """Who stops listening ends every check that is under way."""

    class Stuck(Asker):
        async def ask(self, _: str, url: str) -> object:  # type: ignore[override]
            if "www0." not in url:
                await asyncio.Event().wait()
            raise BrokenDestination("nobody is there", reason="unreachable")

    before = asyncio.all_tasks()
    answers = Checker(Stuck()).each([f"https://www{number}.example.com/" for number in range(5)], POLICY)
    first = await anext(answers)
    await answers.aclose()  # type: ignore[attr-defined]

    assert first.destination == "https://www0.example.com/"
    assert asyncio.all_tasks() == before


async def test_destination_is_asked_once(shop: Site) -> None:
    """Links that lead to one place are one question."""
    shop.answers("/offer")

    found = [each async for each in checker().each([shop.url("/offer")] * 3, POLICY)]

    assert len(found) == 1
    assert shop.lines == ["HEAD /offer"]


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, "answers"),
        (204, "answers"),
        (300, "broken"),
        (304, "broken"),
        (400, "broken"),
        (401, "unsure"),
        (403, "unsure"),
        (404, "broken"),
        (410, "broken"),
        (429, "unsure"),
        (500, "broken"),
        (503, "broken"),
    ],
)
def test_status_is_judged(status: int, verdict: str) -> None:
    """Sites that shut programs out are not called broken."""
    assert judged(status)[0].value == verdict


def test_broken_one_may_not_be_minted() -> None:
    """The refusal names the field, the status, the URL at the end of the way, and what to do."""
    found = Checked(
        "https://a.example/",
        Verdict.BROKEN,
        ("https://a.example/", "https://b.example/"),
        404,
        "status",
        "it answers 404",
    )

    refusal = found.refusal("/3/destination")

    assert refusal is not None
    assert (refusal.field, refusal.reason, refusal.part) == ("/3/destination", "status", "https://b.example/")
    assert str(refusal).startswith("/3/destination: it answers 404 ('https://b.example/'); open it in a browser")
    assert Checked("https://a.example/", Verdict.UNSURE, (), 403, "shut", "").refusal("") is None


def test_next_step_of_bytes_that_are_no_utf8_is_read() -> None:
    """A Location of any bytes is a URL or a refusal."""
    assert next_hop("https://a.example/", b"/caf\xe9", POLICY) == "https://a.example/caf%C3%A9"
    with pytest.raises(InvalidDestination):
        next_hop("https://a.example/", b"//\xff\xfe@\x01", POLICY)


def test_hosts_whose_turn_is_over_are_forgotten() -> None:
    """A server that checks for years remembers the hosts of the last second."""
    pace = Pace()
    for number in range(5_000):
        pace.seconds_until_turn(f"{number}.example", float(number))

    assert len(pace._turns) <= 1_001


def test_turns_of_a_host_queue_up() -> None:
    """Whoever asks at the same moment gets a turn each."""
    pace = Pace()

    assert [pace.seconds_until_turn("a.example", 5.0) for _ in range(3)] == [0.0, 1.0, 2.0]
    assert pace.seconds_until_turn("b.example", 5.0) == 0.0
