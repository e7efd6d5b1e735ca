"""Which country and which provider an address belongs to, as files of the operator's say it.

The files are in MaxMind's format (https://maxmind.github.io/MaxMind-DB/), which many sell or give away; each says it in
words of its own. A lookup costs some 2 us in a file of providers, and 7 in one of countries with their names in eight
languages; addresses are not remembered, because few come again soon and all would be a list of readers.
"""

import logging
import os
import struct
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

import maxminddb
from maxminddb import InvalidDatabaseError, Reader

from redirector.errors import InvalidSetting
from redirector.facts import NOWHERE, Network

# Of a file that tells what it should, some of the first networks have it.
LOOKED_AT: Final = 1_000

# What the library lets through of a damaged file.
DAMAGED: Final = (
    InvalidDatabaseError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
    struct.error,
)

# An IPv4 address as a socket for both kinds has it.
_MAPPED: Final = "::ffff:"

log = logging.getLogger(__name__)


class Networks:
    """The files that are configured; a path "" is none.

    Raises InvalidSetting when one cannot be read, or does not hold what it should.
    """

    def __init__(self, country: str = "", isp: str = "") -> None:
        self._country = _Database(country, "country_database", _country) if country else None
        self._isp = _Database(isp, "isp_database", _isp) if isp else None

    def of(self, address: str) -> Network:
        """The network of an address; whatever is no address is nowhere."""
        if self._country is None and self._isp is None:
            return NOWHERE
        address = address.removeprefix(_MAPPED)
        return Network(
            self._country.value(address) if self._country else "", self._isp.value(address) if self._isp else ""
        )

    def renew(self) -> None:
        """Takes up files that were replaced, at the second call that finds them so; it may take a while.

        Of one that cannot be used a warning tells, and what was read before goes on.
        """
        for database in (self._country, self._isp):
            if database:
                database.renew()


class _Database:
    """One file, and how the value that is wanted stands in its records."""

    def __init__(self, path: str, setting: str, read: Callable[[Mapping[str, object]], str]) -> None:
        self._path = Path(path)
        self._setting = setting
        self._read = read
        self._stamp = self._seen = _stamp(self._path)
        try:
            self._reader = self._opened()
        except (OSError, *DAMAGED) as error:
            raise InvalidSetting(
                f"the file cannot be used: {_why(error)}",
                field=f"REDIRECTOR_{setting.upper()}",
                part=path,
                remedy="name a file in MaxMind's format (.mmdb) that this user may read, or none",
            ) from None

    def value(self, address: str) -> str:
        try:
            record = self._reader.get(address)
        except DAMAGED:  # that, or no address, or of a kind that is not there
            return ""
        return self._read(record) if isinstance(record, dict) else ""

    def renew(self) -> None:
        stamp, seen = _stamp(self._path), self._seen
        self._seen = stamp
        if stamp in {None, self._stamp} or stamp != seen:  # gone, the same, or perhaps still being written
            return
        self._stamp = stamp
        try:
            self._reader = self._opened()
        except (OSError, *DAMAGED) as error:
            why = _why(error)
            log.warning("%s was replaced by what cannot be used, and the old one goes on: %s", self._setting, why)
        else:
            log.info("%s was replaced, and the new one is in use", self._setting)

    def _opened(self) -> Reader:
        """A copy in memory, mapped: if somebody wrote over the file itself, a map of it would end the process."""
        copy = os.memfd_create(self._setting, os.MFD_CLOEXEC)
        try:
            with self._path.open("rb") as file, os.fdopen(os.dup(copy), "wb") as memory:
                while piece := file.read(1024 * 1024):
                    memory.write(piece)
            path = f"/proc/self/fd/{copy}"
            self._expect_what_it_should_hold(path)
            return maxminddb.open_database(path, maxminddb.MODE_AUTO)
        finally:
            os.close(copy)

    def _expect_what_it_should_hold(self, path: str) -> None:
        # By the library's Python: its C code ends the process where it goes through the networks of a damaged file
        # (3 files of 1,200, with maxminddb 3.2.0), but not where it looks one up (none). A sound file takes it 1 ms.
        with maxminddb.open_database(path, maxminddb.MODE_MMAP) as reader:
            first = islice(reader, LOOKED_AT)
            if not any(self._read(record) for _, record in first if isinstance(record, dict)):
                raise ValueError(f"there is no {self._setting.partition('_')[0]} in its first networks")


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    # Other messages may quote the file's bytes.
    return str(error) if type(error) is ValueError else "it is damaged, or of another format"


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _country(record: Mapping[str, object]) -> str:
    """GeoIP2, GeoLite2 and DB-IP: `country.iso_code`; IPinfo: `country_code`."""
    country = record.get("country")
    code = country.get("iso_code") if isinstance(country, dict) else record.get("country_code", country)
    return code if isinstance(code, str) and len(code) == 2 else ""


def _isp(record: Mapping[str, object]) -> str:
    """GeoIP2 ISP: `isp`; GeoLite2 ASN and DB-IP: `autonomous_system_organization`; IPinfo: `as_name`."""
    names = (record.get(name) for name in ("isp", "autonomous_system_organization", "as_name"))
    return next((name for name in names if name and isinstance(name, str)), "")
