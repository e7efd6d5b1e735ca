"""Where a reader who clicks arrives."""

from enum import StrEnum

from redirector.destinations import Destination
from redirector.links import Campaign, Link


class Outcome(StrEnum):
    """What became of a request; the values are those of `redirector_redirects_total{outcome}`."""

    REDIRECTED = "redirected"
    UNTRACKED = "untracked"
    OPTED_OUT = "opted_out"
    FALLBACK = "fallback"
    GONE = "gone"
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"
    TOO_MANY = "too_many"
    NOT_ALLOWED = "not_allowed"
    FAILED = "failed"


def follow(link: Link, campaign: Campaign, now: int) -> tuple[Destination | None, bool]:
    """Where the link leads at `now` (Unix ms), and whether that is the destination it was made for.

    A link that was disabled or has expired leads to its campaign's fallback, or nowhere (None).
    """
    over = link.disabled or _past(link.expires_at, now) or _past(campaign.expires_at, now)
    return (campaign.fallback_url, False) if over else (link.destination, True)


def _past(moment: int | None, now: int) -> bool:
    return moment is not None and moment <= now
