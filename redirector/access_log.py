"""The access log: a file a day for each redirect process, with the addresses that `access` lets it tell.

A line is `2026-11-23T14 404 192.0.2.7`: the hour (UTC), a status, an address. Lines are kept in memory until their hour
is over, and written in no order. `2026-11-23T14 requests 5120` says how many requests there were, told or not.
What may not be told yet waits for the next hour, and is forgotten at the end of the day, or when the process ends.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from random import Random, SystemRandom
from typing import Final

from redirector.access import Origins, Waiting, to_tell
from redirector.durable import make_directory, write_all
from redirector.facts import Network
from redirector.limits import origin

HOUR_SECONDS: Final = 3_600
HOURS_A_DAY: Final = 24
DAY_SECONDS: Final = 24 * HOUR_SECONDS

log = logging.getLogger(__name__)


class AccessLog:
    """The log of the process that owns `slot`; it keeps the files of all slots beside it to their days."""

    def __init__(
        self,
        slot: Path,
        *,
        days: int,
        least: int,
        network: Callable[[str], Network],
        clock: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        self._directory = slot / "access"
        self._data_dir = slot.parent
        self._days = days
        self._least = least
        self._network = network
        self._clock = clock
        self._random = random or SystemRandom()
        self._hours: dict[int, Waiting] = {}

    def note(self, status: int, address: str) -> None:
        """A request that failed."""
        if self._days:
            hour = int(self._clock()) // HOUR_SECONDS
            (self._hours.get(hour) or self._hours.setdefault(hour, Waiting())).add(status, address)

    async def keep(self) -> float:
        """Writes what may be told of hours that are over, and removes files that are too old; what `remove_old` says.

        What the disk does not take is lost.
        """
        now = int(self._clock())
        this_hour = now // HOUR_SECONDS
        over = {hour: self._hours.pop(hour) for hour in sorted(self._hours) if hour != this_hour}
        left = await asyncio.to_thread(self._write, over, this_hour)
        if left:
            self._hours.setdefault(this_hour, Waiting()).take_in(left)
        return await asyncio.to_thread(remove_old, self._data_dir, self._days, now)

    def _write(self, over: dict[int, Waiting], this_hour: int) -> Origins:
        """Returns what of these hours may not be told yet, and waits for this one."""
        left: Origins = {}
        hours = [*over, this_hour]
        for hour, following in pairwise(hours):
            over[hour].take_in(left)
            try:
                left = self._write_hour(hour, over[hour])
            except OSError as error:
                log.warning("an hour of the access log is lost: %s", error.strerror)
                left = {}
            if _day(following) != _day(hour):
                left = {}
        return left

    def _write_hour(self, hour: int, waiting: Waiting) -> Origins:
        moment = datetime.fromtimestamp(hour * HOUR_SECONDS, UTC)
        told = set(map(origin, _told(self._data_dir, moment.date())))
        known = _read(waiting.origins)
        lines = to_tell(known, network=self._network, told=told, least=self._least)
        self._random.shuffle(lines)
        words = [f"requests {waiting.requests}"] if waiting.requests else []
        words += [f"{status} {address}" for status, address in lines]
        if words:
            text = "".join(f"{moment:%Y-%m-%dT%H} {each}\n" for each in words)
            _append(self._directory / f"{moment:%Y-%m-%d}.log", text)
        told.update(origin(address) for _, address in lines)
        left = {status: {who: of[who] for who in of.keys() - told} for status, of in known.items()}
        return {status: addresses for status, addresses in left.items() if addresses}


def remove_old(data_dir: Path, days: int, now: int) -> float:
    """Removes the files of days that ended longer ago than this; with 0 days, all.

    Returns how long ago the day of the oldest one that is left ended, in seconds; 0 without any.
    """
    oldest = 0.0
    for path, day in _files(data_dir):
        age = now - datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() - DAY_SECONDS
        if days and age <= days * DAY_SECONDS:
            oldest = max(oldest, age)
            continue
        try:
            path.unlink(missing_ok=True)  # another process may have been first
        except OSError as error:
            log.warning("%s is too old and cannot be removed: %s", path, error.strerror)
            oldest = max(oldest, age)
    return oldest


def _files(data_dir: Path) -> Iterator[tuple[Path, date]]:
    for path in data_dir.glob("redirect-*/access/*.log"):
        with suppress(ValueError):  # somebody else's
            yield path, date.fromisoformat(path.stem)


def _told(data_dir: Path, today: date) -> Iterator[str]:
    """The addresses that any process on this machine has told today."""
    for path, day in _files(data_dir):
        if day == today:
            for line in path.read_text(encoding="ascii", errors="replace").splitlines():
                yield line.rpartition(" ")[2]


def _read(origins: Origins) -> Origins:
    """The addresses in one notation, without what is none."""
    return {
        status: {who: known for who, text in addresses.items() if (known := _address(text))}
        for status, addresses in origins.items()
    }


def _day(hour: int) -> int:
    return hour // HOURS_A_DAY


def _address(text: str) -> str:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)


def _append(path: Path, text: str) -> None:
    make_directory(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        write_all(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)
