"""Every setting: its type, its bounds, its default, and its text."""

import json
import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
)

from redirector.destinations import ascii_host
from redirector.forwarded import network
from redirector.hosts import PublicHost, are_distinct, is_base_url, parts_of

PREFIX: Final = "REDIRECTOR_"

# Set by `--debug`, and handed down to every process that a command starts.
DEBUG: Final = "REDIRECTOR_DEBUG"


def _default_data_dir() -> Path:
    xdg = Path(os.environ.get("XDG_DATA_HOME", ""))
    # The XDG specification: a path that is not absolute is ignored.
    return (xdg if xdg.is_absolute() else Path.home() / ".local" / "share") / "redirector"


def _split(value: object) -> object:
    """An environment variable gives a list as text with commas, or as JSON when an item itself has commas."""
    if not isinstance(value, str):
        return value
    try:
        listed = json.loads(value)
    except ValueError:
        listed = None
    return listed if isinstance(listed, list) else [part.strip() for part in value.split(",") if part.strip()]


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError("begins with the home directory of somebody who is not known here") from None


def _absolute_if_any(path: str) -> str:
    return str(_absolute(Path(path))) if path else ""


def _is_store_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value():
        return url
    try:
        parts = urlsplit(url.get_secret_value())
        _ = parts.port  # reading it is what judges it
    except ValueError:  # its message may quote the password
        raise ValueError(
            "is not a URL like redis://:PASSWORD@HOST:6379/0; in a password, escape / ? # with %"
        ) from None
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("must start with redis://, rediss:// or unix://")
    if parts.scheme == "unix" and (parts.hostname or not parts.path.startswith("/")):
        raise ValueError("must name a socket by its absolute path: unix:///run/valkey.sock")
    if parts.scheme != "unix" and not parts.hostname:
        raise ValueError("must name a host: redis://HOST:6379/0")
    return url


def _is_prefix(prefix: str) -> str:
    if not prefix or set("{}") & set(prefix) or not prefix.isprintable():
        raise ValueError("must be printable and have no braces: they mark a cluster's hash tag")
    return prefix


def _is_long_enough(secret: SecretStr) -> SecretStr:
    if 0 < len(secret.get_secret_value()) < 32:
        raise ValueError("must be 32 characters or more; `openssl rand -hex 32` makes one")
    return secret


def _is_address(host: str) -> str:
    try:
        ip_address(host)
    except ValueError:
        raise ValueError("must be an IP address, such as 127.0.0.1, 0.0.0.0 or ::") from None
    return host


def _are_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    for host in hosts:
        ascii_host(host)
    return hosts


def _is_name(name: str) -> str:
    if len(name) > 100 or not name.isprintable() or name != name.strip():
        raise ValueError("must be at most 100 printable characters, without space around them")
    return name


def _is_https_url(url: str) -> str:
    if not url:
        return url
    parts = parts_of(url, like="https://www.example.com/privacy")
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("must be a whole https URL, such as https://www.example.com/privacy")
    if "@" in parts.netloc or not url.isascii() or not url.isprintable() or set(url) & set(' "<>\\^`{|}'):
        raise ValueError("must be a plain URL: escape what is not ASCII, and leave out user names")
    ascii_host(parts.hostname)
    return url


def _is_contact(contact: str) -> str:
    if contact.lower().startswith("https://") or not contact:
        return _is_https_url(contact)
    match = _MAILBOX.fullmatch(contact)
    if not match:
        raise ValueError("must be an e-mail address or an https URL")
    ascii_host(match["host"])
    return contact


# What of RFC 5321's mailboxes needs no escaping in a mailto: URL.
_MAILBOX: Final = re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@(?P<host>[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+)")


def _are_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    for each in networks:
        network(each)
    return networks


_AsList = BeforeValidator(_split)
Address = Annotated[str, AfterValidator(_is_address)]
Port = Annotated[int, Field(ge=0, le=65535)]
Secret = Annotated[SecretStr, AfterValidator(_is_long_enough)]


class Settings(BaseModel):
    """Every setting, valid once built. `config/redirector.toml` explains each of them to the operator."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    data_dir: Annotated[Path, AfterValidator(_absolute)] = Field(default_factory=_default_data_dir)
    base_url: Annotated[str, AfterValidator(is_base_url)] = ""
    hosts: Annotated[tuple[PublicHost, ...], _AsList, AfterValidator(are_distinct)] = ()
    public_host: Address = "127.0.0.1"
    public_port: Port = 8080
    internal_host: Address = "127.0.0.1"
    internal_port: Port = 9090
    trusted_proxies: Annotated[tuple[str, ...], _AsList, AfterValidator(_are_networks)] = ()
    unknown_codes_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 60
    privacy_requests_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 10
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"

    operator_name: Annotated[str, AfterValidator(_is_name)] = ""
    operator_contact: Annotated[str, AfterValidator(_is_contact)] = ""
    operator_policy_url: Annotated[str, AfterValidator(_is_https_url)] = ""

    secret: Secret = SecretStr("")
    signing_keys: Annotated[tuple[Secret, ...], _AsList] = ()

    store_url: Annotated[SecretStr, AfterValidator(_is_store_url)] = SecretStr("")
    store_prefix: Annotated[str, AfterValidator(_is_prefix)] = "redirector"
    store_appendfsync: Literal["everysec", "always"] = "everysec"

    destinations_allowed: Annotated[tuple[str, ...], _AsList, AfterValidator(_are_hosts)] = ()

    record_deadline_ms: Annotated[int, Field(ge=1, le=60_000)] = 50
    record_waiting_max: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    spool_max_bytes: Annotated[int, Field(ge=1_048_576, le=2**60)] = 1024 * 1024 * 1024
    spool_max_age_days: Annotated[int, Field(ge=1, le=13)] = 7
    count_claim_after_ms: Annotated[int, Field(ge=100, le=3_600_000)] = 15_000
    count_hold_ms: Annotated[int, Field(ge=0, le=120_000)] = 30_000
    gateways_file: Annotated[str, AfterValidator(_absolute_if_any)] = ""
    stream_retention_days: Annotated[int, Field(ge=0, le=36_500)] = 30
    country_database: Annotated[str, AfterValidator(_absolute_if_any)] = ""
    isp_database: Annotated[str, AfterValidator(_absolute_if_any)] = ""
    access_log_days: Annotated[int, Field(ge=0, le=30)] = 0
    privacy_min_cell: Annotated[int, Field(ge=1, le=1_000)] = 10
    privacy_opt_out_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    links_in_memory: Annotated[int, Field(ge=1, le=100_000_000)] = 100_000
    topics_max: Annotated[int, Field(ge=1, le=10_000)] = 200
    api_wrong_keys_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    api_requests_per_second: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    body_max_bytes: Annotated[int, Field(ge=1_024, le=1024 * 1024 * 1024)] = 64 * 1024 * 1024
    audit_days: Annotated[int, Field(ge=1, le=36_500)] = 365

    @field_validator("*")
    @classmethod
    def _can_be_handed_down(cls, value: object) -> object:
        if "\0" in _as_text(value):
            raise ValueError("must not contain a NUL, which no environment variable can carry")
        return value

    def public_base_url(self) -> str:
        """Where tracked URLs point: the configured address, or else this machine's own."""
        return self.base_url or f"http://localhost:{self.public_port}"

    def base_urls(self) -> tuple[str, ...]:
        """Where tracked URLs may point: the main address first, then those of `hosts`."""
        return tuple(dict.fromkeys((self.public_base_url(), *(host.base_url for host in self.hosts))))

    def environment(self) -> dict[str, str]:
        """The same settings as environment variables, for the processes that `serve` starts."""
        return {PREFIX + name.upper(): _as_text(getattr(self, name)) for name in type(self).model_fields}


def set_aside_days(settings: Settings) -> int:
    """How many days what was set aside is kept: as long as clicks, and a day at the least, to look at it."""
    return settings.stream_retention_days or 1


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a process needs whose settings are given in another way."""
    return {name: value for name, value in environment.items() if name == DEBUG or not name.startswith(PREFIX)}


# A URL whose parts nobody can take for one another.
_URL: Final = re.compile(
    r"(?P<scheme>[a-z]+://)(?P<user>[^/?#@]*@)?"
    r"(?P<place>([\w.-]*|\[[\da-fA-F:.]*\])(:\d+)?(/[^?#@]*)?)(?P<parameters>\?[^#@]*)?"
)

# What is never shown.
SECRETS: Final = frozenset({"secret", "signing_keys"})


def shown(name: str, value: object) -> str:
    """A setting's value as people may see it: secrets are said to be set, passwords in URLs are starred out."""
    if name == "store_url":
        return without_password(_as_text(value))
    if isinstance(value, SecretStr):
        return "(set)" if value.get_secret_value() else ""
    if name == "signing_keys":
        return f"({len(value)} keys)" if isinstance(value, tuple) and value else ""
    return _as_text(value)


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, PublicHost):
        return value.model_dump_json(exclude_defaults=True)
    if isinstance(value, tuple):
        if value and isinstance(value[0], PublicHost):
            return f"[{','.join(map(_as_text, value))}]"
        items = [_as_text(item) for item in value]
        plain = all(item == item.strip() and item and "," not in item and item[0] != "[" for item in items)
        return ",".join(items) if plain else json.dumps(items, ensure_ascii=False)
    return str(value)


def without_password(text: str) -> str:
    """A URL, or what was meant as one, without what may be a password; of a malformed one, that is nearly all."""
    if "://" not in text and "@" not in text:
        return text
    parts = _URL.fullmatch(text)
    if parts is None:
        return (text.partition("://")[0] + "://***") if re.match(r"(rediss?|unix|https?)://", text) else "***"
    user, parameters = parts["user"] and "***@", parts["parameters"] and "?***"
    return f"{parts['scheme']}{user or ''}{parts['place']}{parameters or ''}"
