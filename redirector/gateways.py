"""Mail gateways that no list of robots knows, and the networks in which servers live: from a list that can be added to.

The list is `gateways.toml`; its head says what an entry of one's own looks like.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from redirector.errors import InvalidSetting

# A text that is shorter than this would be found in half of all user agents.
SHORTEST: Final = 3

# What comes behind this is not looked at, and not remembered.
READ_CHARACTERS: Final = 1_024


@dataclass(frozen=True, slots=True, eq=False)  # a list is looked up by what it is: hashing its texts takes 0.4 us
class Gateways:
    """Texts in lower case: one of them in its header makes a gateway, one in its owner's name a hosting network."""

    user_agents: tuple[str, ...] = ()
    native_hosts: tuple[str, ...] = ()
    hosting: tuple[str, ...] = ()

    def __add__(self, other: "Gateways") -> "Gateways":
        return Gateways(
            self.user_agents + other.user_agents, self.native_hosts + other.native_hosts, self.hosting + other.hosting
        )


def declared(gateways: Gateways, user_agent: str, native_host: str) -> bool:
    """Whether a request's headers name a gateway."""
    return _is_agent(gateways, user_agent[:READ_CHARACTERS]) or bool(
        native_host and _is_native_host(gateways, native_host[:READ_CHARACTERS])
    )


def is_hosting(gateways: Gateways, isp: str) -> bool:
    """Whether servers live in the network of this owner; who is not known owns no such network."""
    return bool(isp) and _is_owner(gateways, isp[:READ_CHARACTERS])


# Headers and owners repeat: looking one up takes 0.1 us, searching it for all texts 2.
@lru_cache(maxsize=8_192)
def _is_agent(gateways: Gateways, user_agent: str) -> bool:
    return _contains(gateways.user_agents, user_agent)


@lru_cache(maxsize=1_024)
def _is_native_host(gateways: Gateways, native_host: str) -> bool:
    return _contains(gateways.native_hosts, native_host)


@lru_cache(maxsize=8_192)
def _is_owner(gateways: Gateways, isp: str) -> bool:
    return _contains(gateways.hosting, isp)


def _contains(texts: Iterable[str], text: str) -> bool:
    text = text.lower()
    return any(each in text for each in texts)


def digest(gateways: Gateways) -> str:
    """16 hexadecimal digits that are the same for lists of the same texts, in whatever order."""
    texts = [sorted(set(part)) for part in (gateways.user_agents, gateways.native_hosts, gateways.hosting)]
    return hashlib.blake2b(json.dumps(texts).encode(), digest_size=8).hexdigest()


def known(own: str = "") -> Gateways:
    """The list, with what stands in the operator's own file; raises InvalidSetting when that is not such a list."""
    built_in = files("redirector").joinpath("gateways.toml").read_text(encoding="utf-8")
    return _parsed(tomllib.loads(built_in)) + (_own(Path(own)) if own else Gateways())


def _own(path: Path) -> Gateways:
    try:
        return _parsed(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        why = error.strerror or "it cannot be read"
    except (ValueError, TypeError, AttributeError) as error:
        why = str(error)
    raise InvalidSetting(
        f"the list of gateways cannot be used: {why}",
        field="gateways_file",
        part=str(path),
        remedy="write it like config/gateways.toml",
    )


def _parsed(tables: Mapping[str, Any]) -> Gateways:
    if unknown := tables.keys() - {"gateways", "networks"}:
        raise ValueError(f"there is no table {min(unknown)!r}")
    entries = tables.get("gateways", ())
    return Gateways(
        _texts(entry.get("user_agent") for entry in entries),
        _texts(entry.get("native_host") for entry in entries),
        _texts(tables.get("networks", {}).get("hosting", ())),
    )


def _texts(values: Iterable[object]) -> tuple[str, ...]:
    found = []
    for value in values:
        if value is None:
            continue
        if not isinstance(value, str) or len(value.strip()) < SHORTEST:
            raise ValueError(f"{value!r} is not a text of {SHORTEST} characters or more")
        found.append(value.strip().lower())
    return tuple(found)
