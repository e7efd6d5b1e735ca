"""A server of the program's own under load: its processes, its links, and the paths that readers ask for."""

import asyncio
import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from redis import Redis as SyncRedis

from redirector.codes import Codes
from redirector.count import COUNTING_GROUP
from redirector.installation import secret_of
from redirector.links import Campaign, Tracking
from redirector.settings import Settings
from redirector.store.campaigns import Campaigns
from redirector.store.connection import connected
from redirector.store.embedded import socket_path
from redirector.store.keys import Keys
from redirector.store.links import Links, Minted
from tests.benchmarks.measured import below
from tests.builders import NOON, a_campaign, a_link
from tests.processes import eventually, serving

MINTED_TOGETHER: Final = 1_000
# So long that no click is given up, however busy the machine: a redirect that records nothing would look cheap.
# As the program holds clicks where nobody says otherwise.
HOLD_MS: Final[int] = Settings.model_fields["count_hold_ms"].default

DEADLINE_MS: Final = 5_000
DRAINED_WITHIN_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Site:
    """A server, and what belongs to it."""

    url: str
    pid: int
    data_dir: Path
    store: SyncRedis
    codes: Codes
    keys: Keys

    def processes(self) -> dict[str, list[int]]:
        """The process ids of each part."""
        return {
            "redirect": below(self.pid, " run redirect "),
            "store": below(self.pid, "valkey-server"),
            "consumer": below(self.pid, " run worker "),
        }

    def mint(self, links: int, campaign: str = "spring-2026") -> list[int]:
        """The numbers of so many new links of a campaign."""
        return asyncio.run(_mint(self.store_url, self.keys, links, campaign))

    def create(self, campaign: Campaign) -> None:
        """Creates a campaign."""

        async def create() -> None:
            async with connected(self.store_url) as redis:
                await Campaigns(redis, self.keys).create(campaign)

        asyncio.run(create())

    @property
    def store_url(self) -> str:
        """Where its store is."""
        return f"unix://{socket_path(self.data_dir)}"

    def paths(self, name: str, numbers: list[int], *, recipients: int = 0, door: str = "c") -> Path:
        """A file of paths in random order: a code for each link, or for each of so many recipients of the links."""
        if recipients:
            readers = [f"reader-{number}@example.com" for number in range(recipients)]
            codes = [
                self.codes.encode(number, self.codes.recipient_token(reader))
                for number in numbers
                for reader in readers
            ]
        else:
            codes = [self.codes.encode(number) for number in numbers]
        random.shuffle(codes)
        file = self.data_dir / f"{name}.paths"
        file.write_text("".join(f"/{door}/{code}\n" for code in codes), encoding="ascii")
        return file

    def recorded(self) -> int:
        """How many clicks are in the stream."""
        return self.store.xlen(self.keys.clicks())

    def drain(self) -> None:
        """Waits until every click is counted."""
        eventually(lambda: self.uncounted() == 0, DRAINED_WITHIN_SECONDS)

    def uncounted(self) -> int:
        """How many clicks are yet to be counted."""
        (group,) = (
            group for group in self.store.xinfo_groups(self.keys.clicks()) if group["name"] == COUNTING_GROUP.encode()
        )
        return int(group["lag"] or 0) + int(group["pending"])


@contextmanager
def site(data_dir: Path, *, workers: int = 1, hold_ms: int = 0) -> Iterator[Site]:
    """`redirector serve` over an empty directory, with its embedded store.

    Clicks are counted as they come, unless they are held: a round of the load ends when its last one is counted.
    """
    settings: dict[str, Any] = {
        "base_url": "https://news.example.com", "record_deadline_ms": DEADLINE_MS, "count_hold_ms": hold_ms,
    }  # fmt: skip
    with (
        serving(data_dir, "--workers", str(workers), **settings) as running,
        SyncRedis(unix_socket_path=str(socket_path(data_dir))) as store,
    ):
        codes = Codes(secret_of(data_dir).get_secret_value())
        yield Site(running.public_url, running.pid, data_dir, store, codes, Keys())


def individual_campaign() -> Campaign:
    """A campaign that tells its recipients apart."""
    return a_campaign("renewal-2026", tracking=Tracking.INDIVIDUAL, consent="crm:consents/2026")


async def _mint(url: str, keys: Keys, links: int, campaign: str) -> list[int]:
    now = int(time.time() * 1000)
    batch = secrets.token_hex(4)
    numbers: list[int] = []
    async with connected(url, answer_within_seconds=10) as redis:
        stored = Links(redis, keys)
        for first in range(0, links, MINTED_TOGETHER):
            drafts = [
                a_link(
                    f"https://www.example.com/{batch}/offer/{number}?utm_source=newsletter&utm_medium=email",
                    campaign=campaign,
                    topics=("solar",),
                )
                for number in range(first, min(first + MINTED_TOGETHER, links))
            ]
            minted = await stored.mint(a_campaign(campaign, created_at=NOON), drafts, topics_max=200, now=now)
            numbers += [each.link.number for each in minted if isinstance(each, Minted)]
    return numbers
