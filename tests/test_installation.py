"""What an installation keeps beside its store: one secret, and where its server is found, for its user only."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from redirector.errors import InvalidSetting
from redirector.installation import Running, announced, expect_format, running_in, secret_in, secret_of
from redirector.store.embedded import ownership

HERE = Running(os.getpid(), "http://127.0.0.1:8080", "http://127.0.0.1:9090", "rdr_key")


def mode(path: Path) -> int:
    """Who may do what with the file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_secret_is_made_once(tmp_path: Path) -> None:
    """The first question makes the secret, 64 hexadecimal digits; every further one finds it."""
    first = secret_of(tmp_path / "data")

    assert len(bytes.fromhex(first.get_secret_value())) == 32
    assert secret_of(tmp_path / "data") == first
    assert secret_of(tmp_path / "other") != first


def test_secret_is_private(tmp_path: Path) -> None:
    """Only the user may look into a new data directory, and read the secret; no draft of it stays."""
    previous = os.umask(0)
    try:
        secret_of(tmp_path / "data")
    finally:
        os.umask(previous)

    assert mode(tmp_path / "data") == 0o700
    assert mode(tmp_path / "data" / "secret") == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret"]


def test_secret_is_the_same_for_all_who_race_for_it(tmp_path: Path) -> None:
    """Processes that ask at the same moment all get the one secret that stays."""
    code = (
        "import sys; from pathlib import Path; from redirector.installation import secret_of; sys.stdin.read(); "
        "print(secret_of(Path(sys.argv[1])).get_secret_value())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "data")]
    gate_out, gate_in = os.pipe()  # all wait for its end, and set off together
    racers = [subprocess.Popen(command, stdin=gate_out, stdout=subprocess.PIPE, text=True) for _ in range(12)]
    os.close(gate_out)
    os.close(gate_in)

    found = {racer.communicate()[0].strip() for racer in racers}

    assert found == {secret_of(tmp_path / "data").get_secret_value()}
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret"]


def test_secret_of_somebody_faster_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that appears after this process found none is not replaced."""
    (tmp_path / "secret").write_text("0" * 64 + "\n")
    real_exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: path.name != "secret" and real_exists(path))

    assert secret_of(tmp_path).get_secret_value() == "0" * 64


def test_server_is_found_while_it_is_announced(tmp_path: Path) -> None:
    """A server is found in its data directory as long as it says so."""
    with ownership(tmp_path):
        with announced(HERE, tmp_path):
            during = running_in(tmp_path)
        after = running_in(tmp_path)

    assert during == HERE
    assert after is None
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_announcement_is_private(tmp_path: Path) -> None:
    """The announcement holds an API key, and only the user may read it."""
    previous = os.umask(0)
    try:
        with announced(HERE, tmp_path):
            found = mode(tmp_path / "running.json")
    finally:
        os.umask(previous)

    assert found == 0o600


def test_dead_server_is_not_found(tmp_path: Path) -> None:
    """An announcement that a killed server left behind counts for nothing."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with ownership(tmp_path), announced(Running(ended.pid, "http://a", "http://b", "rdr_key"), tmp_path):
        assert running_in(tmp_path) is None


def test_process_with_a_dead_servers_number_is_no_server(tmp_path: Path) -> None:
    """After a SIGKILL another process may get the number that stands in the announcement: it is not taken for one."""
    with ownership(tmp_path):
        pass  # what a killed server leaves: its lock's file, and its announcement
    with announced(HERE, tmp_path):
        assert running_in(tmp_path) is None


def test_server_that_is_only_starting_is_not_found(tmp_path: Path) -> None:
    """The announcement of the one before it is not believed while another process owns the directory."""
    with ownership(tmp_path), announced(Running(HERE.pid + 1, "http://a", "http://b", "rdr_key"), tmp_path):
        assert running_in(tmp_path) is None


def test_secret_is_found_and_never_made_by_looking(tmp_path: Path) -> None:
    """Whether there is a secret can be asked without making one."""
    before = secret_in(tmp_path / "data")
    made = secret_of(tmp_path / "data")

    assert before is None
    assert secret_in(tmp_path / "data") == made


def test_directory_that_is_not_there_has_no_server(tmp_path: Path) -> None:
    """Where nothing is, nothing runs."""
    assert running_in(tmp_path / "missing") is None


FIELDS = {"pid": os.getpid(), "public_url": "http://a", "internal_url": "http://b", "api_key": "k"}


@pytest.mark.parametrize(
    "text",
    [
        b"", b"garbage", b"\xff\xfe", b"[]", b"null", b"{}",
        json.dumps({**FIELDS, "pid": "1"}).encode(), json.dumps({**FIELDS, "pid": 0}).encode(),
        json.dumps({**FIELDS, "pid": -1}).encode(), json.dumps({**FIELDS, "pid": 10**30}).encode(),
        json.dumps({**FIELDS, "pid": True}).encode(), json.dumps({**FIELDS, "api_key": 5}).encode(),
        json.dumps(FIELDS).encode()[:-5], b"[" * 100_000,
    ],
    ids=[
        "empty", "no JSON", "no UTF-8", "a list", "null", "no fields", "pid as text", "pid 0", "pid -1",
        "pid too large", "pid true", "key a number", "torn", "very deep",
    ],
)  # fmt: skip
def test_garbage_announces_nothing(tmp_path: Path, text: bytes) -> None:
    """A file that is no announcement counts for nothing, and breaks nothing."""
    (tmp_path / "running.json").write_bytes(text)

    with ownership(tmp_path):
        assert running_in(tmp_path) is None


def test_file_with_every_field_is_an_announcement(tmp_path: Path) -> None:
    """The fields that the cases above spoil are right when unspoiled."""
    (tmp_path / "running.json").write_text(json.dumps(FIELDS))

    with ownership(tmp_path):
        found = running_in(tmp_path)

    assert found == Running(**FIELDS)  # type: ignore[arg-type]


def test_server_that_cannot_be_announced_runs(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A disk that takes no file costs the commands their way to the server, not readers theirs."""
    (directory / "running.json.new").mkdir()

    with announced(Running(1, "http://a", "http://b", "key"), directory):
        assert running_in(directory) is None

    assert "commands will not find this server" in caplog.text


@pytest.mark.parametrize("written", ["2", "99999", "unknown", "-1", "0", "1.5"])
def test_directory_of_a_later_version_is_left_alone(directory: Path, written: str) -> None:
    """What another version wrote is not touched; the error says which one is needed, and how else to go on."""
    (directory / "format").write_text(written + "\n")

    with pytest.raises(InvalidSetting, match="this version knows up to 1") as refusal:
        expect_format(directory)

    assert (refusal.value.part, (directory / "format").read_text()) == (str(directory), written + "\n")
    assert "redirector restore" in refusal.value.remedy


def test_directory_is_marked_once(directory: Path) -> None:
    """A new directory is marked with this version's format, and opens again."""
    expect_format(directory)
    expect_format(directory)

    assert [path.name for path in directory.iterdir()] == ["format"]
