"""The one reader of flags, environment and files: everything else receives values.

A setting comes from a flag, else from its `REDIRECTOR_*` environment variable, else from the TOML file, else from
its default. In the file, tables only group: `url` in `[store]` is the setting `store_url`.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from redirector.errors import InvalidSetting
from redirector.settings import DEBUG, PREFIX, SECRETS, Settings, without_password

# Names the file, as `--config` does.
CONFIG: Final = "REDIRECTOR_CONFIG"

# Those that are no settings: the first two are read by the client.
OTHER_VARIABLES: Final = frozenset({"REDIRECTOR_URL", "REDIRECTOR_API_KEY", CONFIG, DEBUG})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting's value came from, for `config explain` and for errors."""

    kind: Literal["flag", "environment", "file", "default"]
    name: str


def load(
    flags: Mapping[str, object], environment: Mapping[str, str], config: Path | None = None
) -> tuple[Settings, dict[str, Origin]]:
    """The settings, and the origin of each.

    Raises InvalidSetting that names the key as its writer knows it, the value and the remedy.
    """
    config, named_by = (config, "--config") if config else _config_of(environment)
    values: dict[str, Any] = {}
    origins = {name: Origin("default", name) for name in Settings.model_fields}
    for name, value, origin in (*_from_file(config, named_by), *_from_environment(environment), *_from_flags(flags)):
        values[name] = value
        origins[name] = origin
    try:
        return Settings(**values), origins
    except ValidationError as error:
        raise _first_refusal(error, values, origins) from None


def unknown_variables(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variables that look like settings and are none, each with the setting that it resembles.

    Only near misses are named: in Kubernetes a service called `redirector` sets variables of that prefix too.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields} | OTHER_VARIABLES
    strangers = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
    return [(name, match[0]) for name in strangers if (match := difflib.get_close_matches(name, known, 1, 0.85))]


def _from_flags(flags: Mapping[str, object]) -> Iterator[tuple[str, object, Origin]]:
    for name, value in flags.items():
        if value is not None:
            yield name, value, Origin("flag", "--" + name.replace("_", "-"))


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, object, Origin]]:
    for name in Settings.model_fields:
        variable = PREFIX + name.upper()
        if environment.get(variable):
            yield name, environment[variable], Origin("environment", variable)


def _config_of(environment: Mapping[str, str]) -> tuple[Path | None, str]:
    path = environment.get(CONFIG)
    return Path(path) if path else None, CONFIG


def _from_file(path: Path | None, named_by: str) -> Iterator[tuple[str, object, Origin]]:
    if path is None:
        return
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSetting(
            f"the file cannot be read: {error.strerror}",
            field=named_by,
            part=str(path),
            remedy="name a file that is there and may be read",
        ) from None
    except ValueError as error:  # not TOML, not UTF-8, or a number of too many digits
        raise InvalidSetting(
            f"the file is not TOML: {error}", field=named_by, part=str(path), remedy="see config/redirector.toml"
        ) from None
    for key, value in _flattened(tables):
        name = key.replace(".", "_")
        if name not in Settings.model_fields:
            raise InvalidSetting(
                f"there is no such setting in {path}", field=key, remedy=_did_you_mean(name) or "remove it"
            )
        yield name, value, Origin("file", f"{key} in {path}")


def _flattened(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{above}{key}.")
        else:
            yield above + key, value


def _did_you_mean(name: str) -> str:
    match = difflib.get_close_matches(name, Settings.model_fields, 1)
    return f"did you mean {match[0]}?" if match else ""


def _first_refusal(error: ValidationError, values: Mapping[str, Any], origins: Mapping[str, Origin]) -> InvalidSetting:
    first = error.errors(include_url=False)[0]
    name, *inside = map(str, first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if name == "hosts" and inside:
        message = f"in its table {' '.join(inside)}: {message[:1].lower()}{message[1:]}"
    part = "" if name in SECRETS else without_password(str(values.get(name, "")))
    return InvalidSetting(
        message[:1].lower() + message[1:],
        field=origins[name].name if name in origins else name,
        part=part,
        remedy=f"config/redirector.toml explains {name}",
    )
