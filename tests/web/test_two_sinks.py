"""The click stream and the access log cannot be joined, not even by somebody who has both."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from redirector.access_log import AccessLog
from redirector.facts import Network
from redirector.links import Link, Tracking
from redirector.networks import Networks
from redirector.store.keys import Keys
from tests.attacker import HOUR_MS, Clicker, Line, chance_of_at_least, clickers, guesses
from tests.builders import NOON
from tests.networks import countries, providers
from tests.web.ports import Clock, PublicPort, public_port
from tests.web.sockets import exchange, parsed, request

READERS = 240
LEAST = 10
MIDNIGHT = NOON - 12 * HOUR_MS
HOURS = range(9, 15)

# Two large providers, one that is in two countries, and many that have a reader or two here.
LARGE = {"127.10.0.0/16": ("DE", "Large"), "127.11.0.0/16": ("DE", "Other"), "127.12.0.0/16": ("AT", "Large")}
SMALL = {f"127.{20 + n}.0.0/16": ("LI", f"Small {n}") for n in range(8)}
FAMILIES = ["Firefox/143.0", "Chrome/142.0.0.0 Safari/537.36", "Version/18.0 Safari/605.1.15"]


@dataclass
class Reader:
    """Somebody at one address with one browser; a `clumsy` one asks for what is not there, too."""

    address: str
    browser: str
    recipient: str
    clumsy: bool
    clicks_at: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """A request of a reader's; `method` of a click is GET."""

    at: int
    reader: Reader
    method: str = "GET"
    junk: str = ""


def readers(random: Random) -> list[Reader]:
    """Readers of many providers; every second one is known by a token."""
    found = []
    for number in range(READERS):
        network = random.choice(list(SMALL)) if number % 12 == 0 else random.choice(list(LARGE))
        address = f"{network.rpartition('.0.0/')[0]}.{number // 200}.{number % 200 + 1}"
        browser = f"Mozilla/5.0 (X11; Linux x86_64) {random.choice(FAMILIES)}"
        found.append(Reader(address, browser, f"reader-{number}" if number % 2 else "", random.random() < 0.7))
    return found


def day(random: Random, everybody: list[Reader]) -> Iterator[Step]:
    """What they do: sessions of a few clicks, and near those of clumsy readers as many mistakes."""
    for reader in everybody:
        for hour in random.sample(HOURS, random.randint(1, 3)):
            begin = MIDNIGHT + hour * HOUR_MS + random.randrange(HOUR_MS - 120_000)
            for _ in range(random.randint(1, 3)):
                at = begin + random.randrange(60_000)
                yield Step(at, reader, "HEAD" if random.random() < 0.1 else "GET")
                if reader.clumsy:
                    method, junk = random.choice([("GET", "/c/mistyped"), ("GET", "/favicon.ico"), ("POST", "/c/x")])
                    yield Step(at + random.randrange(1_000), reader, method, junk)


@dataclass
class Site:
    """A public port with both sinks, and two logs beside them that were not thought through.

    `naive` has a line a click; `hourly` has a line for each other request, of which only the hour is left.
    """

    port: PublicPort
    networks: Networks
    log: AccessLog
    directory: Path
    naive: list[Line] = field(default_factory=list)
    hourly: list[Line] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # address -> recipient or visitor

    async def live(self, steps: list[Step]) -> None:
        """A day passes."""
        everybody, individual = await self._links()
        for step in steps:
            if step.at // HOUR_MS != self.port.clock.now // HOUR_MS:
                self.port.clock.now = step.at
                await self.log.keep()
            self.port.clock.now = step.at
            link = individual if step.reader.recipient else everybody
            path = step.junk or self.port.path(link, step.reader.recipient)
            headers = [("User-Agent", step.reader.browser), ("Accept-Language", "de")]
            answer = await exchange(self.port.address, request(step.method, path, headers), sender=step.reader.address)
            status = parsed(answer, method=step.method).status
            assert status == 302 if not step.junk else status in {404, 405}
            if step.junk:
                self.hourly.append(an_hours(step.at // HOUR_MS * HOUR_MS, status, step.reader.address))
            else:
                self.naive.append(Line(step.at, step.at, status, step.reader.address))
        self.port.clock.now += HOUR_MS
        await self.log.keep()
        stream = await self.port.clicks()
        clicks = [step for step in steps if not step.junk]
        assert len(stream) == len(clicks)
        for step, click in zip(clicks, stream, strict=True):
            self.names[click.get("recipient") or click["visitor"]] = step.reader.address

    async def _links(self) -> tuple[Link, Link]:
        everybody = await self.port.link()
        self.port.name += "-individual"
        await self.port.campaign(tracking=Tracking.INDIVIDUAL, consent="sign-up form of 2026")
        return everybody, await self.port.link()

    def lines(self) -> list[Line]:
        """The access log as the attacker reads it."""
        text = (self.directory / "redirect-0" / "access" / "2026-11-23.log").read_text()
        return list(_lines(text))


def _lines(text: str) -> Iterator[Line]:
    for line in text.splitlines():
        hour, status, address = line.split()
        if status != "requests":
            begin = int(datetime.strptime(hour, "%Y-%m-%dT%H").replace(tzinfo=UTC).timestamp() * 1000)
            yield an_hours(begin, int(status), address)


def an_hours(begin: int, status: int, address: str) -> Line:
    """A line that only knows its hour."""
    return Line(begin, begin + HOUR_MS - 1, status, address)


@pytest.fixture
async def site(store_url: str, keys: Keys, tmp_path: Path) -> AsyncIterator[Site]:
    """A site whose operator has files of countries and providers."""
    known = {**LARGE, **SMALL}
    networks = Networks(
        country=str(countries(tmp_path / "c.mmdb", {network: code for network, (code, _) in known.items()})),
        isp=str(providers(tmp_path / "p.mmdb", {network: name for network, (_, name) in known.items()})),
    )
    clock = Clock()
    log = AccessLog(
        tmp_path / "redirect-0", days=7, least=LEAST, network=networks.of, clock=clock, random=Random("shuffled")
    )
    async with public_port(store_url, keys, networks=networks, access_log=log, clock=clock) as port:
        yield Site(await port.for_a_test(), networks, log, tmp_path)


def found(site: Site, known: list[Clicker], lines: list[Line]) -> int:
    """How many clickers' addresses the attacker guesses right."""
    guessed = guesses(known, lines, site.networks.of, Random(1))
    return sum(site.names[name] == address for name, address in guessed.items())


def alike(line: Line, site: Site) -> tuple[int, int, Network]:
    """All of a line but its address, and what the address tells where the operator looks it up."""
    return line.first, line.status, site.networks.of(line.address)


async def test_who_has_both_learns_no_more_than_by_chance(site: Site) -> None:
    """Hundreds of readers, most of whom leave addresses in the log within a second of their clicks.

    By chance: to take any of the lines that differ from the right one in nothing but the address. It is not for want of
    trying: with a line for each click the same attacker finds nearly everybody, and with one for each other request of
    an hour, shuffled, still several times as many as by chance, because people come again at other hours.
    """
    random = Random("two sinks")
    await site.live(sorted(day(random, readers(random)), key=lambda step: step.at))
    lines, known = site.lines(), clickers(await site.port.clicks())
    told = {line.address: line for line in lines}
    groups = Counter(alike(line, site) for line in lines)
    in_both = [clicker for clicker in known if site.names[clicker.name] in told]
    chances = [1 / groups[alike(told[site.names[clicker.name]], site)] for clicker in in_both]
    hourly = sorted(random.sample(site.hourly, len(site.hourly)), key=lambda line: line.first)

    assert len(in_both) > READERS / 4
    assert len(told) == len(lines)
    assert min(groups.values()) >= LEAST
    assert chance_of_at_least(found(site, known, lines), chances) > 0.05
    assert found(site, known, site.naive) > 0.9 * len(known)
    assert found(site, known, hourly) > 3 * sum(chances)
