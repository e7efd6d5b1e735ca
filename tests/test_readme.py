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
ACTIVATE = ". .venv/bin/activate"


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


ROW = re.compile(r"^((?:topic|[a-z]+|\(no topic\)|all clicks)(?: +(?:\d+|[a-z]+)){7})((?: +\S+){0,2}) *$", re.MULTILINE)


def without_clickers(text: str) -> list[tuple[str, str]]:
    """The rows of a topics table, each with its bar, without the column that is an estimate."""
    table = text[text.index("topic  ") :]
    rows = [(found[1], found[2].split()) for found in ROW.finditer(table[: table.index("\n\n")])]
    return [(row, after[-1] if len(after) == 2 else "") for row, after in rows]


def test_excerpt_is_what_the_demo_prints(run: Run) -> None:
    """The table in the README is the demo's own, to the last click and the last eighth of a bar."""
    excerpt = blocks("")[0]

    printed = run("demo").stdout

    assert [bar for _, bar in without_clickers(excerpt)][1] == "█" * 24
    assert len(without_clickers(excerpt)) == 8
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
            f"set -eo pipefail\n{ACTIVATE}\nredirector rewrite newsletter.html -c x -t solar -o /dev/null\n{script}",
            directory,
        )

    assert shown.returncode == 0, shown.stderr
    assert (directory / "tracked.html").read_bytes().count(b"/c/") > 10


def test_shell_is_told_where_the_program_is() -> None:
    """The first command, and the first of the examples, make `redirector` a command of the shell."""
    assert [block.splitlines()[0].split("  ")[0] for block in (blocks("")[2], blocks("sh")[0])] == [ACTIVATE] * 2


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
    """Runs a script as a reader of the README would, beside the virtual environment that `make` has made."""
    (directory / ".venv").symlink_to(sys.prefix)
    inside = str(Path(sys.executable).parent)
    path = os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if each != inside)
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
