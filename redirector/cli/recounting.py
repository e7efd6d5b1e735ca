"""`recount`: a campaign's clicks judged again, by any version of the rules."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from redirector import gateways
from redirector.classify import RULES_VERSION
from redirector.cli.console import print_json, progress, results, say, table
from redirector.cli.options import JSONOption, store_of, with_settings
from redirector.cli.typed import as_typed
from redirector.clicks import ClickClass
from redirector.count import COUNTING_GROUP
from redirector.errors import InvalidInput
from redirector.hold import Hold
from redirector.judged_by import Difference, JudgedBy, differences
from redirector.judging import Mails
from redirector.recount import Recounted, Recounting
from redirector.rules import JUDGES
from redirector.settings import Settings
from redirector.store.campaigns import Campaigns
from redirector.store.clicks import stream_length
from redirector.store.judged_by import noted
from redirector.store.keys import Keys
from redirector.store.links import Links


@with_settings
def recount_command(
    settings: Settings,
    campaign: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The campaign's name.")],
    *,
    rules: Annotated[
        int, typer.Option("--rules", metavar="VERSION", help="Which version of the rules judges; see docs/classes.md.")
    ] = RULES_VERSION,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    without_missing: Annotated[
        bool, typer.Option("--without-missing", help="Give up clicks that have left the stream since.")
    ] = False,
    as_json: JSONOption = False,
) -> None:
    """Judge a campaign's clicks again and count its report anew; what Prometheus sees stays as it is.

    It goes by the moment of sending and the links that the campaign has now, whatever they were when it was counted.
    """
    if rules not in JUDGES:
        raise InvalidInput(
            "there is no such version of the rules",
            field="--rules",
            part=str(rules),
            remedy=f"use one of {', '.join(map(str, JUDGES))}",
        )
    with as_typed():
        result, differing = asyncio.run(
            _recounted(settings, campaign, rules, keep=dry_run, without_missing=without_missing)
        )
    if as_json:
        print_json(_as_json(campaign, rules, result, differing, changed=not dry_run))
        return
    results().print(_table(result))
    moved = _moved(result)
    counted = "would be counted" if dry_run else "are counted"
    say(f"{moved:,} of {result.after.total():,} clicks {counted} in another class than before, by rules {rules}.")
    if result.missing:
        say(f"{result.missing:,} clicks that were counted before are no longer in the stream, and given up.")


async def _recounted(
    settings: Settings, campaign: str, rules: int, *, keep: bool, without_missing: bool
) -> tuple[Recounted, Sequence[Difference]]:
    keys = Keys(settings.store_prefix)
    known = gateways.known(settings.gateways_file)
    by = JudgedBy(settings.count_hold_ms, rules, gateways.digest(known))
    async with store_of(settings) as redis:
        campaigns = Campaigns(redis, keys)
        await campaigns.existing(campaign, "CAMPAIGN")
        differing = _unasked(await noted(redis, keys, group=COUNTING_GROUP), by)
        for each in differing:
            say(f"warning: {_in_words(each)}, so that clicks may change their class for that alone; {each.remedy}.")
        recounting = Recounting(
            redis,
            keys,
            campaign,
            hold=Hold(JUDGES[rules], known, hold_ms=by.hold_ms),
            hold_ms=by.hold_ms,
            mail=(await Mails(campaigns, Links(redis, keys)).of([campaign]))[campaign],
            group=COUNTING_GROUP,
            run=secrets.token_hex(4),
        )
        with progress("clicks") as told:
            told(total=await stream_length(redis, keys))
            result = await recounting.run(
                keep=keep, without_missing=without_missing, told=lambda clicks: told(advance=clicks)
            )
    return result, differing


def _unasked(worker: JudgedBy | None, own: JudgedBy) -> Sequence[Difference]:
    """In what a recount differs from the worker, but for a version of the rules that was asked for."""
    found = differences(worker, own) if worker else []
    return [each for each in found if each.what != "rules" or own.rules == RULES_VERSION]


def _in_words(difference: Difference) -> str:
    if difference.what == "gateways":
        return "the worker that counts has another list of gateways"
    name = "the version of the rules" if difference.what == "rules" else difference.what
    return f"{name} is {difference.worker} where clicks are counted, and {difference.recount} here"


def _by_class(clicks: Mapping[tuple[str, str], int]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for (_, class_), count in clicks.items():
        sums[class_] += count
    return sums


def _moved(result: Recounted) -> int:
    """How many clicks are in another class than before."""
    return sum((result.after - Counter(result.before)).values())


def _table(result: Recounted) -> Table:
    before, after = _by_class(result.before), _by_class(result.after)
    shown = table("class", "before", "now", numbers=("before", "now"))
    for class_ in ClickClass:
        if before[class_] or after[class_]:
            changed = "" if before[class_] == after[class_] else "bold"
            shown.add_row(Text(class_, changed), f"{before[class_]:,}", Text(f"{after[class_]:,}", changed))
    return shown


def _as_json(
    campaign: str, rules: int, result: Recounted, differing: Sequence[Difference], *, changed: bool
) -> dict[str, Any]:
    links: dict[str, dict[str, dict[str, int]]] = {}
    for when, clicks in (("before", result.before), ("now", dict(result.after))):
        for (link, class_), count in clicks.items():
            links.setdefault(link, {"before": {}, "now": {}})[when][class_] = count
    return {
        "campaign": campaign,
        "rules": rules,
        "changed": changed,
        "moved": _moved(result),
        "missing": result.missing,
        "before": dict(_by_class(result.before)),
        "now": dict(_by_class(result.after)),
        "links": {link: classes for link, classes in sorted(links.items()) if classes["before"] != classes["now"]},
        "decided": dict(result.rules.most_common()),
        "differs_from_worker": [asdict(each) for each in differing],
    }
