"""What the documents show is what happens: every command in their shell blocks runs, and every Python example."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import needed
from tests.processes import serving
from tests.test_readme import ROOT, in_shell

RUN = ("getting-started", "maintaining", "moving")
# What can be run of these without an engine, a cluster or Prometheus, tests/ops runs.
ELSEWHERE = {"operating", "monitoring"}


def document(name: str) -> str:
    """The text of a document."""
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", RUN)
def test_commands_run_from_top_to_bottom(directory: Path, name: str) -> None:
    """Every command of the document's shell blocks succeeds, in one shell, over a server of its own."""
    needed("curl")
    with serving(directory / "data") as running:
        script = "\n".join(blocks(document(name), "sh")).replace("http://127.0.0.1:9090", running.internal_url)
        shown = in_shell(f"set -eo pipefail\n. .venv/bin/activate\n{script}", directory)

    assert shown.returncode == 0, shown.stdout + shown.stderr


def test_python_example_runs(directory: Path) -> None:
    """The example of the first steps mints a link and changes it."""
    (example,) = blocks(document("getting-started"), "python")
    with serving(directory / "data") as running:
        there = {"REDIRECTOR_URL": running.internal_url, "REDIRECTOR_API_KEY": running.api_key}
        shown = subprocess.run(
            [sys.executable, "-c", example], env=os.environ | there, capture_output=True, text=True, check=False
        )

    assert shown.returncode == 0, shown.stderr
    assert re.fullmatch(r"http://\S+/c/\w+\n", shown.stdout)


def test_every_document_is_run_or_has_no_commands() -> None:
    """A document with shell blocks that no test runs would soon be wrong."""
    shown = {path.stem for path in (ROOT / "docs").glob("*.md") if blocks(path.read_text(encoding="utf-8"), "sh")}

    assert shown - ELSEWHERE == set(RUN)
