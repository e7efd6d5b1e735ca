"""Both ports, served in the tests' own process over real sockets and a real store."""

import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from pydantic import SecretStr
from redis.asyncio import Redis

from redirector import gateways
from redirector.access_log import AccessLog
from redirector.check import Checker
from redirector.codes import Codes
from redirector.destinations import DestinationPolicy
from redirector.forwarded import Proxies
from redirector.limits import Limiter
from redirector.links import Campaign, Link
from redirector.networks import Networks
from redirector.places import hosts_of
from redirector.record import Recorder
from redirector.replica import Replica
from redirector.roles.api import services_of
from redirector.settings import Settings
from redirector.store.api_keys import SCOPES
from redirector.store.campaigns import Campaigns
from redirector.store.changes import Changes
from redirector.store.connection import connected
from redirector.store.erasures import Erasures
from redirector.store.keys import Keys
from redirector.store.links import Links
from redirector.store.people import People
from redirector.store.salts import DailySalt
from redirector.web.internal import internal_app
from redirector.web.public import PublicServices, public_app
from redirector.web.server import listening, serving
from redirector.web.services import Services
from tests.builders import NOON, SECRET, a_campaign, a_link, minted
from tests.recorders import PATIENT_SECONDS, recording
from tests.store.stores import until
from tests.web.sockets import Reply, exchange, parsed, request

BASE_URL = "https://news.example.com"
POLICY = DestinationPolicy(own_hosts=frozenset({"news.example.com"}))


@dataclass
class Clock:
    """A clock that stands still until a test moves it, in Unix ms."""

    now: int = NOON

    def __call__(self) -> float:
        """The time in seconds."""
        return self.now / 1000


@dataclass
class PublicPort:
    """The public port and what stands behind it, for one test: its links belong to a campaign of its own."""

    address: tuple[str, int]
    redis: Redis
    keys: Keys
    codes: Codes
    replica: Replica
    recorder: Recorder = field(init=False)
    clock: Clock = field(default_factory=Clock)
    name: str = "news"
    clicks_before: int = 0

    async def for_a_test(self) -> "PublicPort":
        """The same port at noon, with a campaign and a view of the stream of its own."""
        self.clock.now = NOON
        name = f"news-{secrets.token_hex(4)}"
        port = replace(self, name=name, clicks_before=int(await self.redis.xlen(self.keys.clicks())))
        port.recorder = self.recorder
        return port

    async def link(self, url: str = "https://www.example.com/offer", **properties: Any) -> Link:
        """A link of the test's campaign that leads there, minted."""
        wanted = {"destination": POLICY.accept(url), "campaign": self.name, **properties}
        known = {name: value for name, value in wanted.items() if name != "disabled"}
        link = (await minted(Links(self.redis, self.keys), a_link(**known))).link
        if properties.get("disabled"):
            await self.change(link, disabled=True)
            await until(lambda: (self.replica.known(link.number) or (link,))[0].disabled)
        return link

    async def campaign(self, **properties: Any) -> Campaign:
        """The test's campaign, made before its links."""
        campaign = a_campaign(self.name, **properties)
        assert await Campaigns(self.redis, self.keys).create(campaign) is None
        return campaign

    async def change(self, link: Link, **changes: Any) -> None:
        """The link with changes."""
        await Links(self.redis, self.keys).change(link.number, lambda known: replace(known, **changes))

    def path(self, link: Link, recipient: str = "") -> str:
        """The path of the link's tracked URL."""
        return f"/c/{self.code(link, recipient)}"

    def code(self, link: Link, recipient: str = "") -> str:
        """The link's code."""
        return self.codes.encode(link.number, self.codes.recipient_token(recipient) if recipient else 0)

    async def ask(self, method: str, path: str, *headers: tuple[str, str]) -> Reply:
        """One request on a connection of its own."""
        return parsed(await exchange(self.address, request(method, path, headers)), method=method)

    async def get(self, path: str, *headers: tuple[str, str]) -> Reply:
        """A GET on a connection of its own."""
        return await self.ask("GET", path, *headers)

    async def click(self, link: Link, *headers: tuple[str, str], recipient: str = "") -> dict[str, str]:
        """What the stream holds of a click."""
        before = len(await self.clicks())
        assert (await self.get(self.path(link, recipient), *headers)).status == 302
        (entry,) = (await self.clicks())[before:]
        return entry

    async def clicks(self) -> list[dict[str, str]]:
        """The stream's entries since the test began."""
        entries: Any = await self.redis.xrange(self.keys.clicks())
        return [
            {name.decode(): value.decode() for name, value in fields.items()}
            for _, fields in entries[self.clicks_before :]
        ]


@asynccontextmanager
async def public_port(
    store_url: str,
    keys: Keys,
    *,
    host: str = "127.0.0.1",
    deadline_seconds: float = PATIENT_SECONDS,
    click_ids: Callable[[], str] | None = None,
    networks: Networks | None = None,
    access_log: AccessLog | None = None,
    clock: Clock | None = None,
    proxies: Proxies | None = None,
    unknown_codes: Limiter | None = None,
    privacy_requests: Limiter | None = None,
    **settings: Any,
) -> AsyncIterator[PublicPort]:
    """The public port over this store for as long as the block lasts."""
    numbers = itertools.count(1)
    listener = listening("public", host, 0)
    # A machine that is busy with other tests may stall for longer than a store should.
    async with connected(store_url, answer_within_seconds=10) as redis:
        salt = DailySalt(redis, keys)
        await salt.refresh(NOON, lambda: b"a day's salt, of thirty-two bytes")
        with TemporaryDirectory(prefix="rdr-") as directory:
            links, campaigns, changes = Links(redis, keys), Campaigns(redis, keys), Changes(redis, keys)
            people = People(redis, keys)
            replica = Replica(
                links,
                campaigns,
                people,
                changes,
                Path(directory) / "links.sqlite",
                links_in_memory=1_000,
                deadline_seconds=deadline_seconds,
                answer_within_seconds=10,
            )
            address = listener.getsockname()[:2]
            port = PublicPort(address, redis, keys, Codes(SECRET), replica, clock=clock or Clock())
            await replica.start()
            try:
                async with recording(
                    store_url, keys, Path(directory), deadline_seconds=deadline_seconds, producer="test"
                ) as recorder:
                    port.recorder = recorder
                    known = settings_for(store_url, keys, **settings)
                    services = PublicServices(
                        codes=port.codes,
                        replica=replica,
                        recorder=recorder,
                        salt=salt,
                        networks=networks or Networks(),
                        people=people,
                        erasures=Erasures(redis, keys),
                        gateways=gateways.known(),
                        click_ids=click_ids or (lambda: f"test-{next(numbers):x}"),
                        codes_in_memory=1_000,
                        proxies=proxies,
                        unknown_codes=unknown_codes,
                        privacy_requests=privacy_requests,
                        settings=known,
                        hosts=hosts_of(known),
                        access_log=access_log,
                        clock=port.clock,
                    )
                    async with serving(public_app(services), listener):
                        yield port
            finally:
                await replica.stop()


def settings_for(store_url: str, keys: Keys, **others: Any) -> Settings:
    """Settings of an installation over this store."""
    many = {"api_requests_per_second": 1_000_000, "api_wrong_keys_per_minute": 1_000_000}
    known = {**many, "secret": SecretStr(SECRET), "base_url": BASE_URL, "store_prefix": keys.prefix}
    return Settings(**{**known, "store_url": SecretStr(store_url), **others})


@dataclass
class InternalPort:
    """The internal port, what stands behind it, and a client with every scope; `name` is the test's own campaign."""

    url: str
    services: Services
    http: httpx.AsyncClient
    key: str
    name: str = "news"

    def for_a_test(self) -> "InternalPort":
        """The same port with a campaign of its own."""
        return replace(self, name=f"news-{secrets.token_hex(4)}")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        url = httpx.URL(self.url)
        assert url.port
        return url.host, url.port

    async def post(self, path: str, json: object, **others: Any) -> httpx.Response:
        """A POST with every scope."""
        return await self.http.post(path, json=json, **others)

    async def patch(self, path: str, json: object) -> httpx.Response:
        """A PATCH with every scope."""
        return await self.http.patch(path, json=json)

    async def get(self, path: str, **others: Any) -> httpx.Response:
        """A GET with every scope."""
        return await self.http.get(path, **others)

    async def send(
        self, path: str, body: bytes, content_type: str = "application/json", **params: Any
    ) -> httpx.Response:
        """A POST of these bytes."""
        return await self.http.post(path, content=body, headers={"content-type": content_type}, params=params or None)

    async def link(self, destination: str = "https://www.example.com/offer", **others: Any) -> dict[str, Any]:
        """A link of the test's campaign, minted over the API."""
        answer = await self.post("/v1/links", {"destination": destination, "campaign": self.name, **others})
        assert answer.status_code in {200, 201}, answer.text
        link: dict[str, Any] = answer.json()
        return link

    async def campaign(self, **others: Any) -> dict[str, Any]:
        """The test's campaign, made over the API."""
        answer = await self.post("/v1/campaigns", {"name": self.name, **others})
        assert answer.status_code == 201, answer.text
        campaign: dict[str, Any] = answer.json()
        return campaign

    async def key_with(self, scopes: Iterable[str]) -> dict[str, str]:
        """The header of a new key with these scopes."""
        name = f"key {secrets.token_hex(4)}"
        key = await self.services.guard.api_keys.create(name, list(scopes), now=NOON, entropy=secrets.token_bytes(26))
        return {"authorization": f"Bearer {key}"}


@asynccontextmanager
async def internal_port(
    store_url: str, keys: Keys, *, checker: Checker | None = None, **settings: Any
) -> AsyncIterator[InternalPort]:
    """The internal port over this store for as long as the block lasts."""
    listener = listening("internal", "127.0.0.1", 0)
    async with connected(store_url) as redis:
        services = services_of(settings_for(store_url, keys, **settings), redis, keys)
        services = replace(services, checker=checker or services.checker)
        key = await services.guard.api_keys.create("tests", SCOPES, now=NOON, entropy=secrets.token_bytes(26))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        headers = {"authorization": f"Bearer {key}"}
        async with (
            serving(internal_app(services, version="1.2.3"), listener),
            httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as http,
        ):
            yield InternalPort(url, services, http, key)
