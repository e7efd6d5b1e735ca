"""config/redirector.toml has every setting, with exactly its default, and nothing else."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from annotated_types import Ge, Le

from redirector.origins import load
from redirector.settings import Settings
from tests.conftest import Run

FILE = Path(__file__).parent.parent / "config" / "redirector.toml"

# Their defaults depend on the machine: the comment above each says how.
EXPLAINED = {"data_dir": "Default: $XDG_DATA_HOME/redirector", "base_url": "Default: this machine's own port"}

_SETTING = re.compile(r"^#(?=[a-z_]+ = )", re.MULTILINE)


def uncommented() -> str:
    """The file with every setting in force."""
    return _SETTING.sub("", FILE.read_text(encoding="utf-8"))


def values() -> dict[str, Any]:
    """Every setting of the file by its name."""
    flat: dict[str, Any] = {}
    for key, value in tomllib.loads(uncommented()).items():
        flat |= {f"{key}_{name}": each for name, each in value.items()} if isinstance(value, dict) else {key: value}
    return flat


@pytest.mark.parametrize("name", Settings.model_fields)
def test_setting_stands_in_the_file(name: str) -> None:
    """Each setting stands in the file."""
    assert name in values()


def test_nothing_else_stands_in_the_file() -> None:
    """What stands in the file is a setting."""
    assert set(values()) == set(Settings.model_fields)


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name not in EXPLAINED])
def test_value_is_the_default(tmp_path: Path, name: str) -> None:
    """A setting's value in the file is its default."""
    path = tmp_path / "redirector.toml"
    path.write_text(uncommented(), encoding="utf-8")

    settings, origins = load({}, {}, path)

    assert getattr(settings, name) == getattr(Settings(), name)
    assert origins[name].kind == "file"


@pytest.mark.parametrize("name", EXPLAINED)
def test_default_that_depends_is_explained(name: str) -> None:
    """Where the default follows from the machine, the comment above the setting says so."""
    above = FILE.read_text(encoding="utf-8").partition(f"#{name} = ")[0].rpartition("\n\n")[2]

    assert EXPLAINED[name] in above


def explanations() -> dict[str, str]:
    """What stands above each setting, by its name, up to an empty line: some share it."""
    told: dict[str, str] = {}
    table = ""
    above: list[str] = []
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            table = f"{match[1]}_"
        elif match := re.match(r"#(\w+) = ", line):
            told[table + match[1]] = " ".join(above)
        elif line.startswith("# "):
            above.append(line.removeprefix("# "))
        elif not line:
            above = []
    return told


def bounds(name: str) -> tuple[Any, Any] | None:
    """The least and the greatest that a setting may be; None where it is no number."""
    field = Settings.model_fields[name]
    if field.annotation is not int:
        return None
    (least,) = [each.ge for each in field.metadata if isinstance(each, Ge)]
    (greatest,) = [each.le for each in field.metadata if isinstance(each, Le)]
    return least, greatest


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if bounds(name)])
def test_bounds_stand_with_the_setting(name: str) -> None:
    """Each number's explanation ends with its least and its greatest, in the same words everywhere."""
    least, greatest = bounds(name) or (0, 0)

    assert explanations()[name].endswith(f" From {least:,} to {greatest:,}.")


def test_file_as_it_is_changes_nothing() -> None:
    """The file, unchanged, sets nothing."""
    settings, origins = load({}, {}, FILE)

    assert settings == Settings()
    assert {origin.kind for origin in origins.values()} == {"default"}


def test_file_can_be_explained(run: Run) -> None:
    """`config explain` takes the file."""
    explained = run("config", "explain", "--config", str(FILE))

    assert explained.returncode == 0, explained.stderr
    assert [line.split()[0] for line in explained.stdout.splitlines()[1:]] == list(Settings.model_fields)
