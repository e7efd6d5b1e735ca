"""What the clicks around a click say of it: one reader's clicks in one mail, in, and the rule that decides, out."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector.behaviour import (
    ALL_LINKS,
    BARE_FROM_SERVERS,
    ENOUGH_LINKS,
    FARTHEST_MS,
    KEPT_OF_TWO,
    SECOND_OF_TWO,
    SENT_JUST_NOW,
    SEVERAL_LINKS,
    WHOLE_MAIL,
    WITH_HONEYPOT,
    Mail,
    Seen,
    judge,
)
from redirector.classify import BARE_BROWSER, GATEWAY, HEAD, HONEYPOT, HUMAN, PREFETCH, Rule
from redirector.clicks import CERTAIN, ClickClass
from redirector.gateways import known
from redirector.trails import MOST_NEIGHBOURS, Trails
from tests.builders import NOON, a_click

GATEWAYS = known()
HOLD_MS = 30_000
HOME, OFFICE, SERVERS = "Swisscom (Schweiz) AG", "Zscaler, Inc.", "MICROSOFT-CORP-MSN-AS-BLOCK"
SEVEN = Mail(links=7)


def seen(number: int, after_ms: int = 0, link: int = 1, rule: Rule = HUMAN, **properties: Any) -> Seen:
    """A click so long after noon, the `number`th on the stream, which its request's own rule judged so far."""
    properties = {"isp": HOME, "client": "Firefox", "visitor": "7", **properties}
    click = a_click(number, at=NOON + after_ms, link=link, rule=rule.name, class_=rule.class_, **properties)
    return Seen(f"{click.at}-{number}", click.at, number, click)


def on_links(*links: int, apart_ms: int, **properties: Any) -> list[Seen]:
    """One click on each of these links, so far apart."""
    return [seen(number, number * apart_ms, link, **properties) for number, link in enumerate(links)]


def trailed(clicks: Sequence[Seen]) -> Trails:
    """The clicks of one clicker, which stand in the stream in this order."""
    trails = Trails()
    for click in clicks:
        trails.add(click)
    return trails


def rules_of(clicks: Sequence[Seen], mail: Mail = SEVEN) -> list[Rule | None]:
    """The rule that decides on each of the clicks of one trail."""
    trails = trailed(clicks)
    return [judge(click, trails.around(click, HOLD_MS), mail, GATEWAYS) for click in clicks]


def test_one_click_is_as_its_request_was() -> None:
    """Nothing is around it that could speak against it, or for it."""
    assert rules_of([seen(1)]) == [None]
    assert rules_of([seen(1, rule=BARE_BROWSER)]) == [None]


class TestSeveralLinks:
    @pytest.mark.parametrize(
        ("apart_ms", "expected"),
        [
            pytest.param(0, SEVERAL_LINKS, id="at once"),
            pytest.param(2_000, SEVERAL_LINKS, id="2 s"),
            pytest.param(2_001, None, id="just over 2 s"),
        ],
    )
    def test_two_links(self, apart_ms: int, expected: Rule | None) -> None:
        """Both clicks are suspect, whichever came first."""
        assert rules_of(on_links(1, 2, apart_ms=apart_ms)) == [expected] * 2

    def test_the_same_link(self) -> None:
        """A double click is one reader's, and stays two human clicks."""
        assert rules_of(on_links(1, 1, apart_ms=300)) == [None] * 2

    def test_three_tabs(self) -> None:
        """Who opens three links in tabs, one a second, is a suspect and no more."""
        assert rules_of(on_links(1, 2, 3, apart_ms=1_000)) == [SEVERAL_LINKS] * 3

    def test_what_a_browser_fetched_ahead_is_no_second_click(self) -> None:
        """A browser that prefetches another link of the mail says nothing against its reader."""
        assert rules_of([seen(1, link=2, rule=PREFETCH), seen(2, 500)]) == [None, None]


class TestAllLinks:
    @pytest.mark.parametrize(
        ("apart_ms", "expected"),
        [pytest.param(5_000, ALL_LINKS, id="10 s"), pytest.param(5_001, None, id="just over 10 s")],
    )
    def test_all_of_three(self, apart_ms: int, expected: Rule | None) -> None:
        """All links of the mail, in 10 s from the first to the last."""
        assert rules_of(on_links(1, 2, 3, apart_ms=apart_ms), Mail(links=3)) == [expected] * 3

    def test_two_links_are_soon_clicked_by_anybody(self) -> None:
        """A mail with two links has no such rule, even 3 s apart."""
        assert rules_of(on_links(1, 2, apart_ms=3_000), Mail(links=2)) == [None] * 2

    def test_all_but_one(self) -> None:
        """Who leaves one out reads, perhaps."""
        assert rules_of(on_links(1, 2, 3, apart_ms=2_500), Mail(links=4)) == [None] * 3

    def test_so_many_links_are_as_good_as_all(self) -> None:
        """Of a mail with a hundred links, twenty in 10 s."""
        links = range(ENOUGH_LINKS)
        assert rules_of(on_links(*links, apart_ms=500), Mail(links=100)) == [ALL_LINKS] * ENOUGH_LINKS

    def test_only_those_within_the_ten_seconds(self) -> None:
        """A reader who comes back to a link later on is not what the scan was."""
        scan = on_links(1, 2, 3, apart_ms=3_000)

        assert rules_of([*scan, seen(9, 16_001)], Mail(links=3)) == [ALL_LINKS] * 3 + [None]

    def test_by_a_bare_browser_it_is_certain(self) -> None:
        """Timing and what the requests lack make a scanner together."""
        assert rules_of(on_links(1, 2, 3, apart_ms=100, rule=BARE_BROWSER), Mail(links=3)) == [WHOLE_MAIL] * 3

    @pytest.mark.parametrize(
        ("links", "apart_ms"), [pytest.param(3, 4_000, id="3 links in 8 s"), pytest.param(5, 2_500, id="5 links")]
    )
    def test_a_reader_behind_servers(self, links: int, apart_ms: int) -> None:
        """Who opens all links of a short mail over a VPN, or at a desktop in the cloud, is a suspect and no more."""
        clicks = on_links(*range(links), apart_ms=apart_ms, isp=SERVERS)
        assert rules_of(clicks, Mail(links=links)) == [ALL_LINKS] * links

    def test_more_links_than_a_hand_opens(self) -> None:
        """From servers, 20 links in 10 s are nobody's who points at them or goes through them by keys; 19 are few."""
        few, enough = ENOUGH_LINKS - 1, ENOUGH_LINKS

        assert rules_of(on_links(*range(few), apart_ms=500, isp=SERVERS), Mail(links=few)) == [ALL_LINKS] * few
        assert (
            rules_of(on_links(*range(enough), apart_ms=500, isp=SERVERS), Mail(links=enough)) == [WHOLE_MAIL] * enough
        )
        assert rules_of(on_links(*range(60), apart_ms=150, isp=SERVERS), Mail(links=90)) == [WHOLE_MAIL] * 60

    def test_the_nearest_suffice_for_as_many(self) -> None:
        """The first click of a scan sees as many links as make it certain."""
        assert ENOUGH_LINKS <= MOST_NEIGHBOURS + 1

    @pytest.mark.parametrize("sign", [{"rule": BARE_BROWSER}, {"isp": SERVERS}], ids=["bare browser", "hosted"])
    def test_a_scan_speaks_against_its_own_origin(self, sign: dict[str, Any]) -> None:
        """Who clicks in the middle of a gateway's scan did not click the whole mail, whoever they are."""
        *scan, last = on_links(*range(ENOUGH_LINKS), apart_ms=300, rule=BARE_BROWSER)
        reader = seen(ENOUGH_LINKS, last.at - NOON, ENOUGH_LINKS - 1, client="Safari", **sign)

        assert rules_of([*scan, reader], Mail(links=ENOUGH_LINKS)) == [ALL_LINKS] * ENOUGH_LINKS
        assert rules_of([*scan, last, reader], Mail(links=ENOUGH_LINKS)) == [WHOLE_MAIL] * ENOUGH_LINKS + [ALL_LINKS]

    def test_each_click_needs_the_sign_itself(self) -> None:
        """A reader's own click in the middle of a scan is a suspect and no more."""
        first, own, last = on_links(1, 2, 3, apart_ms=100, rule=BARE_BROWSER)
        own = replace(own, click=own.click.judged(HUMAN.class_, HUMAN.name))

        assert rules_of([first, own, last], Mail(links=3)) == [WHOLE_MAIL, ALL_LINKS, WHOLE_MAIL]

    def test_an_unknown_network_is_no_sign(self) -> None:
        """Where nobody says whose network it is, timing is alone."""
        assert rules_of(on_links(1, 2, 3, apart_ms=100, isp=""), Mail(links=3)) == [ALL_LINKS] * 3


class TestHoneypots:
    def test_who_followed_one_is_a_scanner(self) -> None:
        """Also for what it clicked before, up to 10 s away."""
        clicks = [seen(1, 0, 1), seen(2, 10_000, 9, HONEYPOT), seen(3, 20_000, 2)]

        assert rules_of(clicks) == [WITH_HONEYPOT, None, WITH_HONEYPOT]

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param({"isp": SERVERS}, id="from another network"),
            pytest.param({"isp": ""}, id="from a network that nobody knows"),
            pytest.param({"country": "US"}, id="from another country"),
            pytest.param({"client": ""}, id="by another program"),
            pytest.param({"os": "Linux"}, id="on another system"),
            pytest.param({"device": "phone"}, id="on another device"),
        ],
    )
    def test_the_reader_behind_the_gateway(self, other: dict[str, Any]) -> None:
        """A recipient's gateway follows one, and they click 8 s later: that says nothing of them."""
        gateway = [seen(1, 0, 9, HONEYPOT, **other), seen(2, 100, 2, **other)]

        assert rules_of([*gateway, seen(3, 8_000)]) == [None, WITH_HONEYPOT, None]

    def test_farther_away(self) -> None:
        """The reader behind the gateway comes later, wherever that is in the stream."""
        assert rules_of([seen(1, 0, 9, HONEYPOT), seen(2, 10_001, 1)]) == [None, None]
        assert rules_of([seen(1, 10_001, 1), seen(2, 0, 9, HONEYPOT)]) == [None, None]


class TestTwoNetworks:
    @pytest.mark.parametrize(
        ("apart_ms", "expected"),
        [
            pytest.param(0, [SECOND_OF_TWO, KEPT_OF_TWO], id="at once"),
            pytest.param(1_000, [SECOND_OF_TWO, KEPT_OF_TWO], id="1 s"),
            pytest.param(1_001, [None, None], id="just over 1 s"),
        ],
    )
    def test_the_later_is_kept_of_two_alike(self, apart_ms: int, expected: list[Rule | None]) -> None:
        """A gateway looks before it lets its reader through."""
        assert rules_of([seen(1), seen(2, apart_ms, isp=OFFICE)]) == expected

    def test_one_from_servers_is_not_the_reader(self) -> None:
        """Whichever came first."""
        assert rules_of([seen(1), seen(2, 300, isp=SERVERS)]) == [KEPT_OF_TWO, SECOND_OF_TWO]

    def test_a_bare_browser_is_not_the_reader(self) -> None:
        """Whichever came first, and from whatever network."""
        assert rules_of([seen(1, isp=SERVERS), seen(2, 300, rule=BARE_BROWSER)]) == [KEPT_OF_TWO, SECOND_OF_TWO]

    @pytest.mark.parametrize("rule", [GATEWAY, HEAD])
    def test_one_that_is_certainly_no_reader_leaves_the_other(self, rule: Rule) -> None:
        """A gateway that names itself may look just after its reader, at this link or at another: that says nothing."""
        assert rules_of([seen(1), seen(2, 300, rule=rule, isp=OFFICE)]) == [None, None]
        assert rules_of([seen(1), seen(2, 300, link=2, rule=rule, isp=OFFICE)]) == [None, None]

    def test_of_two_bare_browsers_none_is_human(self) -> None:
        """The one that is kept is no more than it was."""
        twins = [seen(1, rule=BARE_BROWSER), seen(2, 300, rule=BARE_BROWSER, isp=OFFICE)]
        assert rules_of(twins) == [SECOND_OF_TWO, None]

    def test_one_of_many_is_kept(self) -> None:
        """Of three networks one is human."""
        clicks = [seen(1, isp=SERVERS), seen(2, 100, isp=OFFICE), seen(3, 200)]

        assert rules_of(clicks) == [SECOND_OF_TWO, SECOND_OF_TWO, KEPT_OF_TWO]

    def test_one_network_and_program(self) -> None:
        """Nothing tells the two apart: a double click."""
        assert rules_of([seen(1), seen(2, 500)]) == [None, None]


class TestSentJustNow:
    @pytest.mark.parametrize(
        ("after_ms", "expected"),
        [
            pytest.param(-1, None, id="before it was sent"),
            pytest.param(0, SENT_JUST_NOW, id="at that moment"),
            pytest.param(10_000, SENT_JUST_NOW, id="10 s"),
            pytest.param(10_001, None, id="just over 10 s"),
        ],
    )
    def test_from_servers(self, after_ms: int, expected: Rule | None) -> None:
        """A click from a hosting network, right after the mail was sent."""
        assert rules_of([seen(1, after_ms, isp=SERVERS)], Mail(links=7, sent_at=NOON)) == [expected]

    @pytest.mark.parametrize("isp", [HOME, OFFICE, ""])
    def test_from_elsewhere(self, isp: str) -> None:
        """Somebody may have waited for the mail; and an unknown network is not one of servers."""
        assert rules_of([seen(1, 1_000, isp=isp)], Mail(links=7, sent_at=NOON)) == [None]

    def test_nobody_said_when(self) -> None:
        """Without the moment there is no rule."""
        assert rules_of([seen(1, 1_000, isp=SERVERS)]) == [None]


class TestThreeSigns:
    """Timing that makes a suspect, a hosting network, and a browser without its headers."""

    BARE: ClassVar[dict[str, Any]] = {"rule": BARE_BROWSER}
    HOSTED: ClassVar[dict[str, Any]] = {"isp": SERVERS}

    def test_two_links(self) -> None:
        """Together they make a scanner; one of the others alone leaves a suspect."""
        assert rules_of(on_links(1, 2, apart_ms=300, **self.BARE, **self.HOSTED)) == [BARE_FROM_SERVERS] * 2
        assert rules_of(on_links(1, 2, apart_ms=300, **self.BARE)) == [SEVERAL_LINKS] * 2
        assert rules_of(on_links(1, 2, apart_ms=300, **self.HOSTED)) == [SEVERAL_LINKS] * 2

    def test_one_link_before_its_reader(self) -> None:
        """The gateway is one, and its reader stays human."""
        gateway = seen(1, **self.BARE, **self.HOSTED)
        assert rules_of([gateway, seen(2, 300)]) == [BARE_FROM_SERVERS, KEPT_OF_TWO]

    def test_just_after_the_sending(self) -> None:
        """Within 10 s; later the network and the headers say too little."""
        mail = Mail(links=7, sent_at=NOON)
        assert rules_of([seen(1, 10_000, **self.BARE, **self.HOSTED)], mail) == [BARE_FROM_SERVERS]
        assert rules_of([seen(1, 10_001, **self.BARE, **self.HOSTED)], mail) == [None]
        assert rules_of([seen(1, 10_000, **self.BARE)], mail) == [None]

    def test_without_timing(self) -> None:
        """Links that are farther apart are suspect by their requests alone."""
        assert rules_of(on_links(1, 2, apart_ms=2_001, **self.BARE, **self.HOSTED)) == [None, None]

    def test_the_whole_mail_by_several_origins(self) -> None:
        """None of them clicked all links, which would be certain without servers; with them it is."""
        clicks = [seen(link, 100 * link, link, client=f"{link}", **self.BARE, **self.HOSTED) for link in (1, 2, 3)]
        assert rules_of(clicks, Mail(links=3)) == [BARE_FROM_SERVERS] * 3

    def test_each_click_needs_the_signs_itself(self) -> None:
        """A reader who clicks beside such a program is a suspect and no more."""
        scan = seen(1, **self.BARE, **self.HOSTED)
        assert rules_of([scan, seen(2, 500, link=2)]) == [BARE_FROM_SERVERS, SEVERAL_LINKS]


class TestEvidence:
    """What comes within the hold speaks for a click as well as against it."""

    def test_against(self) -> None:
        """A human click becomes a suspect by the next one, and a suspect a scanner."""
        own, mail = seen(1, rule=BARE_BROWSER), Mail(links=3)
        others = on_links(1, 2, 3, apart_ms=100)[1:]

        assert judge(own, [own], mail, GATEWAYS) is None
        assert judge(own, [own, *others], mail, GATEWAYS) is WHOLE_MAIL

    def test_for(self) -> None:
        """Who is a suspect alone, just after the sending, is human beside a twin that is less like a reader."""
        own, mail = seen(1, 1_000, isp=SERVERS), Mail(links=7, sent_at=NOON)
        gateway = seen(2, 1_500, rule=BARE_BROWSER, isp=OFFICE)

        assert judge(own, [own], mail, GATEWAYS) is SENT_JUST_NOW
        assert judge(own, [own, gateway], mail, GATEWAYS) is KEPT_OF_TWO

    @pytest.mark.parametrize("rule", [GATEWAY, HEAD, PREFETCH, HONEYPOT])
    def test_what_is_certain_stays(self, rule: Rule) -> None:
        """Whatever is around it."""
        assert rule.class_ in CERTAIN
        assert rules_of([seen(1, rule=rule), *on_links(2, 3, 4, apart_ms=10)])[0] is None


NETWORKS = st.sampled_from([HOME, OFFICE, SERVERS, ""])
OWN_RULES = st.sampled_from([HUMAN, BARE_BROWSER, GATEWAY, HEAD, PREFETCH, HONEYPOT])


@st.composite
def trails(draw: st.DrawFn, networks: st.SearchStrategy[str], rules: st.SearchStrategy[Rule]) -> list[Seen]:
    """Clicks of one clicker on up to five links within some seconds, in any order of time."""
    pieces = st.tuples(st.integers(0, 14_000), st.integers(1, 5), rules, networks, st.sampled_from(["Firefox", "Edge"]))
    clicks = draw(st.lists(pieces, min_size=1, max_size=12))
    return [
        replace(seen(number, after_ms, link, rule, isp=isp, client=client), ms=NOON + number)
        for number, (after_ms, link, rule, isp, client) in enumerate(clicks)
    ]


MAILS = st.builds(Mail, st.integers(0, 6), st.one_of(st.none(), st.integers(NOON - 12_000, NOON + 5_000)))


@given(trails(st.sampled_from([HOME, OFFICE, ""]), st.sampled_from([HUMAN, GATEWAY, HEAD, PREFETCH])), MAILS)
def test_timing_alone_makes_nobody_more_than_a_suspect(clicks: list[Seen], mail: Mail) -> None:
    """Without a honeypot, a bare browser or a hosting network, no trail makes a scanner."""
    assert {rule.class_ for rule in rules_of(clicks, mail) if rule} <= {ClickClass.HUMAN, ClickClass.SUSPECT}


@given(trails(NETWORKS, st.sampled_from([HUMAN, GATEWAY, HEAD, PREFETCH])), MAILS)
def test_timing_and_network_make_nobody_more_than_a_suspect(clicks: list[Seen], mail: Mail) -> None:
    """With all of a browser's headers, and without a honeypot, no trail of a few links makes a scanner."""
    assert {rule.class_ for rule in rules_of(clicks, mail) if rule} <= {ClickClass.HUMAN, ClickClass.SUSPECT}


@given(trails(NETWORKS, OWN_RULES), MAILS)
def test_what_others_did_makes_no_scanner(clicks: list[Seen], mail: Mail) -> None:
    """Somebody with all of a browser's headers and a program of their own is never more than a suspect."""
    own = seen(99, 5_000, client="Safari", isp=SERVERS)

    rule = rules_of([*clicks, own], mail)[-1]

    assert rule is None or rule.class_ in {ClickClass.HUMAN, ClickClass.SUSPECT}


@given(NETWORKS, st.integers(0, 20_000), MAILS)
def test_a_network_alone_makes_nobody_more_than_a_suspect(isp: str, after_ms: int, mail: Mail) -> None:
    """Whoever clicks once is never a scanner by where they are, however soon."""
    (rule,) = rules_of([seen(1, after_ms, isp=isp)], mail)

    assert rule in {None, SENT_JUST_NOW}


@given(trails(NETWORKS, OWN_RULES), MAILS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(clicks: list[Seen], mail: Mail, random: Any) -> None:
    """The same clicks, in whatever order they came to the stream, are judged the same."""
    arrived = random.sample(clicks, len(clicks))
    again = [replace(click, ms=NOON + at) for at, click in enumerate(arrived)]
    first = {click.click.id: rule for click, rule in zip(clicks, rules_of(clicks, mail), strict=True)}
    at_same_time = len({click.at for click in clicks}) < len(clicks)
    second = {click.click.id: rule for click, rule in zip(again, rules_of(again, mail), strict=True)}

    # Of two that are alike and at the same millisecond, the later in the stream is the reader.
    assert at_same_time or first == second


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(-9_000, 9_000)), min_size=1, max_size=80), st.data())
def test_around_a_click_is_what_is_near_it_in_both_ways(moments: list[tuple[int, int]], data: st.DataObject) -> None:
    """Of the nearest on the stream those within the hold and within 10 s, whatever was forgotten before."""
    placed = enumerate(sorted(moments, key=lambda moment: moment[0]))
    clicks = [replace(seen(number, ms + late), ms=NOON + ms, number=number) for number, (ms, late) in placed]
    trails = trailed(clicks)
    first = data.draw(st.integers(0, len(clicks) - 1))
    trails.forget(clicks[:first], clicks[first].ms - HOLD_MS)
    here = data.draw(st.integers(first, len(clicks) - 1))

    own, nearest = clicks[here], clicks[max(0, here - MOST_NEIGHBOURS) : here + MOST_NEIGHBOURS + 1]
    near = [each for each in nearest if abs(each.ms - own.ms) <= HOLD_MS and abs(each.at - own.at) <= FARTHEST_MS]
    around = trails.around(own, HOLD_MS)
    # Of what was forgotten, more or less may be left.
    assert [each for each in around if each.number >= first] == [each for each in near if each.number >= first]
    assert {each.number for each in around} <= {each.number for each in near}


def test_trails_of_many_campaigns_are_forgotten() -> None:
    """One clicker has a trail in each; no campaign is kept without any."""
    clicks = [seen(number, campaign=f"campaign-{number % 50}") for number in range(200)]
    trails = trailed(clicks)
    assert len(trails) == 50

    trails.forget(clicks, NOON + 1)
    assert (len(trails), len(trails._of)) == (0, 0)


class TestBounds:
    def test_only_the_nearest_are_looked_at(self) -> None:
        """Of a crowd behind one address, so many before a click and behind it."""
        crowd = on_links(*range(1_000), apart_ms=1)

        assert len(trailed(crowd).around(crowd[500], HOLD_MS)) == 2 * MOST_NEIGHBOURS + 1

    def test_what_lies_farther_than_the_hold_takes_nobodys_place(self) -> None:
        """A spool that is sent late brings clicks of the same moments: they neither count nor hide what does."""
        late = [replace(seen(100 + n, n), ms=NOON + HOLD_MS + 5_000, number=n) for n in range(2 * MOST_NEIGHBOURS)]
        clicks = [*on_links(1, 2, apart_ms=100), *late]

        assert rules_of(clicks)[:2] == [SEVERAL_LINKS] * 2

    def test_a_crowd_costs_no_more_a_click(self) -> None:
        """A hundred times as many clicks behind one address: each costs at most four times as much."""
        assert _cost(100_000) < 4 * _cost(1_000)


def _cost(crowd: int) -> float:
    """Seconds of the processor that a click takes, in a crowd of so many within the hold; the least of three."""
    clicks = [seen(number, number // 10, link=number % 5) for number in range(crowd)]
    judged = clicks[:: crowd // 200]
    least = float("inf")
    for _ in range(3):
        began = time.process_time()
        trails = trailed(clicks)
        added = time.process_time()
        for click in judged:
            judge(click, trails.around(click, HOLD_MS), SEVEN, GATEWAYS)
        was_judged = time.process_time()
        for click in clicks:
            trails.forget([click], click.ms)
        forgotten = time.process_time()
        least = min(least, (added - began + forgotten - was_judged) / crowd + (was_judged - added) / len(judged))
    return least
