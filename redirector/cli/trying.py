"""`demo`: the whole way on a real newsletter, shown step by step."""

import signal
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from redirector.cli.console import FAILED, print_json, results, table, words
from redirector.cli.links import STYLES
from redirector.cli.options import JSONOption
from redirector.cli.reports import topics_table
from redirector.installation import Running

if TYPE_CHECKING:
    from redirector.demo import journey


def demo_command(
    *,
    data_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to keep everything; a temporary directory unless told."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the servers up until Ctrl-C.")] = False,
    clicks: Annotated[int, typer.Option(min=1, max=100_000, help="How many clicks to make.")] = 400,
    as_json: JSONOption = False,
) -> None:
    """See the whole way: a newsletter is rewritten, a crowd clicks, and the interest in each topic is counted."""
    from redirector.demo import journey

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: everything is cleared away
    with journey.data_directory(data_dir) as directory:
        _step("Starting a server of its own ...")
        with journey.served(directory) as running:
            _step(f"Rewriting a newsletter, then {clicks} clicks by readers, scanners, previewers and prefetchers ...")
            with Progress(
                TextColumn("clicks"),
                BarColumn(),
                MofNCompleteColumn(),
                console=words(),
                disable=not sys.stderr.isatty(),
            ) as bar:
                task = bar.add_task("clicks", total=clicks)
                crowd = Random(2)  # noqa: S311 - no secret: a fixed seed makes the same crowd each time
                travelled = journey.travel(running, clicks, crowd, lambda done: bar.update(task, completed=done))
            if as_json:
                print_json(_as_json(travelled, running))
                sys.stdout.flush()
            else:
                _show(travelled, running, keep)
            if keep:
                ends = {signal.SIGINT, signal.SIGTERM}
                signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # from now on they are waited for
                _step("The servers stay up. Ctrl-C ends them.")
                signal.sigwait(ends)
    if not travelled.adds_up:
        raise typer.Exit(FAILED)


def _step(sentence: str) -> None:
    words().print(Text(sentence, style="dim"))


def _as_json(travelled: "journey.Journey", running: Running) -> dict[str, Any]:
    """The journey as a program reads it; with --keep, the server's addresses and key still work."""
    return {
        "links": [link.model_dump(mode="json") for link in travelled.rewritten.links],
        "sent": dict(travelled.sent),
        "redirected": travelled.statuses[302],
        "topics": [topic.model_dump(mode="json") for topic in travelled.topics.topics],
        "without_topic": dict(travelled.without_topic),
        "clicks": travelled.topics.clicks,
        "tracked": travelled.tracked,
        "campaign": travelled.report.campaign,
        "public_url": running.public_url,
        "internal_url": running.internal_url,
        "api_key": running.api_key,
    }


def _show(travelled: "journey.Journey", running: Running, keep: bool) -> None:
    out = results()
    out.print(_links_table(travelled))
    out.print()
    out.print(_crowd_table(travelled.sent))
    out.print()
    out.print(topics_table(travelled.topics, travelled.without_topic))
    sent, counted = travelled.sent.total(), sum(travelled.topics.clicks.values())
    out.print()
    out.print(f"{sent} clicks sent, {travelled.statuses[302]} redirected, {counted} counted.", style="bold")
    out.print("A click on a link about two topics stands in both rows, and once in the sum.", style="dim")
    out.print()
    out.print(Text(f"$ curl -si {travelled.tracked}"))
    out.print(Text(travelled.answer))
    out.print()
    _where_to_look(travelled, running, keep)


def _links_table(travelled: "journey.Journey") -> Table:
    shown = table("what", "destination", "tracked URL, or why not", title="The newsletter's links")
    for link in travelled.rewritten.links:
        shown.add_row(
            Text(link.action, style=STYLES[link.action]), Text(link.destination), Text(link.url or link.detail)
        )
    return shown


def _crowd_table(sent: Counter[str]) -> Table:
    shown = table("who clicked", "clicks", numbers=("clicks",))
    for persona, clicks in sent.most_common():
        shown.add_row(persona, f"{clicks:,}")
    return shown


def _where_to_look(travelled: "journey.Journey", running: Running, keep: bool) -> None:
    out = results()
    if not keep:
        out.print("`redirector demo --keep` leaves the servers up for you to try.")
        return
    shown = table("try", "to see")
    shown.add_row(f"curl -si {travelled.tracked}", "a click")
    shown.add_row(
        f"curl -s {running.internal_url}/metrics | grep redirector_topic", "interest, as Prometheus scrapes it"
    )
    shown.add_row(f"{running.internal_url}/docs", "the API")
    key = f"REDIRECTOR_URL={running.internal_url} REDIRECTOR_API_KEY={running.api_key}"
    shown.add_row(f"{key} redirector report '{travelled.report.campaign}'", "what the campaign achieved")
    out.print(shown)
