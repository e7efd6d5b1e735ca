"""`links check`: whether the destinations of links answer, asked from where the command runs."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from redirector.ask import Asker
from redirector.check import Checked, Checker, Verdict
from redirector.cli.console import FAILED, print_json, progress, results, say, table
from redirector.cli.options import ConfigOption, DataDirOption, JSONOption, client_of, settings_of
from redirector.cli.typed import as_typed
from redirector.destinations import DestinationPolicy
from redirector.hosts import host_of
from redirector.wire import LinkOut

# In the order in which they are shown.
STYLES: Final = {Verdict.BROKEN: "red", Verdict.UNSURE: "yellow", Verdict.ANSWERS: "green"}


def check_command(
    *,
    campaign: Annotated[
        str | None, typer.Option("--campaign", "-c", help="The campaign's name; all campaigns unless told.")
    ] = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JSONOption = False,
) -> None:
    """Ask the destinations of links whether they answer; the exit code is 1 when one is broken.

    Links that are disabled lead nowhere, and are left out.
    """
    with as_typed(), client_of(data_dir, config) as client:
        links = [link for link in client.links(campaign) if not link.disabled]
    settings = settings_of(config, data_dir=data_dir)
    own_hosts = frozenset(map(host_of, settings.base_urls()))
    policy = DestinationPolicy(own_hosts, settings.destinations_allowed)
    if show(asyncio.run(checked(links, Checker(Asker()), policy)), as_json=as_json):
        raise typer.Exit(FAILED)


async def checked(
    links: Sequence[LinkOut], checker: Checker, policy: DestinationPolicy
) -> list[tuple[LinkOut, Checked]]:
    """What was found of each link, the broken ones first.

    A link's own URL says under which hosts its redirector answers: no redirect may lead back there.
    """
    policy = replace(policy, own_hosts=policy.own_hosts | {host_of(link.url) for link in links})
    found = {}
    destinations = dict.fromkeys(link.destination for link in links)
    with progress("links") as told:
        told(total=len(destinations))
        async for one in checker.each(destinations, policy):
            found[one.destination] = one
            told(advance=1)
    order = list(STYLES)
    rows = [(link, found[link.destination]) for link in links]
    return sorted(rows, key=lambda row: (order.index(row[1].verdict), row[0].id))


def _as_json(link: LinkOut, found: Checked) -> dict[str, Any]:
    return {
        "id": link.id,
        "campaign": link.campaign,
        "destination": link.destination,
        "verdict": found.verdict.value,
        "status": found.status,
        "final_url": found.hops[-1] if found.hops else None,
        "hops": list(found.hops),
        "reason": found.reason,
        "detail": found.detail,
    }


def show(rows: Sequence[tuple[LinkOut, Checked]], *, as_json: bool) -> int:
    """Prints what was found, and answers how many links are broken. In the table, those that answer are left out."""
    count = {verdict: sum(found.verdict is verdict for _, found in rows) for verdict in STYLES}
    if as_json:
        print_json([_as_json(link, found) for link, found in rows])
    elif count[Verdict.ANSWERS] < len(rows):
        shown = table("link", "campaign", "what", "status", "why", "destination", numbers=("link", "status"))
        for link, found in rows:
            if found.verdict is not Verdict.ANSWERS:
                what = Text(found.verdict.value, style=STYLES[found.verdict])
                cells = (Text(link.campaign), what, str(found.status or ""), Text(found.detail))
                shown.add_row(str(link.id), *cells, Text(link.destination))
        results().print(shown)
    answer, unsure, broken = (count[each] for each in (Verdict.ANSWERS, Verdict.UNSURE, Verdict.BROKEN))
    say(f"{answer:,} links answer, {unsure:,} cannot be told, {broken:,} are broken")
    return broken
