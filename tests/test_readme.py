"""What the README shows is what happens: its commands run, and its excerpt is the demo's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from redirector.demo.journey import newsletter
from redirector.settings import without_settings
from tests.conftest import Run, needed
from tests.processes import serving

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def without_clickers(table: str) -> list[str]:
    """The rows of a topics table, without the column that is an estimate and without the bars."""
    rows = re.findall(r"^(?:[a-z]+|all clicks)(?: +\d+){5}", table, re.MULTILINE)
    return [" ".join(row.split()) for row in rows]


def test_excerpt_is_what_the_demo_prints(run: Run) -> None:
    """The table in the README is the demo's own, to the last click."""
    excerpt = blocks("")[0]

    printed = run("demo").stdout

    assert len(without_clickers(excerpt)) == 6
    assert without_clickers(excerpt) == without_clickers(printed)
    assert "400 clicks sent, 400 redirected, 400 counted." in printed
    assert "400 clicks sent, 400 redirected, 400 counted." in excerpt


@pytest.mark.parametrize("number", [0, 1], ids=["on the same machine", "from elsewhere"])
def test_shell_examples_run(directory: Path, number: int) -> None:
    """Every command in the README's shell blocks succeeds, from top to bottom."""
    needed("curl")
    with serving(directory / "data") as running:
        (directory / "newsletter.html").write_bytes(newsletter())
        script = blocks("sh")[number].replace("http://127.0.0.1:9090", running.internal_url)
        shown = in_shell(
            f"set -eo pipefail\nredirector rewrite newsletter.html -c x -t solar -o /dev/null\n{script}", directory
        )

    assert shown.returncode == 0, shown.stderr
    assert (directory / "tracked.html").read_bytes().count(b"/c/") > 10


def test_python_example_runs(directory: Path) -> None:
    """The Python example prints a tracked URL and what became of the mail's links."""
    (example,) = blocks("python")
    with serving(directory / "data") as running:
        (directory / "newsletter.html").write_bytes(newsletter())
        there = {"REDIRECTOR_URL": running.internal_url, "REDIRECTOR_API_KEY": running.api_key}
        shown = subprocess.run(
            [sys.executable, "-c", example],
            cwd=directory,
            env=os.environ | there,
            capture_output=True,
            text=True,
            check=True,
        )

    assert re.fullmatch(r"http://\S+/c/\w+\n\d+ links tracked, \d+ left alone, 0 refused\n", shown.stdout)


def test_documents_name_files_that_exist() -> None:
    """Every relative link in the documents leads somewhere."""
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} names {target}"


def in_shell(script: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Runs a script as a reader of the README would, with the program on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = without_settings(os.environ) | {"PATH": path, "REDIRECTOR_DATA_DIR": str(directory / "data")}
    return subprocess.run(
        ["/bin/bash", "-c", script],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
