"""Clicks that wait for their class: what comes out depends on the stream alone, not on how it was read."""

import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redirector import hold as holding
from redirector.behaviour import Mail
from redirector.classify import BARE_BROWSER, GATEWAY, HONEYPOT, HUMAN, PREFETCH, Rule
from redirector.clicks import ClickClass
from redirector.gateways import known
from redirector.hold import Hold
from redirector.rules import JUDGES
from redirector.store.clicks import Entry, place_of
from redirector.trails import MOST_NEIGHBOURS
from tests.builders import NOON, a_click, fields_of

HOLD_MS = 3_000
MAILS = {"news": Mail(links=4, sent_at=NOON), "offers": Mail(links=2)}


def entry(number: int, after_ms: int = 0, **properties: Any) -> Entry:
    """The `number`th entry of the stream, so long after noon."""
    click = a_click(number, **{"at": NOON + after_ms, **properties})
    return Entry.of(f"{NOON + after_ms}-{number}", {_bytes(k): _bytes(v) for k, v in fields_of(click).items()})


def _bytes(value: object) -> bytes:
    return str(value).encode()


def a_hold(hold_ms: int = HOLD_MS) -> Hold:
    """A hold with the newest rules."""
    return Hold(JUDGES[2], known(), hold_ms=hold_ms)


def ids_of(entries: Sequence[Entry]) -> list[str]:
    """The ids of entries."""
    return [each.id for each in entries]


class TestDue:
    def test_nothing_waits(self) -> None:
        """Who holds nothing has nothing due, ever."""
        hold = a_hold()

        assert (hold.waiting, hold.due(0, 500), hold.due_in(0)) == (0, 0, math.inf)

    def test_by_the_clock(self) -> None:
        """An entry is due when it was read as long ago as the hold lasts."""
        hold = a_hold()
        hold.read([entry(1)], 100.0)

        assert [hold.due(now, 500) for now in (100.0, 102.9, 103.0)] == [0, 0, 1]
        assert [hold.due_in(now) for now in (100.0, 102.5, 103.0, 200.0)] == [3.0, 0.5, 0.0, 0.0]

    def test_by_the_stream(self) -> None:
        """Or when the stream has gone on for longer: a backlog waits for no clock."""
        hold = a_hold()
        hold.read([entry(1), entry(2, HOLD_MS)], 100.0)
        assert hold.due(-math.inf, 500) == 0

        hold.read([entry(3, HOLD_MS + 1)], 100.0)
        assert hold.due(-math.inf, 500) == 1
        assert hold.due_in(100.0) == 0.0

    def test_at_most_so_many(self) -> None:
        """A batch has its size."""
        hold = a_hold()
        hold.read([entry(number) for number in range(10)], 100.0)

        assert (hold.due(200.0, 4), hold.last_of(4)) == (4, f"{NOON}-3")

    def test_without_a_hold(self) -> None:
        """Everything is due at once."""
        hold = a_hold(0)
        hold.read([entry(1), entry(2)], 100.0)

        assert hold.due(100.0, 500) == 2

    def test_too_many_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The oldest give way, before their time; memory is bounded."""
        monkeypatch.setattr(holding, "MOST_WAITING", 5)
        hold = a_hold()
        hold.read([entry(number) for number in range(8)], 100.0)

        assert hold.due(100.0, 500) == 3


class TestJudged:
    def test_what_is_no_click(self) -> None:
        """An entry that cannot be read, and one that was deleted, are told apart from clicks."""
        hold = a_hold()
        hold.read([entry(1), Entry.of(f"{NOON}-2", {b"id": b"x"}), entry(4)], 100.0)
        batch = hold.judged([f"{NOON}-{number}" for number in (1, 2, 3)], MAILS)

        assert list(batch.clicks) == [f"{NOON}-1"]
        assert batch.poison.keys() == {f"{NOON}-2"}
        assert batch.deleted == {f"{NOON}-3"}
        assert hold.waiting == 1

    def test_both_sides(self) -> None:
        """What comes within the hold speaks for what waits; and what was judged speaks for what comes."""
        hold = a_hold()
        first, second = entry(1, link=1, visitor="7"), entry(2, 1_000, link=2, visitor="7")
        hold.read([first, second], 100.0)
        classes = [hold.judged([each.id], MAILS).clicks[each.id].rule for each in (first, second)]

        assert classes == ["several-links", "several-links"]

    def test_what_is_held_changes_no_more_than_its_class(self) -> None:
        """A click comes out as it went in."""
        hold = a_hold()
        first, second = entry(1, link=1, visitor="7", lang="de"), entry(2, link=2, visitor="7")
        hold.read([first, second], 100.0)
        click = hold.judged([first.id], MAILS).clicks[first.id]

        expected = a_click(1, link=1, visitor="7", lang="de", class_=ClickClass.SUSPECT, rule="several-links")
        assert click == expected

    def test_who_is_not_known_is_alone(self) -> None:
        """Clicks without recipient and visitor are nobody's, and say nothing of one another."""
        hold = a_hold()
        entries = [entry(number, link=number, visitor="") for number in (1, 2, 3, 4)]
        hold.read(entries, 100.0)

        assert {click.rule for click in hold.judged(ids_of(entries), MAILS).clicks.values()} == {HUMAN.name}

    def test_without_a_hold_nothing_is_around(self) -> None:
        """Each click is what its request showed."""
        hold = a_hold(0)
        entries = [entry(number, link=number, visitor="7") for number in (1, 2, 3, 4)]
        hold.read(entries, 100.0)

        assert {click.rule for click in hold.judged(ids_of(entries), MAILS).clicks.values()} == {HUMAN.name}

    @pytest.mark.parametrize("visitor", ["7", ""])
    @pytest.mark.parametrize(
        ("rule", "with_a_hold"), [(HUMAN, "sent-just-now"), (BARE_BROWSER, "bare-from-servers")], ids=["whole", "bare"]
    )
    def test_without_a_hold_the_request_alone_decides(self, rule: Rule, with_a_hold: str, visitor: str) -> None:
        """The moment of sending and the network say nothing either, whoever clicked."""
        first = entry(1, isp="MICROSOFT", visitor=visitor, rule=rule.name, class_=rule.class_)
        rules = []
        for hold in (a_hold(0), a_hold()):
            hold.read([first], 100.0)
            rules.append(hold.judged([first.id], MAILS).clicks[first.id].rule)

        assert rules == [rule.name, with_a_hold]

    def test_another_campaign_is_another_mail(self) -> None:
        """Who reads two mails at once scans neither."""
        hold = a_hold()
        entries = [entry(1, link=1, visitor="7"), entry(2, link=2, visitor="7", campaign="offers")]
        hold.read(entries, 100.0)

        assert hold.campaigns([entries[0].id]) == {"news"}
        assert {click.rule for click in hold.judged(ids_of(entries), MAILS).clicks.values()} == {HUMAN.name}

    def test_others_entries_are_evidence(self) -> None:
        """What another consumer counts speaks for or against what this one has."""
        hold = a_hold()
        theirs, own = entry(1, link=1, visitor="7"), entry(2, link=2, visitor="7")
        hold.read([theirs, own], 100.0)
        hold.pass_over(place_of(theirs.id))

        assert hold.waiting == 1
        assert hold.judged([own.id], MAILS).clicks[own.id].rule == "several-links"


def test_pages_of_what_is_no_click() -> None:
    """They are read like others, and nothing of them is kept once they are judged."""
    hold, entries = a_hold(), [replace_fields(entry(number, number)) for number in range(3)]
    hold.read(entries, 0.0)
    hold.read([], 0.0)
    batch = hold.judged(ids_of(entries), MAILS)

    assert hold.newest == place_of(entries[-1].id)
    assert list(batch.poison) == ids_of(entries)
    assert (hold.waiting, hold._behind, len(hold._trails)) == (0, [], 0)


def test_what_says_nothing_any_more_is_forgotten() -> None:
    """Who holds a stream for long keeps the hold of it, whoever counts it."""
    for is_own in (True, False):
        hold = a_hold()
        for number in range(300):
            each = entry(number, number * 1_000, visitor=str(number % 7))
            hold.read([each], 0.0)
            hold.read([], 0.0)
            if is_own:
                hold.judged([each.id], MAILS)
            else:
                hold.pass_over(place_of(each.id))

        assert len(hold._behind) <= HOLD_MS // 1_000 + 1
        assert len(hold._trails) <= HOLD_MS // 1_000 + 1
        hold.read([], 1.0)
        assert len(hold._reads) == 0


def test_a_crowd_of_one_moment_is_forgotten_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store whose clock stands still gives all entries one moment: those that wait stay in their trail."""
    monkeypatch.setattr(holding, "MOST_WAITING", 50)
    hold = a_hold()
    crowd = [entry(number, link=1 + number % 2, visitor="7") for number in range(200)]
    hold.read(crowd, 0.0)

    rules = [
        click.rule
        for first in range(0, 200, 10)
        for click in hold.judged([each.id for each in crowd[first : first + 10]], MAILS).clicks.values()
    ]

    assert rules == ["several-links"] * 200


# A stream takes as long to make as to judge, and longer on a busy machine.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Few clickers, links and moments, so that they meet; and moments that are not in the stream's order, as a spool's are.
SOME = st.tuples(
    st.integers(0, 900),
    st.integers(-9_000, 9_000),
    st.sampled_from(["7", "8", ""]),
    st.integers(1, 4),
    st.sampled_from(["Swisscom", "MICROSOFT", ""]),
    st.sampled_from([HUMAN, HUMAN, BARE_BROWSER, GATEWAY, HONEYPOT, PREFETCH]),
    st.sampled_from(["news", "news", "offers"]),
)


@st.composite
def streams(draw: st.DrawFn) -> list[Entry]:
    """A stream of up to forty entries, or of a crowd behind one address."""
    entries: list[Entry] = []
    ms, has_crowd = 0, draw(st.booleans())
    for number, (later, late, visitor, link, isp, rule, campaign) in enumerate(draw(st.lists(SOME, max_size=40))):
        ms += later
        click = {"visitor": visitor, "link": link, "isp": isp, "campaign": campaign}
        made = entry(number, ms, at=NOON + ms + late, rule=rule.name, class_=rule.class_, **click)
        entries.append(made if later % 50 or not later else replace_fields(made))
    if entries and has_crowd:
        crowd = range(draw(st.integers(1, 6 * MOST_NEIGHBOURS)))
        late, apart = draw(st.integers(0, 99)), draw(st.integers(10, 120))
        for n in crowd:  # all at nearly the same moment, and nearly all on one link: each neighbour makes a difference
            click = {"at": NOON + ms - n * late % 97, "visitor": "7", "link": 1 + (n % 31 == 0)}
            entries.append(entry(100 + n, ms + apart * n, **click))
    return entries


def replace_fields(made: Entry) -> Entry:
    """The entry, with something in it that is no click."""
    return Entry.of(made.id, {b"id": b"x"})


def judged_at_once(entries: Sequence[Entry]) -> dict[str, str]:
    """Each click's rule, by somebody who has all of the stream."""
    hold = a_hold()
    hold.read(entries, 0.0)
    batch = hold.judged(ids_of(entries), MAILS) if entries else None
    return {} if batch is None else {each: click.rule for each, click in batch.clicks.items()}


@PATIENT
@given(streams(), st.randoms(use_true_random=True))
def test_portions_change_nothing(entries: list[Entry], random: Random) -> None:
    """Whatever pages it is read in, and in whatever batches it is judged: each click has the same class."""
    rules: dict[str, str] = {}
    hold, read, given_out = a_hold(), 0, 0
    while given_out < len(entries):
        page = random.randint(1, 9)
        hold.read(entries[read : read + page], 0.0)
        read = min(len(entries), read + page)
        due = hold.due(math.inf if read == len(entries) else -math.inf, random.randint(1, 9))
        if due:
            batch = hold.judged(ids_of(entries[given_out : given_out + due]), MAILS)
            rules |= {each: click.rule for each, click in batch.clicks.items()}
            given_out += due

    assert rules == judged_at_once(entries)


@settings(PATIENT, max_examples=50)
@given(streams(), st.randoms(use_true_random=True))
def test_it_does_not_matter_who_takes_what(entries: list[Entry], random: Random) -> None:
    """Two consumers, each of which may end and begin again at any moment, come to what one comes to."""
    rules: dict[str, str] = {}
    holds, read, given_out = [a_hold(), a_hold()], [0, 0], 0
    while given_out < len(entries):
        who = random.randint(0, 1)
        if random.randint(0, 5) == 0:  # it died, and its successor begins where it reads all that matters
            holds[who] = hold = a_hold()
            here = place_of(entries[given_out - 1].id if given_out else "0-0")
            read[who] = next(n for n, each in enumerate(entries) if place_of(each.id)[0] >= here[0] - HOLD_MS)
            hold.read(entries[read[who] : given_out], 0.0)
            read[who] = given_out
        hold = holds[who]
        page = random.randint(1, 9)
        hold.read(entries[read[who] : read[who] + page], 0.0)
        read[who] = min(len(entries), read[who] + page)
        if given_out:
            hold.pass_over(place_of(entries[given_out - 1].id))
        due = hold.due(math.inf if read[who] == len(entries) else -math.inf, random.randint(1, 9))
        if due:
            batch = hold.judged(ids_of(entries[given_out : given_out + due]), MAILS)
            rules |= {each: click.rule for each, click in batch.clicks.items()}
            given_out += due

    assert rules == judged_at_once(entries)


@PATIENT
@given(streams())
def test_the_first_version_needs_no_hold(entries: list[Entry]) -> None:
    """Version 1 judges by the request alone: nothing around changes it."""
    hold = Hold(JUDGES[1], known(), hold_ms=HOLD_MS)
    hold.read(entries, 0.0)
    batch = hold.judged(ids_of(entries), MAILS) if entries else holding.Batch()

    assert {click.rule for click in batch.clicks.values()} <= {HUMAN.name, PREFETCH.name}


def test_a_part_of_a_batch() -> None:
    """What some of its entries hold, whatever that is; the batch itself stays as it is."""
    batch = holding.Batch({"1-1": a_click(1), "1-2": a_click(2)}, {"2-1": "x", "2-2": "y"}, {"3-1", "3-2"})

    assert batch.only(["1-2", "2-2", "3-2", "9-9"]) == holding.Batch({"1-2": a_click(2)}, {"2-2": "y"}, {"3-2"})
    assert (len(batch.clicks), len(batch.poison), len(batch.deleted)) == (2, 2, 2)


def test_batches_add_up() -> None:
    """What two batches hold is in one."""
    one, other = holding.Batch({"1-1": a_click(1)}, {"1-2": "x"}, {"1-3"}), holding.Batch({"2-1": a_click(2)})
    one.add(replace(other, deleted={"2-2"}))

    assert (list(one.clicks), one.poison, one.deleted) == (["1-1", "2-1"], {"1-2": "x"}, {"1-3", "2-2"})
