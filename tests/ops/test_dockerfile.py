"""The Dockerfile reads well, pins what it installs, and sees only what it needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from redirector.settings import Settings
from tests.conftest import needed
from tests.ops.dockerfile import Instruction, context, instructions, stages

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = instructions(DOCKERFILE)


def only(keyword: str) -> Instruction:
    """The one instruction of this kind."""
    (found,) = [each for each in INSTRUCTIONS if each.keyword == keyword]
    return found


def test_linter_finds_nothing() -> None:
    """hadolint has no complaint, not even about style."""
    found = subprocess.run([needed("hadolint"), ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert (found.returncode, found.stdout) == (0, "")


def test_every_stage_is_the_python_that_the_tests_run_on() -> None:
    """Each stage is the slim image of one Python; in CI it is the one that runs these tests."""
    images = {stage[0].words()[0] for stage in stages(DOCKERFILE)}

    (image,) = images
    assert image.startswith("python:3.")
    assert "-slim" in image
    if os.environ.get("CI") == "true":
        assert image.startswith(f"python:{sys.version_info.major}.{sys.version_info.minor}-slim")


def test_packages_are_locked_with_hashes() -> None:
    """What comes from an index comes from the lock file, hashed and ready built; all else is the program itself."""
    installed = [
        line for each in INSTRUCTIONS for line in each.text.split("&&") if " install " in line and "pip" in line
    ]

    from_index, itself = installed
    assert all(word in from_index for word in ("--require-hashes", "--only-binary :all:", "requirements/runtime.txt"))
    assert all(word in itself.split() for word in ("--no-deps", "--no-build-isolation", "."))


def test_nothing_is_fetched_otherwise() -> None:
    """Files come from the directory itself or an earlier stage: no ADD, no download."""
    assert "ADD" not in {each.keyword for each in INSTRUCTIONS}
    assert not any(word in DOCKERFILE for word in ("curl", "wget", "git clone", "https://"))


def test_container_is_not_root() -> None:
    """The user is a number, which is how Kubernetes can tell that it is not root."""
    assert only("USER").text == "10001:10001"


def test_environment_names_settings() -> None:
    """Every REDIRECTOR_ variable is a setting, and every port that is told is the setting's default."""
    variables = {name for name in only("ENV").assigned() if name.startswith("REDIRECTOR_")}
    ports = {str(Settings.model_fields[name].default) for name in ("public_port", "internal_port")}

    assert {name.removeprefix("REDIRECTOR_").lower() for name in variables} <= set(Settings.model_fields)
    assert set(only("EXPOSE").words()) == ports
    assert only("VOLUME").text == only("ENV").assigned()["REDIRECTOR_DATA_DIR"]


def test_build_sees_what_it_copies_and_nothing_else() -> None:
    """Neither history nor tests nor what somebody left lying about can end in an image."""
    seen = {path.parts[0] for path in context(ROOT)}
    copied = {word.split("/")[0] for each in INSTRUCTIONS if each.keyword == "COPY" for word in each.words()[:-1]}

    assert seen == copied - {"--from=build", ""}
    assert not any(path.suffix == ".pyc" for path in context(ROOT))


@pytest.mark.parametrize(
    ("path", "is_seen"),
    [("kept/a.py", True), ("kept/deep/b.py", True), ("kept/c.pyc", False), ("other/a.py", False), ("x/y.txt", True)],
)
def test_last_line_that_fits_decides(tmp_path: Path, path: str, is_seen: bool) -> None:
    """The tests read .dockerignore as an engine does."""
    (tmp_path / ".dockerignore").write_text("# why\n*\n!kept\n!x/y.txt\n**/*.pyc\n", encoding="utf-8")
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).touch()

    assert (Path(path) in set(context(tmp_path))) == is_seen
