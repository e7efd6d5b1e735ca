"""`forget` and `export`: what the operator does for a reader who asks."""

import json
import sys
from typing import Annotated

import typer

from redirector.cli.console import print_json, results, say
from redirector.cli.options import ConfigOption, DataDirOption, JSONOption, client_of
from redirector.cli.typed import as_typed

RecipientOption = Annotated[
    str, typer.Option("--recipient", metavar="ID", help="Whom, by the id under which their mails were made.")
]


def forget_command(
    *,
    recipient: RecipientOption,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JSONOption = False,
) -> None:
    """Erase every click of a recipient up to now, also those that still wait on a disk."""
    with as_typed(), client_of(data_dir, config) as client:
        forgotten = client.forget_recipient(recipient)
    if as_json:
        print_json(forgotten)
    elif forgotten.clicks == 0:
        results().print("No click of this recipient is known. One that waits on a disk is erased when it arrives.")
    else:
        many = "All" if forgotten.clicks is None else f"{forgotten.clicks:,}"
        results().print(
            f"{many} clicks of this recipient up to {forgotten.up_to:%Y-%m-%d %H:%M:%S} UTC are being erased."
        )


def export_recipient_command(
    *,
    recipient: RecipientOption,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JSONOption = False,
) -> None:
    """Print everything that is recorded of a recipient: a JSON object a line, or one list with --json.

    First what they have asked for (opt-out, erasure), then each click. Clicks that wait on a disk come later.
    """
    found = 0
    with as_typed(), client_of(data_dir, config) as client:
        for record in client.export_recipient(recipient):
            before = ("[\n" if not found else ",\n") if as_json else ""
            sys.stdout.write(before + json.dumps(record, ensure_ascii=False) + ("" if as_json else "\n"))
            found += 1
    if as_json:
        sys.stdout.write("\n]\n" if found else "[]\n")
    known = "That is all that is known now." if found else "Nothing is known of this recipient now."
    say(f"{known} Clicks that wait on a disk, because the store could not take them, come later.")
