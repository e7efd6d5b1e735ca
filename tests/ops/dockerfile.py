"""A Dockerfile as its instructions, and what of a directory its build may see.

The .dockerignore is taken for a list of what goes in: it begins with `*`, and `!` brings back by name.
"""

import fnmatch
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its keyword, and the rest as it is written."""

    keyword: str
    text: str

    def words(self) -> list[str]:
        """The rest in its exec form, a JSON array; else word by word."""
        return list(json.loads(self.text)) if self.text.startswith("[") else self.text.split()

    def assigned(self) -> dict[str, str]:
        """The rest as NAME=VALUE pairs; quotes around a value are left out."""
        pairs = re.findall(r'([\w.]+)=("(?:[^"\\]|\\.)*"|\S*)', self.text)
        return {name: value.strip('"') for name, value in pairs}


def instructions(text: str) -> list[Instruction]:
    """A Dockerfile's instructions, in order; lines that a backslash continues are one."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ")
    return [Instruction(*line.strip().split(maxsplit=1)) for line in whole.splitlines() if line.strip()]


def stages(text: str) -> list[list[Instruction]]:
    """The instructions of each stage; each list begins with its FROM."""
    found: list[list[Instruction]] = []
    for each in instructions(text):
        if each.keyword == "FROM":
            found.append([])
        found[-1].append(each)
    return found


def context(directory: Path) -> Iterator[Path]:
    """The files in it that a build sees, relative to it: the last line of .dockerignore that fits decides."""
    lines = (directory / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*", "the list says what goes in"
    for top in sorted(directory.iterdir()):
        # What no line brings back is not looked into: a virtual environment has very many files.
        if any(pattern.startswith("!" + top.name) for pattern in patterns):
            for path in [top, *sorted(top.rglob("*"))]:
                if path.is_file() and not _ignored(path.relative_to(directory), patterns):
                    yield path.relative_to(directory)


def _ignored(path: Path, patterns: Sequence[str]) -> bool:
    ignored = False
    for pattern in patterns:
        if any(_fits(each, pattern.removeprefix("!")) for each in (path, *path.parents)):
            ignored = not pattern.startswith("!")
    return ignored


def _fits(path: Path, pattern: str) -> bool:
    """Docker's rules as far as they are used here: ** stands for directories, * for anything within a name."""
    if pattern.startswith("**/"):
        return fnmatch.fnmatchcase(path.name, pattern.removeprefix("**/"))
    return str(path) != "." and str(path).count("/") == pattern.count("/") and fnmatch.fnmatchcase(str(path), pattern)
