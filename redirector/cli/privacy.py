"""`privacy`: what this installation promises its readers."""

import typer
from rich.text import Text

from redirector.cli.console import print_json, results, table
from redirector.cli.options import ConfigOption, DataDirOption, JSONOption, settings_of
from redirector.ledger import OCCASIONS, described, ledger

privacy_app = typer.Typer(no_args_is_help=True, help="What is kept of readers.")


@privacy_app.callback()
def privacy() -> None:
    """Keeps `ledger` a command of its own while it is the only one."""


@privacy_app.command("ledger")
def ledger_command(*, data_dir: DataDirOption = None, config: ConfigOption = None, as_json: JSONOption = False) -> None:
    """Show every field that is kept: what it is, why, when, where it lies and goes, and for how long."""
    places = ledger(settings_of(config, data_dir=data_dir))
    if as_json:
        print_json(described(places))
        return
    out = results()
    for place in places:
        out.print(Text(place.name, style="bold"))
        out.print(Text(f"{place.about} Kept for: {place.kept_for}. Where it goes: {place.goes_to}"))
        shown = table("field", "what it is", "why", "when", "lies in", whole=("field",))
        for field in place.fields:
            shown.add_row(*map(Text, (field.name, field.what, field.why, OCCASIONS[field.when], field.lies_in)))
        out.print(shown)
        out.print()
