"""The options that lead to the settings: the same words on every command."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

import pytest
from typer.main import get_command

from redirector.cli.main import app

# Roles share a store, and the demo has a directory of its own.
OTHERS: Final = {"--store-url": {"run redirect", "run api", "run worker"}, "--data-dir": {"demo"}}


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Each command with its full name."""
    below = getattr(command, "commands", {})
    if not below:
        yield name, command
    for word, each in below.items():
        yield from commands(each, f"{name} {word}".strip())


@pytest.mark.parametrize("option", ["--data-dir", "--store-url", "--config", "--json"])
def test_option_is_explained_once(option: str) -> None:
    """Whichever command has it explains it in the same words, but for those that mean something else."""
    helps: dict[str, set[str]] = defaultdict(set)
    for name, command in commands(get_command(app)):
        for parameter in command.params:
            if option in parameter.opts:
                helps[parameter.help].add(name)

    usual = max(helps.values(), key=len)
    assert len(usual) > 5
    assert sorted(map(sorted, helps.values())) == sorted(map(sorted, [usual, *filter(None, [OTHERS.get(option)])]))


@pytest.mark.parametrize("name", ["backup", "keys create", "recount", "doctor"])
def test_command_over_the_store_takes_what_leads_to_it(name: str) -> None:
    """Beside its own options it has those of the settings, and it asks for no settings."""
    command = dict(commands(get_command(app)))[name]
    there = {option for parameter in command.params for option in parameter.opts}

    assert there >= {"--data-dir", "--store-url", "--config"}
    assert "settings" not in {parameter.name for parameter in command.params}
