"""Where a reader arrives."""

import pytest

from redirector.destinations import Destination
from redirector.follow import follow
from redirector.links import Campaign, Link
from tests.builders import NOON, a_campaign, a_destination, a_link

FALLBACK = a_destination("https://www.example.com/over")


@pytest.mark.parametrize(
    ("link", "campaign"),
    [
        pytest.param(a_link(), a_campaign(), id="no end"),
        pytest.param(a_link(expires_at=NOON + 1), a_campaign(), id="a millisecond before the link's end"),
        pytest.param(a_link(), a_campaign(expires_at=NOON + 1), id="a millisecond before the campaign's end"),
        pytest.param(a_link(), a_campaign(fallback_url=FALLBACK), id="a fallback that is not needed"),
    ],
)
def test_a_link_leads_to_its_destination(link: Link, campaign: Campaign) -> None:
    """Until it is over, a link leads where it was made to lead."""
    assert follow(link, campaign, NOON) == (a_destination(), True)


@pytest.mark.parametrize("fallback", [pytest.param(None, id="nowhere"), pytest.param(FALLBACK, id="fallback")])
@pytest.mark.parametrize(
    ("link", "end"),
    [
        pytest.param(a_link(disabled=True), None, id="disabled"),
        pytest.param(a_link(expires_at=NOON), None, id="link expires now"),
        pytest.param(a_link(expires_at=0), None, id="link expired in 1970"),
        pytest.param(a_link(), NOON, id="campaign expires now"),
        pytest.param(a_link(expires_at=NOON + 1), NOON - 1, id="campaign expired before its link"),
    ],
)
def test_a_link_that_is_over_leads_to_the_fallback(link: Link, end: int | None, fallback: Destination | None) -> None:
    """A link that was disabled or has expired leads to the campaign's fallback, or nowhere."""
    assert follow(link, a_campaign(fallback_url=fallback, expires_at=end), NOON) == (fallback, False)
