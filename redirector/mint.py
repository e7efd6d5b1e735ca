"""Mints: from what a caller wrote to links in the store, and from links to the URLs that stand in mails."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from redirector.codes import Codes
from redirector.errors import CampaignExists, LinkExists, RecipientsNotAllowed, RedirectorError
from redirector.links import Campaign, Link, Tracking
from redirector.metrics import LINKS_MINTED
from redirector.store.campaigns import Campaigns
from redirector.store.links import Links, Minted


@dataclass(frozen=True, slots=True)
class TrackedURLs:
    """Makes the URLs of links: `{base_url}/c/{code}`; `others` are the base URLs that a campaign may have instead."""

    base_url: str
    codes: Codes
    others: frozenset[str] = frozenset()

    @property
    def prefix(self) -> str:
        """What every tracked URL begins with."""
        return f"{self.base_url}/c/"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What tracked URLs begin with, of every campaign."""
        return (self.prefix, *(f"{other}/c/" for other in sorted(self.others)))

    def of(self, campaign: Campaign | None) -> "TrackedURLs":
        """The same for a campaign's own host, as long as it is configured."""
        wanted = campaign.base_url if campaign else ""
        if wanted not in self.others:
            return self
        return replace(self, base_url=wanted, others=(self.others | {self.base_url}) - {wanted})

    def code(self, link: int, recipient: str = "") -> str:
        """The code of a link, for everybody or for one recipient of the mailing tool's."""
        return self.codes.encode(link, self.codes.recipient_token(recipient) if recipient else 0)

    def url(self, link: int, recipient: str = "") -> str:
        """The tracked URL of a link, for everybody or for one recipient."""
        return self.prefix + self.code(link, recipient)

    def each(self, link: int, recipients: Iterable[str]) -> Iterator[tuple[str, str]]:
        """(recipient, tracked URL) of each recipient, made as they are asked for."""
        # A mailing has millions of them: what is the same for all is looked up once.
        prefix, encode, token_of = self.prefix, self.codes.encode, self.codes.recipient_token
        for recipient in recipients:
            yield recipient, prefix + encode(link, token_of(recipient) if recipient else 0)


# A script keeps the store from everybody else, and a click waits for it 50 ms at the most. 50 links take it about 1 ms
# (median), and 6 ms at the worst, of 2,000 bytes and ten new topics each; 1,000 of those were seen to take it 92 ms.
LINKS_A_SCRIPT: Final = 50

PROPERTIES: Final = ("tracking", "consent", "sent", "sent_at", "fallback_url", "expires_at", "base_url")


async def create_campaign(campaigns: Campaigns, campaign: Campaign, given: Collection[str]) -> tuple[Campaign, bool]:
    """The campaign, and whether it was made now; asking again for the same one changes nothing.

    Raises CampaignExists when one of that name has another value in a property that is `given`.
    """
    existing = await campaigns.create(campaign)
    if existing is None:
        return campaign, True
    differing = [name for name in PROPERTIES if name in given and getattr(existing, name) != getattr(campaign, name)]
    if differing:
        raise CampaignExists(
            "a campaign of this name exists, and differs in " + ", ".join(differing),
            field="/" + differing[0],
            part=campaign.name,
            remedy="choose another name, or change that one with PATCH",
        )
    return existing, False


async def mint(
    links: Links, drafts: Mapping[int, Link], *, topics_max: int, now: int
) -> dict[int, Minted | RedirectorError]:
    """Mints `drafts` (row -> a link whose number does not count yet); each row's link, or what speaks against it.

    A link that is there already is refused if it is disabled or has expired: a new mail would lead nowhere. A draft
    without an expiry takes the one that is there.

    A campaign that is not there yet is created with aggregate tracking. The store is asked in small portions, so that
    the clicks of readers come in between. Raises StoreError; what was minted before it stays, and is found again by
    whoever mints the same.
    """
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, draft in drafts.items():
        rows_of[draft.campaign].append(row)
    outcome: dict[int, Minted | RedirectorError] = {}
    for name, rows in rows_of.items():
        campaign = Campaign(name=name, created_at=now)
        for start in range(0, len(rows), LINKS_A_SCRIPT):
            portion = rows[start : start + LINKS_A_SCRIPT]
            answers = await links.mint(campaign, [drafts[row] for row in portion], topics_max=topics_max, now=now)
            for row, answer in zip(portion, answers, strict=True):
                outcome[row] = _as_wanted(answer, drafts[row], now) if isinstance(answer, Minted) else answer
            LINKS_MINTED.inc(sum(isinstance(answer, Minted) and answer.created for answer in answers))
    return outcome


def _as_wanted(minted: Minted, draft: Link, now: int) -> Minted | LinkExists:
    """The link, unless it was there with another expiry than the draft gives it, or leads nowhere any more."""
    link = minted.link
    change = f"PATCH /v1/links/{link.number}"
    if minted.created:
        return minted
    if link.disabled:
        return LinkExists(
            f"link {link.number} is the same, and is disabled", remedy=f'enable it with {change} {{"disabled": false}}'
        )
    if draft.expires_at not in {None, link.expires_at}:
        return LinkExists(
            f"link {link.number} is the same, and expires at another time",
            field="/expires_at",
            remedy=f"change it with {change}",
        )
    if link.expires_at is not None and link.expires_at <= now:
        return LinkExists(
            f"link {link.number} is the same, and has expired", remedy=f'revive it with {change} {{"expires_at": null}}'
        )
    return minted


async def campaign_for_recipients(campaigns: Campaigns, name: str, field: str = "/recipients") -> Campaign:
    """The campaign, if it may tell its recipients apart. Raises UnknownCampaign and RecipientsNotAllowed."""
    campaign = await campaigns.existing(name, "campaign")
    if campaign.tracking is not Tracking.INDIVIDUAL:
        raise RecipientsNotAllowed(
            f"campaign {name!r} counts in aggregate: one tracked URL a link, the same for everybody",
            field=field,
            remedy="create a campaign with individual tracking and a reference to its readers' consent",
        )
    return campaign
