"""The program's one entry point: its commands, and how an error ends it."""

import os
import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from redirector import __version__
from redirector.cli import console, logs
from redirector.cli.keeping import backup_command, export_command, restore_command
from redirector.cli.keys import keys_app
from redirector.cli.links import links_app, rewrite_command
from redirector.cli.operate import config_app, doctor_command
from redirector.cli.privacy import privacy_app
from redirector.cli.recipients import export_recipient_command, forget_command
from redirector.cli.recounting import recount_command
from redirector.cli.reports import report_command, topics_command
from redirector.cli.serving import run_app, serve_command
from redirector.cli.trying import demo_command
from redirector.errors import RedirectorError
from redirector.settings import DEBUG

app = typer.Typer(
    name="redirector",
    help="Tracked links for mails: mint them, follow them, count what interests readers, and keep readers' privacy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"redirector {__version__}\n")
        raise typer.Exit


@app.callback()
def program(
    *,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks, and log everything.")] = False,
) -> None:
    """What comes before every command."""
    if debug:
        os.environ[DEBUG] = "1"
    logs.log_to_stderr()


app.command("serve")(serve_command)
app.add_typer(run_app, name="run")
app.command("demo")(demo_command)
app.add_typer(keys_app, name="keys")
app.add_typer(links_app, name="links")
app.command("rewrite")(rewrite_command)
app.command("report")(report_command)
app.command("topics")(topics_command)
app.command("recount")(recount_command)
app.command("backup")(backup_command)
app.command("restore")(restore_command)
app.command("export-redirects")(export_command)
app.add_typer(privacy_app, name="privacy")
app.command("forget")(forget_command)
app.command("export")(export_recipient_command)
app.command("doctor")(doctor_command)
app.add_typer(config_app, name="config")


def main() -> None:
    """Runs the command line; the process ends with its exit code: 0, 1, 2 for wrong input, or 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal's charset may lack a name's letters
    try:
        try:
            app(prog_name="redirector")
        finally:
            sys.stdout.flush()  # while a reader who went away can still be told from other troubles
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end
        sys.exit(console.FAILED)
    except RedirectorError as error:
        if os.environ.get(DEBUG):
            raise
        sys.exit(console.fail(error))
    except OSError as error:
        if os.environ.get(DEBUG):
            raise
        sys.exit(console.fail(_refused(error)))
    except Exception as error:  # a traceback is for --debug alone
        if os.environ.get(DEBUG):
            raise
        unforeseen = RedirectorError(
            f"{type(error).__name__}: {error}", remedy="`redirector --debug ...` shows where it comes from"
        )
        sys.exit(console.fail(unforeseen))


def _refused(error: OSError) -> RedirectorError:
    """What the operating system refuses: a file of another user's, a full disk."""
    return RedirectorError(
        f"the system refuses it: {error.strerror or error}",
        part=str(error.filename or ""),
        remedy="see that this user may do that, and that there is room on the disk",
    )


if __name__ == "__main__":
    main()
