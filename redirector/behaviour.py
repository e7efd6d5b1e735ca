"""Who clicked, as far as the clicks around it show: one reader's clicks in one mail, judged together.

A *trail* is what one recipient, or one visitor of the day, clicked in one campaign. Each rule is a pure function of a
click and its trail. Timing and network never make more than a suspect: people open all links in tabs, and use the
networks of their companies. Certain is only what no reader can do, or what the request itself shows beside them; and
a scan speaks against its own origin alone, because a recipient and the recipient's gateway have one trail.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from redirector.classify import BARE_BROWSER, HONEYPOT, Rule
from redirector.clicks import Click, ClickClass
from redirector.gateways import Gateways, is_hosting

SEVERAL_WITHIN_MS: Final = 2_000
ALL_WITHIN_MS: Final = 10_000
TWICE_WITHIN_MS: Final = 1_000
SENT_WITHIN_MS: Final = 10_000
FARTHEST_MS: Final = ALL_WITHIN_MS

# A mail with fewer links than the first is soon clicked through by anybody; of one with more than the second, so many
# of its links are as good as all. They are also more than a hand opens within 10 s: to point at a link and click takes
# 1.0 to 1.7 s, to go to the next one and open it by three keys 0.6, without a thought for any (keystroke-level model,
# Card, Moran and Newell 1980: pointing 0.8 to 1.5 s, a button 0.2, a key of a skilled typist 0.2). So 11 links, or 17.
LEAST_LINKS: Final = 3
ENOUGH_LINKS: Final = 20

_SCANNERS: Final = "https://check.live-direct-marketing.online/blog/bot-clicks-security-scanners-detect"
_SAFE_LINKS: Final = "https://check.live-direct-marketing.online/blog/microsoft-defender-link-click-pattern"

WITH_HONEYPOT: Final = Rule(
    "with-honeypot",
    ClickClass.SCANNER,
    "The same clicker followed a link of this mail that nobody can see, at most 10 s away, from this network with this"
    " program.",
    "docs/classes.md",
)
WHOLE_MAIL: Final = Rule(
    "whole-mail-scanned",
    ClickClass.SCANNER,
    "All links of a mail within 10 s, by a browser without its headers; or 20 of them from a hosting network.",
    _SAFE_LINKS,
)
ALL_LINKS: Final = Rule("all-links", ClickClass.SUSPECT, "All links of a mail within 10 s.", _SCANNERS)
SEVERAL_LINKS: Final = Rule(
    "several-links",
    ClickClass.SUSPECT,
    "Different links of one mail within 2 s.",
    "https://www.autoemails.com/help/agent/mark-bot-unsubscribe",
)
SECOND_OF_TWO: Final = Rule(
    "second-network",
    ClickClass.SUSPECT,
    "The same link twice within 1 s, from two networks or by two programs; this is the one that is less like a reader.",
    "https://thomask.sdf.org/blog/2022/07/22/outlook-doesnt-automatically-send-email-links-to-bing.html",
)
KEPT_OF_TWO: Final = Rule(
    "reader-behind-gateway",
    ClickClass.HUMAN,
    "The same link twice within 1 s, from two networks or by two programs; this is the one that is more like a reader.",
    "https://thomask.sdf.org/blog/2022/07/22/outlook-doesnt-automatically-send-email-links-to-bing.html",
)
SENT_JUST_NOW: Final = Rule(
    "sent-just-now",
    ClickClass.SUSPECT,
    "From a hosting network, within 10 s after the mail was sent.",
    _SAFE_LINKS,
)

BARE_FROM_SERVERS: Final = Rule(
    "bare-from-servers",
    ClickClass.SCANNER,
    "A suspect by timing, from a hosting network, by a browser without its headers: three signs together.",
    "https://suped.com/learn/email-deliverability/how-to-identify-artificial-email-opens-and-clicks-generated-by-spam-filters",
)

BEHAVIOUR_RULES: Final = (
    WITH_HONEYPOT, WHOLE_MAIL, BARE_FROM_SERVERS, ALL_LINKS, SEVERAL_LINKS, KEPT_OF_TWO, SECOND_OF_TWO, SENT_JUST_NOW,
)  # fmt: skip

# Suspects by when they clicked.
_BY_TIMING: Final = frozenset({ALL_LINKS.name, SEVERAL_LINKS.name, SECOND_OF_TWO.name, SENT_JUST_NOW.name})

# Classes that more clicks can change; the others are certain.
_OPEN: Final = frozenset({ClickClass.HUMAN, ClickClass.SUSPECT})


@dataclass(frozen=True, slots=True)
class Mail:
    """What is known of a mailing: how many links it has, and when it was sent (Unix ms), if that was told."""

    links: int = 0
    sent_at: int | None = None


# Not frozen, which takes 1 us more for each click; nor a tuple, whose fields take three times as long to read. Its own
# constructor is one call instead of two; `dataclasses.replace` uses it as it would the one that is made for others.
@dataclass(slots=True, eq=False, init=False)
class Seen:
    """A click, and where its entry stands on the stream: `ms` and `number` are those of the entry's id.

    `at`, `link` and `clicker` ("" where nobody knows) are the click's.
    """

    id: str
    ms: int
    number: int
    click: Click
    at: int = field(init=False)
    link: int = field(init=False)
    clicker: str = field(init=False)

    def __init__(self, id: str, ms: int, number: int, click: Click) -> None:  # noqa: A002 - the field's name
        self.id = id
        self.ms = ms
        self.number = number
        self.click = click
        self.at = click.at
        self.link = click.link
        self.clicker = click.recipient or click.visitor  # what `click.clicker()` says, without a call


def judge(own: Seen, around: Sequence[Seen], mail: Mail, gateways: Gateways) -> Rule | None:
    """The rule that decides, given all that the click's clicker did around it; None when the request's own holds.

    The click itself is among those around it; where there is none, only its request is to be judged.
    """
    click = own.click
    if not around or click.class_ not in _OPEN:
        return None
    rule = _together(own, around, mail, gateways) if len(around) > 1 else None
    sent_at = mail.sent_at
    if rule is None and sent_at is not None and 0 <= own.at - sent_at <= SENT_WITHIN_MS:
        rule = SENT_JUST_NOW if is_hosting(gateways, click.isp) else None
    if rule and click.rule == BARE_BROWSER.name and rule.name in _BY_TIMING and is_hosting(gateways, click.isp):
        return BARE_FROM_SERVERS
    return rule


def _together(own: Seen, around: Sequence[Seen], mail: Mail, gateways: Gateways) -> Rule | None:
    click = own.click
    certain = [each.click for each in around if each.click.class_ not in _OPEN]
    if certain:  # a click on a honeypot always is
        if any(each.rule == HONEYPOT.name and _origin(each) == _origin(click) for each in certain):
            return WITH_HONEYPOT
        # It says nothing else of others: a gateway that looks ahead of its reader, a browser that fetches ahead.
        around = [each for each in around if each.click.class_ in _OPEN]
    if _whole_mail(own, around, mail.links):
        origin = _origin(click)
        by_one = [each for each in around if _origin(each.click) == origin]
        by_no_hand = click.rule == BARE_BROWSER.name or (mail.links >= ENOUGH_LINKS and is_hosting(gateways, click.isp))
        return WHOLE_MAIL if by_no_hand and _whole_mail(own, by_one, mail.links) else ALL_LINKS
    if _is_one_of_several(own, around):
        return SEVERAL_LINKS
    twins = [each for each in around if _are_twins(own, each)]
    if twins:
        if _likeness(own, gateways) < max(_likeness(each, gateways) for each in twins):
            return SECOND_OF_TWO
        return KEPT_OF_TWO if click.class_ is ClickClass.HUMAN else None
    return None


def _whole_mail(own: Seen, around: Sequence[Seen], links: int) -> bool:
    """Whether there are 10 s, this click in them, within which all links were clicked."""
    all_of_them = min(links, ENOUGH_LINKS)
    if all_of_them < LEAST_LINKS or len(around) < all_of_them:
        return False
    if len({each.link for each in around}) < all_of_them:
        return False
    for first in around:
        within = {each.link for each in around if first.at <= each.at <= first.at + ALL_WITHIN_MS}
        if first.at <= own.at <= first.at + ALL_WITHIN_MS and len(within) >= all_of_them:
            return True
    return False


def _is_one_of_several(own: Seen, around: Sequence[Seen]) -> bool:
    """Whether another link was clicked at nearly the same time."""
    at, link = own.at, own.link
    for each in around:  # noqa: SIM110 - `any` takes 2,000 instructions more for each click
        if each.link != link and abs(each.at - at) <= SEVERAL_WITHIN_MS:
            return True
    return False


def _are_twins(own: Seen, other: Seen) -> bool:
    """Whether both are the same link, at nearly the same time, from two networks or by two programs."""
    return (
        other.link == own.link
        and abs(other.at - own.at) <= TWICE_WITHIN_MS
        and _origin(other.click) != _origin(own.click)
    )


def _origin(click: Click) -> tuple[str, ...]:
    """The network and the program, as far as a click tells them."""
    return click.country, click.isp, click.client, click.os, click.device


def _likeness(seen: Seen, gateways: Gateways) -> tuple[bool, bool, int, int, int]:
    """How much like a reader; of two alike, the later: a gateway looks before it lets its reader through."""
    bare, hosted = seen.click.rule == BARE_BROWSER.name, is_hosting(gateways, seen.click.isp)
    return not bare, not hosted, seen.at, seen.ms, seen.number
