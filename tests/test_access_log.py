"""The access log on disk: when it is written, what it holds, and when it goes."""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from redirector.access_log import AccessLog
from redirector.facts import NOWHERE
from tests.builders import NOON
from tests.clocks import moved_by, set_clock
from tests.processes import eventually, serving

HOUR = 3_600
NOON_SECONDS = NOON // 1_000
TODAY = "2026-11-23"


class Kept:
    """The log of one process, with a clock of the test's."""

    def __init__(self, slot: Path, **others: Any) -> None:
        self.slot = slot
        self.now = NOON_SECONDS
        known = {"days": 7, "least": 3, "network": lambda _: NOWHERE, "random": random.Random(1)}
        self.log = AccessLog(slot, clock=lambda: self.now, **{**known, **others})

    def note(self, numbers: Iterable[int], status: int = 404) -> None:
        """A request from each of these addresses."""
        for number in numbers:
            self.log.note(status, f"192.0.2.{number}")

    async def after(self, hours: int) -> list[str]:
        """What the day's file holds so much later."""
        self.now += hours * HOUR
        await self.log.keep()
        return self.lines()

    def lines(self, day: str = TODAY) -> list[str]:
        """The lines of a day's file."""
        path = self.slot / "access" / f"{day}.log"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """A log that tells three addresses together, or none."""
    return Kept(tmp_path / "redirect-0")


async def test_hour_is_written_once_it_is_over(kept: Kept) -> None:
    """Nothing before; then each address with its status and the hour, and how many requests there were."""
    kept.note([1, 2, 3, 3, 3])
    assert await kept.after(0) == []
    lines = await kept.after(1)

    assert lines[0] == f"{TODAY}T12 requests 5"
    assert sorted(lines[1:]) == [f"{TODAY}T12 404 192.0.2.{number}" for number in (1, 2, 3)]


async def test_order_says_nothing(tmp_path: Path) -> None:
    """Lines are shuffled: neither the order of requests nor that of addresses is left."""
    orders = set()
    for seed in range(5):
        kept = Kept(tmp_path / f"redirect-{seed}", random=random.Random(seed))
        kept.note(range(seed * 40 + 1, seed * 40 + 31))
        orders.add(tuple(int(line.rpartition(".")[2]) - seed * 40 for line in (await kept.after(1))[1:]))

    assert len(orders) == 5
    assert tuple(range(1, 31)) not in orders


async def test_few_wait_for_the_next_hour(kept: Kept) -> None:
    """An hour with too few addresses only says how many requests it had; they are told with those of the next."""
    kept.note([1, 2])
    assert await kept.after(1) == [f"{TODAY}T12 requests 2"]
    kept.note([3])
    lines = await kept.after(1)

    assert sorted(lines[2:]) == [f"{TODAY}T13 404 192.0.2.{number}" for number in (1, 2, 3)]


async def test_few_are_forgotten_at_the_end_of_the_day(kept: Kept) -> None:
    """What found no company by midnight is not told on another day."""
    kept.note([1, 2])
    await kept.after(12)
    kept.note([3])
    await kept.after(1)

    assert kept.lines("2026-11-24") == ["2026-11-24T00 requests 1"]


async def test_address_is_told_once_a_day(tmp_path: Path, kept: Kept) -> None:
    """By any process of this machine, also after a restart: in which hours one comes back is nobody's business."""
    kept.note([1, 2, 3])
    await kept.after(1)
    restarted, neighbour = Kept(kept.slot), Kept(tmp_path / "redirect-1")
    for other in (restarted, neighbour):
        other.now = kept.now
        other.note([1, 2, 3])
        await other.after(1)

    assert len(kept.lines()) == 5
    assert neighbour.lines() == [f"{TODAY}T13 requests 3"]


async def test_household_is_told_once_a_day(kept: Kept) -> None:
    """Another address of an IPv6 network of 64 bits that was told today is of the same people."""
    for network in (1, 2, 3):
        kept.log.note(404, f"2001:db8:0:{network}::1")
    await kept.after(1)
    for network in (1, 2, 3):
        kept.log.note(404, f"2001:db8:0:{network}::2")
    lines = await kept.after(1)

    assert lines[-1] == f"{TODAY}T13 requests 3"
    assert sorted(line.split()[2] for line in lines[1:-1]) == [f"2001:db8:0:{network}::1" for network in (1, 2, 3)]


async def test_file_is_its_owners_alone(kept: Kept) -> None:
    """Nobody else on the machine may read it."""
    kept.note([1, 2, 3])
    await kept.after(1)

    path = kept.slot / "access" / f"{TODAY}.log"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_what_is_no_address_is_only_counted(kept: Kept) -> None:
    """Whatever a proxy says; and one address has one notation."""
    for text in ("", "reader@example.com", "1\n2", "::ffff:192.0.2.1", "192.0.2.1", "fe80::1%eth0", "2001:DB8:0::1"):
        kept.log.note(404, text)
    lines = await kept.after(1)

    assert sorted(line.split()[2] for line in lines[1:]) == ["192.0.2.1", "2001:db8::1", "fe80::1"]


async def test_old_files_go(tmp_path: Path, kept: Kept) -> None:
    """Those of a day that ended longer ago than they are kept, in every slot; what is somebody else's stays."""
    directory = tmp_path / "redirect-5" / "access"
    directory.mkdir(parents=True)
    for name in ("2026-11-14.log", "2026-11-15.log", "2026-11-16.log", "notes.log"):
        (directory / name).touch()

    assert await kept.log.keep() == pytest.approx(6.5 * 24 * HOUR)
    assert sorted(path.name for path in directory.iterdir()) == ["2026-11-16.log", "notes.log"]


async def test_without_days_nothing_is_written_and_all_is_removed(tmp_path: Path) -> None:
    """Who turns the log off has none."""
    kept = Kept(tmp_path / "redirect-0", days=0)
    directory = kept.slot / "access"
    directory.mkdir(parents=True)
    (directory / f"{TODAY}.log").touch()
    kept.note(range(1, 30))

    assert await kept.after(1) == []
    assert list(directory.iterdir()) == []


async def test_disk_that_fails_costs_an_hour(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    """The loss is said, without an address, and the next hour goes on."""
    kept.slot.write_text("no directory")
    kept.note([1, 2, 3])
    assert await kept.after(1) == []
    kept.slot.unlink()
    kept.note([4, 5, 6])

    assert len(await kept.after(1)) == 4
    assert "an hour of the access log is lost" in caplog.text
    assert "192.0.2" not in caplog.text


async def test_file_that_is_a_link_is_not_followed(tmp_path: Path, kept: Kept) -> None:
    """Who can put a link there cannot have addresses written elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch()
    (kept.slot / "access").mkdir(parents=True)
    (kept.slot / "access" / f"{TODAY}.log").symlink_to(elsewhere)
    kept.note([1, 2, 3])
    await kept.after(1)

    assert elsewhere.read_text() == ""


@pytest.mark.parametrize("jump", [-5, -1, 30], ids=["back", "back an hour", "far ahead"])
async def test_clock_that_jumps_joins_nothing(kept: Kept, jump: int) -> None:
    """Requests keep the hour that the clock gave them, and nothing is told that may not be."""
    kept.note([1, 2])
    kept.now += jump * HOUR
    kept.note([3])
    await kept.after(0)

    assert not any("192.0.2" in line for day in (TODAY, "2026-11-24") for line in kept.lines(day))


def test_process_that_ends_writes_what_is_due(directory: Path, tmp_path: Path) -> None:
    """The whole program: an hour that is over is written at SIGTERM, and the one that is not is forgotten."""
    clock = tmp_path / "clock"
    variables = moved_by(clock)
    set_clock(clock, NOON_SECONDS + 600)
    settings: dict[str, Any] = {"access_log_days": 1, "privacy_min_cell": 3}
    with serving(directory, variables=variables, **settings) as running:
        for number in range(1, 6):
            _ask_for_nothing(running.public_url, f"127.9.9.{number}")
        set_clock(clock, NOON_SECONDS + HOUR + 600)
        eventually(lambda: " 13:" in httpx.get(f"{running.public_url}/robots.txt").headers["date"])
        for number in range(1, 6):
            _ask_for_nothing(running.public_url, f"127.8.8.{number}")

    (file,) = directory.glob("redirect-0/access/*.log")
    lines = file.read_text().splitlines()
    assert file.name == f"{TODAY}.log"
    assert lines[0] == f"{TODAY}T12 requests 5"
    assert sorted(lines[1:]) == [f"{TODAY}T12 404 127.9.9.{number}" for number in range(1, 6)]


def _ask_for_nothing(url: str, address: str) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(local_address=address)) as browser:
        assert browser.get(f"{url}/c/nothing").status_code == 404
