"""Country and provider of an address, from real files of the format."""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector.errors import InvalidSetting
from redirector.facts import NOWHERE, Network
from redirector.networks import Networks
from tests.conftest import Run
from tests.networks import countries, providers, write_database

# Among these files are some that end a process which goes through their networks with the library's C code.
SEED, FILES = 6, 400


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    """A file of each kind over one network of each version of IP."""
    directory = tmp_path_factory.mktemp("databases")
    country = countries(directory / "c.mmdb", {"192.0.2.0/24": "DE", "2001:db8::/32": "AT"})
    isp = providers(directory / "p.mmdb", {"192.0.2.0/25": "Example Net"})
    return Networks(country=str(country), isp=str(isp))


@pytest.mark.parametrize(
    ("address", "network"),
    [
        pytest.param("192.0.2.1", Network("DE", "Example Net"), id="in both files"),
        pytest.param("192.0.2.200", Network("DE", ""), id="in one"),
        pytest.param("::ffff:192.0.2.1", Network("DE", "Example Net"), id="as a socket of both kinds has it"),
        pytest.param("2001:db8::1", Network("AT", ""), id="IPv6"),
        pytest.param("203.0.113.1", NOWHERE, id="in none"),
        pytest.param("", NOWHERE, id="not known"),
        pytest.param("fe80::1%eth0", NOWHERE, id="with a zone"),
        pytest.param("localhost", NOWHERE, id="no address"),
    ],
)
def test_network_of_an_address(both: Networks, address: str, network: Network) -> None:
    """The country's code and the provider's name, where the files have them."""
    assert both.of(address) == network


@given(st.text())
def test_whatever_is_no_address_is_nowhere(both: Networks, text: str) -> None:
    """No text ends in an error."""
    assert both.of("x" + text) == NOWHERE


@pytest.mark.parametrize(
    ("record", "network"),
    [
        pytest.param({"country": {"iso_code": "CH"}}, Network(country="CH"), id="GeoIP2 country"),
        pytest.param({"country_code": "CH", "country": "Switzerland"}, Network(country="CH"), id="IPinfo"),
        pytest.param({"country": "CH"}, Network(country="CH"), id="IPinfo country"),
        pytest.param(
            {"isp": "Example", "autonomous_system_organization": "AS"}, Network(isp="Example"), id="GeoIP2 ISP"
        ),
        pytest.param({"as_name": "Example"}, Network(isp="Example"), id="IPinfo AS"),
    ],
)
def test_words_of_several_makers(tmp_path: Path, record: dict[str, object], network: Network) -> None:
    """Each maker of such files has names of its own for the same."""
    path = str(write_database(tmp_path / "one.mmdb", {"192.0.2.0/24": record}))
    networks = Networks(country=path) if network.country else Networks(isp=path)

    assert networks.of("192.0.2.1") == network


def test_without_files_nothing_is_known() -> None:
    """Both are off unless they are configured."""
    assert Networks().of("192.0.2.1") == NOWHERE


@pytest.mark.parametrize("setting", ["country", "isp"])
@pytest.mark.parametrize(
    "content", [None, b"", b"no database", "other"], ids=["absent", "empty", "no such file", "other"]
)
def test_file_that_cannot_be_used_is_refused(tmp_path: Path, setting: str, content: bytes | str | None) -> None:
    """At start a file that is absent, or none, or of the other kind, is named, with the remedy."""
    path = tmp_path / "file.mmdb"
    if content == "other":
        (providers if setting == "country" else countries)(path, {"192.0.2.0/24": "DE" if setting == "isp" else "Net"})
    elif isinstance(content, bytes):
        path.write_bytes(content)

    with pytest.raises(InvalidSetting) as refused:
        Networks(**{setting: str(path)})

    assert refused.value.field == f"REDIRECTOR_{setting.upper()}_DATABASE"
    assert refused.value.part == str(path)


# What a process does that starts with each of the files: it refuses those that it cannot use, and asks the others.
LOOK_UP = """
import sys
from redirector.errors import InvalidSetting
from redirector.networks import Networks

refused = 0
for path in sys.argv[1:]:
    try:
        networks = Networks(country=path)
    except InvalidSetting as error:
        assert error.field == "REDIRECTOR_COUNTRY_DATABASE" and error.part == path, error
        assert error.detail.isprintable(), error
        refused += 1
        continue
    for third in range(10):
        for fourth in range(10):
            assert len(networks.of(f"10.{third}.{fourth}.1").country) in {0, 2}
print(refused)
"""


def test_damaged_files_end_no_process(tmp_path: Path) -> None:
    """Cut off, with bytes changed, or written over in part: each is refused by name, or read, and nothing crashes."""
    codes = {f"10.{third}.{fourth}.0/24": ("DE", "FR", "AT")[fourth % 3] for third in range(10) for fourth in range(10)}
    sound = countries(tmp_path / "sound.mmdb", codes).read_bytes()
    random = Random(SEED)
    paths = []
    for number in range(FILES):
        path = tmp_path / f"{number}.mmdb"
        path.write_bytes(damaged(sound, random))
        paths.append(str(path))
    process = subprocess.run([sys.executable, "-c", LOOK_UP, *paths], capture_output=True, text=True, check=False)

    assert process.returncode == 0, process.stderr
    assert FILES / 4 < int(process.stdout) < FILES


def damaged(sound: bytes, random: Random) -> bytes:
    """The file as a disk or a download may leave it."""
    if random.random() < 0.3:
        return sound[: random.randrange(len(sound))]
    data = bytearray(sound)
    if random.random() < 0.3:
        start = random.randrange(len(data))
        data[start : start + random.randrange(2_000)] = random.randbytes(random.randrange(2_000))
        return bytes(data)
    for _ in range(random.choice([1, 10, 100])):
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("content", [b"", b"no database", "cut off"], ids=["empty", "no such file", "cut off"])
def test_server_refuses_to_start_with_a_file_that_is_none(directory: Path, run: Run, content: bytes | str) -> None:
    """In one sentence that names the setting and the file, with the remedy."""
    path = countries(directory / "countries.mmdb", {"192.0.2.0/24": "DE"})
    path.write_bytes(content if isinstance(content, bytes) else path.read_bytes()[:-20])
    serve = ("serve", "--data-dir", str(directory), "--public-port", "0", "--internal-port", "0")
    refused = run(*serve, REDIRECTOR_COUNTRY_DATABASE=str(path))

    assert refused.returncode == 2
    assert refused.stderr.startswith("error: REDIRECTOR_COUNTRY_DATABASE: the file cannot be used: ")
    assert str(path) in refused.stderr
    assert "try: name a file in MaxMind's format" in refused.stderr


def test_file_that_was_replaced_is_taken_up(tmp_path: Path) -> None:
    """Once it has stayed the same from one look to the next; a look finds nothing new else."""
    networks = Networks(country=str(countries(tmp_path / "c.mmdb", {"192.0.2.0/24": "DE"})))
    countries(tmp_path / "c.mmdb", {"192.0.2.0/24": "FR"})
    networks.renew()
    assert networks.of("192.0.2.1").country == "DE"
    networks.renew()

    assert networks.of("192.0.2.1").country == "FR"


@pytest.mark.parametrize("spoil", ["written over", "cut off", "removed"])
def test_file_that_is_spoiled_is_not_taken_up(tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: str) -> None:
    """The old one goes on, though somebody writes over the very file that was read; a warning says so once."""
    path = countries(tmp_path / "c.mmdb", {"192.0.2.0/24": "DE"})
    networks = Networks(country=str(path))
    if spoil == "removed":
        path.unlink()
    else:
        os.truncate(path, 0)
        path.write_bytes(b"" if spoil == "cut off" else b"no database" * 10_000)
    for _ in range(4):
        networks.renew()

    assert networks.of("192.0.2.1").country == "DE"
    assert len(caplog.messages) == (0 if spoil == "removed" else 1)
    assert "192.0.2" not in caplog.text
