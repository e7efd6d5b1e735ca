"""What the API's endpoints work with, and how they answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import Response

from redirector.check import Checker
from redirector.destinations import DestinationPolicy
from redirector.errors import RedirectorError
from redirector.links import Link
from redirector.mint import TrackedURLs, mint
from redirector.shape import Shape
from redirector.store.api_keys import ApiKey
from redirector.store.campaigns import Campaigns
from redirector.store.counters import Counters
from redirector.store.keys import Keys
from redirector.store.links import Links, Minted
from redirector.store.records import campaign_from
from redirector.web import shapes
from redirector.web.guard import Guard
from redirector.wire import LinkOut


@dataclass(frozen=True, slots=True)
class Services:
    """What the endpoints work with."""

    redis: Redis
    keys: Keys
    links: Links
    campaigns: Campaigns
    counters: Counters
    guard: Guard
    policy: DestinationPolicy
    urls: TrackedURLs
    checker: Checker
    topics_max: int
    body_max_bytes: int
    min_cell: int
    clock: Callable[[], float]

    def now(self) -> int:
        """This moment in Unix ms."""
        return int(self.clock() * 1000)

    async def urls_of(self, *names: str) -> Mapping[str, TrackedURLs]:
        """What makes the tracked URLs of each of these campaigns. With one host, the store need not be asked."""
        if not self.urls.others:
            return dict.fromkeys(names, self.urls)
        records = await self.campaigns.records(list(dict.fromkeys(names)))
        known = {name: campaign_from(name, record) for name, record in records.items()}
        return {name: self.urls.of(known.get(name)) for name in names}

    async def link_out(self, link: Link) -> LinkOut:
        """A link as it is answered."""
        return shapes.link_out(link, (await self.urls_of(link.campaign))[link.campaign])

    async def mint(self, drafts: Mapping[int, Link]) -> dict[int, Minted | RedirectorError]:
        """Mints links; see `mint.mint`."""
        return await mint(self.links, drafts, topics_max=self.topics_max, now=self.now())


def services(request: Request) -> Services:
    """The services of the application that the request came to, with the policy that its key is bound by."""
    found = request.app.state.services
    assert isinstance(found, Services)  # noqa: S101 - internal_app puts it there
    holder: ApiKey | None = getattr(request.state, "holder", None)
    if holder is None or not holder.destinations:
        return found
    return replace(found, policy=found.policy.for_key(holder.destinations))


def answered(shape: Shape, status: int = 200) -> Response:
    """An answer of this shape, as JSON."""
    return Response(shape.model_dump_json(), status, media_type="application/json")
