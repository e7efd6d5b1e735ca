"""What is wrong with an installation: its settings, its machine, its address, and its store."""

import asyncio
import resource
import shutil
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
from redis.asyncio import Redis

from redirector.errors import InvalidSetting, RedirectorError
from redirector.findings import Finding, Severity
from redirector.forwarded import network
from redirector.installation import Running, secret_in
from redirector.origins import unknown_variables
from redirector.places import findings as place_findings
from redirector.places import of_refusal
from redirector.roles.from_settings import expect_time_to_judge
from redirector.settings import Settings
from redirector.store.backups import last_backup
from redirector.store.connection import store_errors
from redirector.store.keys import Keys
from redirector.store.links import Links
from redirector.store.suitability import findings as store_findings

REACHED_WITHIN_SECONDS: Final = 5.0
CERTIFICATE_DAYS: Final = 14
BACKUP_DAYS: Final = 30
CLOCK_SECONDS: Final = 5.0
FILES: Final = 4_096
FREE_BYTES: Final = 100 * 1024 * 1024

# Of a network of the public internet, more than 65,536 addresses (IPv4), or than one provider's (IPv6).
WIDEST_PREFIX: Final = {4: 16, 6: 32}

BACK_UP: Final = "redirector backup FILE, every day; keep the file elsewhere; one --without-secret does not count"

_DAY_MS: Final = 24 * 3600 * 1000
_ERROR: Final = Severity.ERROR


def of_settings(settings: Settings, environment: Mapping[str, str]) -> list[Finding]:
    """What speaks against the settings alone."""
    found = [
        Finding(f"{name} is set, and is no setting", f"did you mean {meant}?")
        for name, meant in unknown_variables(environment)
    ]
    has_store, has_secret = bool(settings.store_url.get_secret_value()), bool(settings.secret.get_secret_value())
    if has_store and not has_secret and secret_in(settings.data_dir) is None:
        what = f"no secret is set, and {settings.data_dir} has none"
        found.append(Finding(what, "set REDIRECTOR_SECRET to the same for every role; keep a copy of it", _ERROR))
    if not settings.base_url:
        what = "no base URL is set, so that tracked URLs lead to this machine only"
        found.append(Finding(what, "set base_url to the address under which readers reach the public port"))
    for url in _addresses(settings):
        if urlsplit(url).scheme == "http":
            what = f"tracked URLs are not encrypted: {url}"
            remedy = "put a proxy with a certificate before the public port, and set base_url to https://"
            found.append(Finding(what, remedy))
    unsaid = [name for name in ("name", "contact", "policy_url") if not getattr(settings, f"operator_{name}")]
    if unsaid:
        what = "readers who look at GET /privacy do not learn who runs this: no operator_" + ", operator_".join(unsaid)
        found.append(Finding(f"{what} is set", "set " + ", ".join(f"operator_{name}" for name in unsaid)))
    return [*found, *place_findings(settings), *_of_time_to_judge(settings), *_of_proxies(settings)]


def _of_time_to_judge(settings: Settings) -> list[Finding]:
    """Whether a worker would be refused at start."""
    try:
        expect_time_to_judge(settings)
    except InvalidSetting as refusal:
        return [of_refusal(refusal)]
    return []


def _addresses(settings: Settings) -> list[str]:
    """The base URLs that are set: the main one first."""
    return [url for url in dict.fromkeys((settings.base_url, *(host.base_url for host in settings.hosts))) if url]


def _of_proxies(settings: Settings) -> list[Finding]:
    """Whether readers' addresses can be known, and can be forged."""
    if settings.base_url.startswith("https://") and not settings.trusted_proxies:
        what = "readers come through a proxy, since the base URL is https, and none is trusted: all have its address"
        return [Finding(what, "set trusted_proxies to the networks of the proxies before the public port")]
    found = []
    for each in map(network, settings.trusted_proxies):
        if each.is_global and each.prefixlen < WIDEST_PREFIX[each.version]:
            what = f"trusted_proxies has {each}, and each of its {each.num_addresses:,} addresses may claim any other"
            found.append(Finding(what, "name no more than the networks of your proxies"))
    return found


def of_machine(settings: Settings, running: Running | None) -> list[Finding]:
    """Whether the disk has room, and whether enough files may be open: every reader's connection is one."""
    found = []
    place = next(path for path in (settings.data_dir, *settings.data_dir.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < settings.spool_max_bytes:
        spool = settings.spool_max_bytes / 1e6
        what = f"{free / 1e6:,.0f} MB are free in {place}, less than the {spool:,.0f} MB that the spool may take"
        severity = _ERROR if free < FREE_BYTES else Severity.WARNING
        found.append(Finding(what, "make room, or lower spool_max_bytes: a full disk costs clicks", severity))
    files = _open_files(running.pid if running else None)
    if files < FILES:
        what = f"at most {files:,} files may be open, and every reader who clicks has one"
        found.append(Finding(what, "raise it to 65,536, with LimitNOFILE= of systemd or ulimit -n"))
    return found


def _open_files(pid: int | None) -> int:
    """How many files a process may have open: the server's, or this one's when there is none."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, StopIteration, ValueError):
        lines = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()
        soft = int(next(line for line in lines if line.startswith("Max open files")).split()[3])
    return 2**62 if soft == resource.RLIM_INFINITY else soft


async def of_addresses(settings: Settings) -> list[Finding]:
    """Whether readers who follow a tracked URL reach a redirector, and how long its certificate still lasts."""
    found = await asyncio.gather(*map(_of_address, _addresses(settings)))
    return [finding for of_one in found for finding in of_one]


async def _of_address(url: str) -> list[Finding]:
    try:
        async with httpx.AsyncClient(timeout=REACHED_WITHIN_SECONDS) as client:
            answer = await client.get(url + "/.well-known/gpc.json")
        is_ours = answer.status_code == 200 and answer.json().get("gpc") is True
        trouble = "" if is_ours else f"something else answers there, with status {answer.status_code}"
    except httpx.ConnectTimeout:
        what = f"whether readers reach {url} cannot be seen from here: the way there is closed, or nobody answers"
        return [Finding(what, "run `redirector doctor` where the internet can be reached; in a cluster, pods cannot")]
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        trouble = str(error) or type(error).__name__
    if trouble:
        what = f"the base URL {url} does not lead here: {trouble}"
        return [Finding(what, "see its name in the DNS, the proxy before the public port, and the certificate", _ERROR)]
    days = await asyncio.to_thread(_certificate_days, url) if url.startswith("https://") else None
    if days is not None and days < CERTIFICATE_DAYS:
        return [Finding(f"the certificate of {url} ends in {days:.0f} days", "renew it; see why that did not happen")]
    return []


def _certificate_days(url: str) -> float | None:
    """How long the certificate is still good for, if that can be found out."""
    place = urlsplit(url)
    with suppress(OSError, ValueError, KeyError):
        context = ssl.create_default_context()
        with (
            socket.create_connection((place.hostname, place.port or 443), REACHED_WITHIN_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=place.hostname) as secured,
        ):
            ends = ssl.cert_time_to_seconds(str((secured.getpeercert() or {})["notAfter"]))
        return (ends - time.time()) / 86_400
    return None


async def of_store(redis: Redis, keys: Keys, now: int) -> list[Finding]:
    """What speaks against the store, and whether what lies there was ever backed up; `now` in Unix ms."""
    found = await store_findings(redis)
    with store_errors():
        seconds, microseconds = await redis.time()
    ahead = seconds + microseconds / 1e6 - now / 1000
    if abs(ahead) > CLOCK_SECONDS:
        which = "ahead of" if ahead > 0 else "behind"
        what = f"the store's clock is {abs(ahead):,.0f} s {which} this machine's: clicks get wrong hours"
        found.append(Finding(what, "have both keep their time, with NTP"))
    links = await Links(redis, keys).last_number()
    backup = await last_backup(redis, keys)
    if links and backup is None:
        what = f"{links:,} links were never backed up: without a backup, mails already sent can die with this store"
        found.append(Finding(what, BACK_UP))
    elif backup is not None and links > backup.links and now - backup.made_at > BACKUP_DAYS * _DAY_MS:
        days, more = (now - backup.made_at) // _DAY_MS, links - backup.links
        what = f"the last backup is {days} days old, and {more:,} links were made since"
        found.append(Finding(what, BACK_UP))
    return found


def of_error(error: RedirectorError) -> Finding:
    """An error that came up instead of an answer."""
    return Finding(error.detail, error.remedy or "see its log", _ERROR)
