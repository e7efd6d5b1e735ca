"""The hosts that readers reach: each answers every code, and has a fallback and app-link files of its own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from redirector.destinations import Destination, ascii_host

APPLE_APP_SITE_ASSOCIATION: Final = "/.well-known/apple-app-site-association"
ASSETLINKS: Final = "/.well-known/assetlinks.json"


def parts_of(url: str, *, like: str) -> SplitResult:
    """The parts of a URL whose port is a number; raises ValueError, as pydantic wants it."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(f"is not a URL like {like}") from None
    return parts


def is_base_url(url: str) -> str:
    """A base URL without a slash at its end, or nothing; raises ValueError, as pydantic wants it."""
    if not url:
        return url
    parts = parts_of(url, like="https://news.example.com")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be the public address of this server: https://news.example.com")
    if "@" in parts.netloc or set("?#") & set(url) or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be plain: scheme, host and perhaps a port")
    if parts.path.strip("/"):
        raise ValueError("must have no path: codes are at its root; give them a host of their own")
    ascii_host(parts.hostname)
    return url.rstrip("/")


def host_of(base_url: str) -> str:
    """The host of a base URL, in lower case."""
    return urlsplit(base_url).hostname or ""


class PublicHost(BaseModel):
    """A host as the settings have it, a table `[[hosts]]`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: Annotated[str, Field(min_length=1), AfterValidator(is_base_url)]
    fallback_url: str = ""
    apple_app_site_association: Annotated[Path, AfterValidator(Path.absolute)] | None = None
    assetlinks: Annotated[Path, AfterValidator(Path.absolute)] | None = None

    def files(self) -> dict[str, Path]:
        """Its app-link files by the path that they are served at."""
        known = {APPLE_APP_SITE_ASSOCIATION: self.apple_app_site_association, ASSETLINKS: self.assetlinks}
        return {path: file for path, file in known.items() if file is not None}


def are_distinct(hosts: tuple[PublicHost, ...]) -> tuple[PublicHost, ...]:
    """The hosts, if a request's Host header can tell them apart; raises ValueError."""
    names = [host_of(host.base_url) for host in hosts]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} stands twice: a host has one table")
    return hosts


@dataclass(frozen=True, slots=True)
class HostAnswers:
    """What a host answers of its own: where readers of links that are gone go, and files by their path."""

    fallback: Destination | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hosts:
    """The configured hosts by their names. The Host header chooses among them, and is used for nothing else."""

    main: HostAnswers = HostAnswers()
    others: Mapping[str, HostAnswers] = field(default_factory=dict)

    def at(self, host_header: str) -> HostAnswers:
        """The host that is named exactly, in any case and with any port; else the main one."""
        closing = host_header.rfind("]")
        name = host_header[: closing + 1] if closing > 0 else host_header.partition(":")[0]
        return self.others.get(name.strip("[]").lower(), self.main)


NO_HOSTS: Final = Hosts()


def host_header(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The Host header of a request, as ASGI has them; empty when there is none."""
    return next((value.decode("latin-1") for name, value in headers if name == b"host"), "")
