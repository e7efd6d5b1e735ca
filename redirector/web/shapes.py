"""What the endpoints answer, from the program's values to the API's shapes."""

from datetime import UTC, datetime

from redirector import report as reports
from redirector.emails import decoded
from redirector.links import Campaign, Link
from redirector.mint import TrackedURLs
from redirector.rewrite import Rewritten
from redirector.wire import (
    BreakdownOut,
    CampaignOut,
    FiguresOut,
    LinkOut,
    ReportHour,
    ReportLink,
    ReportOut,
    RewriteOut,
    RewrittenLinkOut,
    from_ms,
)


def campaign_out(campaign: Campaign, urls: TrackedURLs) -> CampaignOut:
    """A campaign as the API answers it."""
    return CampaignOut(
        name=campaign.name,
        tracking=campaign.tracking.value,
        consent=campaign.consent,
        sent=campaign.sent,
        sent_at=from_ms(campaign.sent_at),
        fallback_url=campaign.fallback_url.stored if campaign.fallback_url else None,
        expires_at=from_ms(campaign.expires_at),
        base_url=urls.of(campaign).base_url,
    )


def link_out(link: Link, urls: TrackedURLs) -> LinkOut:
    """A link with its tracked URL for everybody."""
    destination = link.destination
    return LinkOut(
        id=link.number,
        code=urls.code(link.number),
        url=urls.url(link.number),
        destination=destination.stored,
        sent_as=destination.sent if destination.sent != destination.stored else None,
        campaign=link.campaign,
        topics=list(link.topics),
        label=link.label,
        expires_at=from_ms(link.expires_at),
        disabled=link.disabled,
        honeypot=link.honeypot,
        created_at=from_ms(link.created_at),
    )


def rewrite_out(rewritten: Rewritten, charset: str | None) -> RewriteOut:
    """A rewritten mail as text, and what happened to its links."""
    return RewriteOut(
        html=decoded(rewritten.mail, charset=charset),
        links=[
            RewrittenLinkOut(
                destination=link.destination,
                url=link.url,
                topics=list(link.topics),
                action=link.action.value,
                reason=link.reason,
                detail=link.detail,
            )
            for link in rewritten.links
        ],
    )


def report_out(report: reports.Report) -> ReportOut:
    """A campaign's report."""
    return ReportOut(
        campaign=report.campaign.name,
        sent=report.campaign.sent,
        clicks=report.clicks,
        figures=FiguresOut.of(report.clicks),
        unique_clickers=report.unique_clickers,
        click_rate=report.click_rate,
        links=[
            ReportLink(
                id=of.link.number,
                destination=of.link.destination.stored,
                label=of.link.label,
                topics=list(of.link.topics),
                clicks=of.clicks,
                figures=FiguresOut.of(of.clicks),
                unique_clickers=of.unique_clickers,
            )
            for of in report.links
        ],
        honeypot=report.honeypot,
        hours=[
            ReportHour(hour=datetime.fromtimestamp(hour / 1000, UTC), clicks=clicks)
            for hour, clicks in report.hours.items()
        ],
        breakdowns={
            name: BreakdownOut(cells=dict(cells.shown), other=cells.other) if cells else None
            for name, cells in report.breakdowns.items()
        },
        min_cell=report.min_cell,
    )
