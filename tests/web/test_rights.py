"""What a reader may ask for by the code of a link: it is done when the page says so, and only a POST does it."""

from collections.abc import AsyncIterator, Callable

import pytest
from prometheus_client import REGISTRY

from redirector.clickers import DAY_MS, day_of, visitor
from redirector.limits import Limiter
from redirector.links import Tracking
from redirector.metrics import hand_on
from redirector.store.audit import Audit
from redirector.store.erasures import Erasures
from redirector.store.keys import Keys
from redirector.store.salts import DailySalt
from tests.builders import NOON
from tests.conftest import short_directory
from tests.store.stores import kill, own_store, until
from tests.web.ports import PublicPort, public_port
from tests.web.sockets import Reply, exchange, parsed

FIREFOX = ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0")
EDGE = ("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0")
SAFARI = (
    "User-Agent",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1",
)
ACTS = ["opt-out", "erase"]


def address(code: str, act: str = "opt-out") -> str:
    """Where a reader asks for it."""
    return f"/privacy/{code}/{act}"


async def opt_out(public: PublicPort, code: str, *headers: tuple[str, str]) -> Reply:
    """A reader presses the button."""
    return await public.ask("POST", address(code), *headers)


async def recorded(public: PublicPort, path: str, *headers: tuple[str, str]) -> bool:
    """Whether anything is recorded of a reader who follows the link; they arrive in any case."""
    before = len(await public.clicks())
    assert (await public.get(path, *headers)).status == 302
    return len(await public.clicks()) > before


class TestOptingOut:
    async def test_nothing_is_recorded_of_a_recipient_any_more(self, public: PublicPort) -> None:
        """In whichever campaign, by whatever link: the token is the same in all mails. Others are recorded."""
        await public.campaign(tracking=Tracking.INDIVIDUAL, consent="CRM, field 7")
        link, other = await public.link(), await public.link("https://www.example.com/other")
        before = await recorded(public, public.path(link, "ann"))
        reply = await opt_out(public, public.code(link, "ann"))

        assert (before, reply.status) == (True, 200)
        assert b"nothing is recorded" in reply.body
        assert b"for good" in reply.body
        assert [await recorded(public, public.path(each, "ann")) for each in (link, other)] == [False, False]
        assert await recorded(public, public.path(link, "bob"))

    async def test_in_another_campaign_too(self, public: PublicPort) -> None:
        """A code of another campaign, sent long ago, carries the same token."""
        await public.campaign(tracking=Tracking.INDIVIDUAL, consent="CRM, field 7")
        link = await public.link()
        later = await public.for_a_test()
        await later.campaign(tracking=Tracking.INDIVIDUAL, consent="CRM, field 7")
        other = await later.link()
        await opt_out(public, public.code(link, "cid"))

        assert not await recorded(later, later.path(other, "cid"))

    async def test_a_code_for_everybody_stands_for_the_browser_of_today(self, public: PublicPort) -> None:
        """The same address and browser is not recorded until the day ends; another browser is, and says so honestly."""
        link = await public.link()
        reply = await opt_out(public, public.code(link), FIREFOX)

        assert reply.status == 200
        assert b"until midnight" in reply.body
        assert b"Global Privacy Control" in reply.body
        assert not await recorded(public, public.path(link), FIREFOX)
        assert await recorded(public, public.path(link), SAFARI)
        public.clock.now += DAY_MS
        assert await recorded(public, public.path(link), FIREFOX)

    async def test_probes_leave_nothing_either(self, public: PublicPort) -> None:
        """A HEAD of one who opted out is answered as ever, and not recorded."""
        await public.campaign(tracking=Tracking.INDIVIDUAL, consent="CRM, field 7")
        link = await public.link()
        await opt_out(public, public.code(link, "dan"))
        reply = await public.ask("HEAD", public.path(link, "dan"))

        assert (reply.status, await public.clicks()) == (302, [])

    async def test_the_outcome_is_counted_and_names_nobody(self, public: PublicPort) -> None:
        """How many clicks of those who opted out there were is known, and nothing more."""

        def count() -> float:
            hand_on()
            return REGISTRY.get_sample_value("redirector_redirects_total", {"outcome": "opted_out"}) or 0.0

        await public.campaign(tracking=Tracking.INDIVIDUAL, consent="CRM, field 7")
        link = await public.link()
        await opt_out(public, public.code(link, "eve"))
        before = count()
        await public.get(public.path(link, "eve"))

        assert count() == before + 1

    async def test_it_is_said_for_how_long(self, store_url: str, keys: Keys) -> None:
        """Where opt-outs end, the page says when."""
        async with public_port(store_url, keys, privacy_opt_out_days=90) as port:
            await port.campaign(tracking=Tracking.INDIVIDUAL, consent="CRM, field 7")
            reply = await opt_out(port, port.code(await port.link(), "ann"))

        assert b"for 90 days" in reply.body


class TestErasing:
    async def test_a_recipient_is_erased_up_to_now(self, public: PublicPort) -> None:
        """What the code stands for is to be erased up to this moment."""
        await public.campaign(tracking=Tracking.INDIVIDUAL, consent="CRM, field 7")
        link = await public.link()
        reply = await public.ask("POST", address(public.code(link, "zoe"), "erase"))
        token = public.codes.recipient_token("zoe")

        assert b"Every click of yours" in reply.body
        assert (await Erasures(public.redis, public.keys).waiting())[token] == NOON

    async def test_no_post_of_a_reader_is_in_the_audit(self, public: PublicPort) -> None:
        """With one code anybody could push all else out of it."""
        code = public.code(await public.link(), "abe")
        statuses = [(await public.ask("POST", address(code, "erase"))).status for _ in range(3)]

        assert statuses == [200] * 3
        assert await Audit(public.redis, public.keys).since(0) == []

    async def test_a_code_for_everybody_stands_for_the_browser_of_today(self, public: PublicPort) -> None:
        """The same address and browser is to be erased, and the page says that it can be no more."""
        link = await public.link()
        click = await public.click(link, EDGE)
        reply = await public.ask("POST", address(public.code(link), "erase"), EDGE)
        today = visitor(NOON // DAY_MS, int(click["visitor"]))
        before = await Erasures(public.redis, public.keys).waiting()
        await DailySalt(public.redis, public.keys).refresh(NOON - DAY_MS, lambda: b"yesterday's salt, in thirty bytes")
        await public.ask("POST", address(public.code(link), "erase"), EDGE)
        added = (await Erasures(public.redis, public.keys).waiting()).keys() - before.keys()

        assert b"Earlier clicks cannot be found" in reply.body
        assert before[today] == NOON
        assert [day_of(each) for each in added] == [NOON // DAY_MS - 1]


class TestAsking:
    @pytest.mark.parametrize("act", ACTS)
    async def test_asking_again_changes_nothing(self, public: PublicPort, act: str) -> None:
        """A button that is pressed twice answers the same."""
        code = public.code(await public.link(), "fay")
        first, second = [await public.ask("POST", address(code, act)) for _ in range(2)]

        assert first.status == 200
        assert first.timeless == second.timeless

    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
    async def test_only_a_post_does_it(self, public: PublicPort, method: str, act: str) -> None:
        """Scanners follow links: whatever is not a POST is refused, and changes nothing."""
        await public.campaign(tracking=Tracking.INDIVIDUAL, consent="CRM, field 7")
        link = await public.link()
        reply = await public.ask(method, address(public.code(link, "gil"), act))

        assert (reply.status, reply.header("allow")) == (405, b"POST")
        assert await recorded(public, public.path(link, "gil"))

    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize(
        "spoiled",
        [
            pytest.param(lambda code: code[:-1] + ("a" if code[-1] != "a" else "b"), id="altered"),
            pytest.param(lambda code: "%" + f"{ord(code[0]):02X}" + code[1:], id="percent-encoded"),
            pytest.param(lambda code: code + "%00", id="NUL"),
            pytest.param(lambda code: code + "%2F", id="slash"),
            pytest.param(lambda code: code.upper(), id="capitals"),
            pytest.param(lambda _: "x" * 20_000, id="endless"),
            pytest.param(lambda _: "%F0%9F%8E%89", id="emoji"),
            pytest.param(lambda _: "%FF%FE", id="not UTF-8"),
            pytest.param(lambda _: "..", id="dots"),
        ],
    )
    async def test_an_unknown_code_is_nobody(self, public: PublicPort, spoiled: Callable[[str], str], act: str) -> None:
        """Codes that are none get the page of unknown links, word for word, and nobody is opted out."""
        unknown = await public.get("/c/nothing")
        known = len(public.replica.opted_out)
        reply = await public.ask("POST", address(spoiled(public.code(await public.link(), "hal")), act))

        assert reply.status == 404
        assert (reply.body == unknown.body) or b"There is nothing here" in reply.body
        assert len(public.replica.opted_out) == known

    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize(
        "path", ["/privacy%2FCODE%2FACT", "/privacy/CODE%2FACT", "//privacy/CODE/ACT", "/privacy/CODE/ACT/"]
    )
    async def test_other_spellings_of_the_address_are_unknown(self, public: PublicPort, path: str, act: str) -> None:
        """An address that is nearly right answers 404, and is no trouble."""
        code = public.code(await public.link(), "ida")

        assert (await public.ask("POST", path.replace("CODE", code).replace("ACT", act))).status == 404

    @pytest.mark.parametrize("act", ACTS)
    async def test_a_code_of_no_link_is_unknown(self, public: PublicPort, act: str) -> None:
        """A number that was never given out has no clicks."""
        reply = await public.ask("POST", address(public.codes.encode(2**40, 5), act))

        assert reply.status == 404

    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize(
        "rest",
        [
            pytest.param(b"Content-Length: 0\r\n\r\n", id="none"),
            pytest.param(b"Content-Type: application/json\r\nContent-Length: 5\r\n\r\n{{{{{", id="broken JSON"),
            pytest.param(b"Content-Type: \xff\r\nContent-Length: 3\r\n\r\n\0\0\0", id="odd type"),
            pytest.param(b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", id="chunked"),
            pytest.param(b"Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n", id="announced and never sent"),
        ],
    )
    async def test_whatever_it_brings_is_not_read(self, public: PublicPort, rest: bytes, act: str) -> None:
        """The address says everything; a body of any kind, or one that never comes, is not waited for."""
        path = address(public.code(await public.link(), "jim"), act)
        head = f"POST {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n".encode()
        reply = parsed(await exchange(public.address, head + rest))

        assert reply.status == 200
        assert b"evil" not in reply.body

    @pytest.mark.parametrize("act", ACTS)
    async def test_answers_are_as_private_as_links(self, public: PublicPort, act: str) -> None:
        """Nothing caches them, nothing indexes them, and no cookie comes with them."""
        reply = await public.ask("POST", address(public.code(await public.link(), "kai"), act))
        names = dict(reply.headers)

        assert names[b"cache-control"] == b"no-store"
        assert names[b"referrer-policy"] == b"no-referrer"
        assert b"set-cookie" not in names


class TestAskingMuch:
    async def test_an_address_has_to_wait(self, store_url: str, keys: Keys) -> None:
        """Beyond so many a minute, by either button, the answer is 429 and when to come again; nothing is done."""
        limiter = Limiter(per_second=2 / 60, burst=2)
        async with public_port(store_url, keys, privacy_requests=limiter) as port:
            link = await port.link()
            asked = [await port.ask("POST", address(port.code(link, "ann"), act)) for act in ACTS]
            refused = await opt_out(port, port.code(link, "bob"))
            opted_out = len(port.replica.opted_out)
            followed = await port.get(port.path(link))
            port.clock.now += 30_000
            later = await opt_out(port, port.code(link, "bob"))

        assert [reply.status for reply in asked] == [200, 200]
        assert (refused.status, refused.header("retry-after")) == (429, b"30")
        assert b"Nothing was changed" in refused.body
        assert opted_out == 1
        assert (followed.status, later.status) == (302, 200)

    @pytest.mark.parametrize("act", ACTS)
    async def test_visitors_fill_no_store(
        self, store_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch, act: str
    ) -> None:
        """So many visitors have room, and may ask again; one more is told to come tomorrow, and recipients never."""
        monkeypatch.setattr("redirector.store.people.MOST_VISITORS", 1)
        monkeypatch.setattr("redirector.store.erasures.MOST", 1)
        async with public_port(store_url, keys) as port:
            link = await port.link()
            path = address(port.code(link), act)
            known = [(await port.ask("POST", path, FIREFOX)).status for _ in range(2)]
            refused = await port.ask("POST", path, SAFARI)
            recipient = await port.ask("POST", address(port.code(link, "ann"), act))

        assert (known, refused.status, recipient.status) == ([200, 200], 503, 200)
        assert refused.header("retry-after") == b"86400"
        assert b"try again tomorrow" in refused.body


@pytest.fixture
async def mortal(keys: Keys) -> AsyncIterator[tuple[PublicPort, Callable[[], None]]]:
    """The public port over a store of its own, and how to kill that."""
    with short_directory() as directory, own_store("valkey", directory) as url:
        async with public_port(url, keys, deadline_seconds=0.2) as port:
            await port.campaign(tracking=Tracking.INDIVIDUAL, consent="CRM, field 7")
            yield port, lambda: kill(url)


Mortal = tuple[PublicPort, Callable[[], None]]


class TestWithoutTheStore:
    async def test_an_opt_out_holds(self, mortal: Mortal) -> None:
        """The store is dead, and still nothing is recorded of who opted out: nothing waits on the disk either."""
        public, kill_store = mortal
        link = await public.link()
        await opt_out(public, public.code(link, "ann"))
        await opt_out(public, public.code(link), FIREFOX)
        await until(lambda: public.replica.known(link.number))
        kill_store()

        replies = [await public.get(public.path(link, "ann")), await public.get(public.path(link), FIREFOX)]
        assert [reply.status for reply in replies] == [302, 302]
        assert public.recorder._spool.clicks == 0
        await public.get(public.path(link, "bob"), SAFARI)
        assert public.recorder._spool.clicks == 1

    @pytest.mark.parametrize("act", ACTS)
    async def test_nothing_is_promised(self, mortal: Mortal, act: str) -> None:
        """What the store does not take is not done: 503, and when to try again."""
        public, kill_store = mortal
        link = await public.link()
        await until(lambda: public.replica.known(link.number))
        kill_store()

        reply = await public.ask("POST", address(public.code(link, "ann"), act))

        assert reply.status == 503
        assert int(reply.header("retry-after") or b"0") > 0
        assert b"try again" in reply.body
        assert not public.replica.opted_out
