"""`links` and `rewrite`: tracked URLs, from a terminal or a script."""

import difflib
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from redirector.cli.checking import check_command
from redirector.cli.console import print_json, results, say, table, words
from redirector.cli.files import written_to
from redirector.cli.options import ConfigOption, DataDirOption, JSONOption, client_of
from redirector.cli.typed import all_of, as_typed, typed
from redirector.emails import decoded
from redirector.errors import InvalidInput, RedirectorError
from redirector.replies import RewrittenMail
from redirector.wire import (
    MAX_CHECKED_A_REQUEST,
    MAX_LINKS_A_REQUEST,
    LinkIn,
    LinkOut,
    RewriteOut,
    RewrittenLinkOut,
    parse,
)

Campaign = Annotated[str, typer.Option("--campaign", "-c", help="The campaign's name.")]
Topics = Annotated[list[str] | None, typer.Option("--topic", "-t", help="A topic; may be given several times.")]

STYLES: Final = {"tracked": "green", "planted": "green", "skipped": "yellow", "refused": "red"}

links_app = typer.Typer(no_args_is_help=True, help="Mint links, and look at them.")


@links_app.command("create")
def create(
    destinations: Annotated[list[str], typer.Argument(metavar="URL", help="Where the links lead.")],
    *,
    campaign: Campaign,
    topics: Topics = None,
    label: Annotated[str, typer.Option(help="Tells links to one destination apart.")] = "",
    expires_at: Annotated[
        str | None, typer.Option(metavar="WHEN", help="When the links end, like 2026-12-31T23:59; in UTC unless told.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Ask each URL first, and mint those that answer.")] = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JSONOption = False,
) -> None:
    """Mint a link for each URL, and print its tracked URL."""
    wanted: dict[str, object] = {"campaign": campaign, "topics": topics or [], "label": label}
    if expires_at is not None:
        wanted["expires_at"] = _in_utc(expires_at)
    made: list[LinkOut] = []
    refused: list[RedirectorError] = []
    with as_typed():
        rows = [parse(LinkIn, {"destination": destination, **wanted}) for destination in destinations]
    with as_typed(), client_of(data_dir, config) as client:
        together = MAX_CHECKED_A_REQUEST if check else MAX_LINKS_A_REQUEST
        for start in range(0, len(rows), together):
            part = slice(start, start + together)
            answers = client.create_links(rows[part], check=check)
            links = [answer for answer in answers if isinstance(answer, LinkOut)]
            made += links
            if not as_json:
                sys.stdout.writelines(link.url + "\n" for link in links)
            refused += [typed(answer, destinations[part]) for answer in answers if isinstance(answer, RedirectorError)]
    if as_json:
        print_json([link.model_dump(mode="json") for link in made])
    if refused:
        raise all_of(refused)


def _in_utc(moment: str) -> str:
    """A moment that names no offset, in UTC; `wire` says what is wrong with one that is none."""
    try:
        given = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return given.replace(tzinfo=given.tzinfo or UTC).isoformat()


@links_app.command("list")
def list_links(
    *, campaign: Campaign, data_dir: DataDirOption = None, config: ConfigOption = None, as_json: JSONOption = False
) -> None:
    """List a campaign's links."""
    with as_typed(), client_of(data_dir, config) as client:
        links = list(client.links(campaign))
    if as_json:
        print_json([link.model_dump(mode="json") for link in links])
        return
    shown = table("id", "tracked URL", "topics", "label", "destination", numbers=("id",), whole=("tracked URL",))
    for link in links:
        shown.add_row(str(link.id), link.url, ", ".join(link.topics), Text(link.label), Text(link.destination))
    results().print(shown)


links_app.command("check")(check_command)


def rewrite_command(
    mail: Annotated[str, typer.Argument(metavar="MAIL.html", help="The mail; - is stdin.")],
    *,
    campaign: Campaign,
    topics: Topics = None,
    recipient: Annotated[str, typer.Option(help="Whose mail it is, in a campaign with individual tracking.")] = "",
    charset: Annotated[str | None, typer.Option(help="The mail's charset, if the mail does not say.")] = None,
    never: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Leave links to it alone, such as the List-Unsubscribe header's; repeatable."),
    ] = None,
    honeypot: Annotated[
        str,
        typer.Option(metavar="URL", help="Plant a link to it that no reader can see: who follows it is a scanner."),
    ] = "",
    output: Annotated[str, typer.Option("--output", "-o", metavar="OUT", help="Where to write it; - is stdout.")] = "-",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; show what would happen.")] = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JSONOption = False,
) -> None:
    """Replace the links of a mail by tracked ones; every other byte stays as it is, but for a honeypot's."""
    if dry_run and output != "-":
        raise InvalidInput(
            "a dry run writes no mail", field="--output", part=output, remedy="leave out --output, or --dry-run"
        )
    html = _read(mail)
    with as_typed(), client_of(data_dir, config) as client:
        wanted = (html, campaign, topics or [])
        how: dict[str, Any] = {"recipient": recipient, "charset": charset, "never": never or [], "honeypot": honeypot}
        explain = partial(client.explain_rewrite, *wanted, **how)
        if dry_run and not as_json:
            _show_dry_run(html, charset, explain())
            return
        if not dry_run and not (as_json and output == "-"):
            rewritten = client.rewrite(*wanted, **how)
            with written_to(output, field="--output") as out:
                out.write(rewritten.mail)
            _say_counts(rewritten)
            if rewritten.refused:
                _say_refused(explain(dry_run=False))  # the same links: some refusals only come with minting
        if as_json:
            print_json(explain(dry_run=dry_run))


def _say_counts(rewritten: RewrittenMail) -> None:
    counts = f"{rewritten.tracked} links tracked, {rewritten.skipped} left alone, {rewritten.refused} refused"
    say(counts + (", a honeypot planted" if rewritten.planted else ""))


def _say_refused(explained: RewriteOut) -> None:
    for link in explained.links:
        if link.action == "refused":
            say(f"  {link.destination}: {link.detail}")


def _show_dry_run(html: bytes, charset: str | None, explained: RewriteOut) -> None:
    """The change as a unified diff on stdout, and what happens to each link on stderr."""
    before = decoded(html, charset=charset).splitlines(keepends=True)
    after = explained.html.splitlines(keepends=True)
    out = results()
    for line in difflib.unified_diff(before, after, "as it is", "as it would be", n=1):
        style = "green" if line.startswith("+") else "red" if line.startswith("-") else ""
        out.print(Text(line.rstrip("\r\n"), style=style), soft_wrap=True)
    shown = table("what", "destination", "topics", "why")
    for link in explained.links:
        shown.add_row(*_row(link))
    words().print(shown)


def _row(link: RewrittenLinkOut) -> tuple[Text, Text, str, Text]:
    why = link.detail if link.reason else ""
    return Text(link.action, style=STYLES[link.action]), Text(link.destination), ", ".join(link.topics), Text(why)


def _read(mail: str) -> bytes:
    if mail == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(mail).read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"the mail cannot be read: {error.strerror}", field="MAIL", part=mail, remedy="name a file, or - for stdin"
        ) from None
