"""A static map of every redirect: what leads readers on when this program no longer runs.

It counts nothing. A link that ends later does not end in it, and of a campaign with individual tracking it has the
codes of those recipients only that it was told. Fallbacks of hosts are not in it: a link that is gone is in no map.
"""

import json
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from redirector.backup import Catalog
from redirector.codes import Codes
from redirector.follow import follow
from redirector.links import Tracking
from redirector.store.records import campaign_from, link_from

PAGE: Final = 1_000


class MapFormat(StrEnum):
    """What reads the map."""

    NGINX = "nginx"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Redirect:
    """A code, and where it leads: `location` is ASCII, as it stands in a header; `base_url` is its campaign's own."""

    code: str
    link: int
    location: str
    base_url: str = ""


@dataclass(slots=True)
class Tally:
    """How many codes there are, links that lead nowhere, and links whose recipients' codes are not there."""

    codes: int = 0
    over: int = 0
    without_recipients: int = 0


async def redirects(
    catalog: Catalog, codes: Codes, recipients: Sequence[str], *, now: int, tally: Tally
) -> AsyncIterator[Redirect]:
    """Every code that leads somewhere at `now` (Unix ms), under every key that codes may be signed with."""
    tokens = [codes.recipient_token(recipient) for recipient in recipients]
    last = await catalog.links.last_number()
    campaigns = {name: campaign_from(name, record) for name, record in (await catalog.campaigns.all_records()).items()}
    for first in range(1, last + 1, PAGE):
        records = await catalog.links.records(range(first, min(first + PAGE, last + 1)))
        for number, record in records.items():
            link = link_from(number, record)
            campaign = campaigns.get(link.campaign)
            target = follow(link, campaign, now)[0] if campaign else None
            if campaign is None or target is None:
                tally.over += 1
                continue
            is_individual = campaign.tracking is Tracking.INDIVIDUAL
            tally.without_recipients += is_individual and not tokens
            for token in (0, *tokens) if is_individual else (0,):
                for code in codes.spellings(number, token):
                    tally.codes += 1
                    yield Redirect(code, number, target.sent, campaign.base_url)


async def as_lines(found: AsyncIterable[Redirect], form: MapFormat, base_urls: Sequence[str]) -> AsyncIterator[str]:
    """The map as text, a line for each code. The first base URL is the main one; every host answers every code."""
    if form is MapFormat.JSON:
        async for redirect in found:
            base_url = redirect.base_url if redirect.base_url in base_urls else base_urls[0]
            url = f"{base_url}/c/{redirect.code}"
            yield json.dumps({"code": redirect.code, "url": url, "link": redirect.link, "location": redirect.location})
        return
    yield _NGINX_HEAD
    async for redirect in found:
        yield f"  {redirect.code} {_quoted(redirect.location)};"
    yield "}"


# nginx has no way to write a dollar sign that begins no variable, so it gets one that holds it.
_NGINX_HEAD: Final = """\
# Where each code leads. Include this file within http {}, and have the server answer by it:
#
#   location ~ ^/[cd]/(?<redirector_code>[^/]+)$ {
#     if ($redirector_location = "") { return 404; }
#     add_header Cache-Control no-store always;
#     add_header Referrer-Policy no-referrer always;
#     add_header X-Robots-Tag "noindex, nofollow" always;
#     return 302 $redirector_location;
#   }
geo $redirector_dollar { default "$"; }
map_hash_bucket_size 256;
map_hash_max_size 2097152;
map $redirector_code $redirector_location {
  default "";"""


def _quoted(location: str) -> str:
    escaped = location.replace("\\", "\\\\").replace('"', '\\"').replace("$", "${redirector_dollar}")
    return f'"{escaped}"'
