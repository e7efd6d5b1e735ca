"""The labelled corpus: requests as gateways, browsers and people make them, and what the rules make of each.

`data/clicks` has one file a family; each sequence names where it is known from. A request's `is` says who made it: that
is the truth, and never a suspicion. `python -m tests.corpus` prints the tables of docs/classes.md.
"""

import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from redirector import agents, facts
from redirector.behaviour import Mail
from redirector.classify import RULES_VERSION, Rule, classify
from redirector.clicks import Click, ClickClass, figures
from redirector.gateways import known
from redirector.hold import Hold
from redirector.privacy import kept
from redirector.rules import ALL_RULES, JUDGES
from redirector.store.clicks import Entry
from tests.builders import NOON, fields_of

FILES: Final = Path(__file__).parent / "data" / "clicks"
HOLD_MS: Final = 30_000  # the setting's default
SALT: Final = bytes(16)
TOKEN: Final = 8_675_309


@dataclass(frozen=True, slots=True)
class Judgement:
    """One request of the corpus: who made it, and what the rules say."""

    family: str
    sequence: str
    made_by: ClickClass
    judged: ClickClass
    rule: str


@cache
def sequences() -> list[tuple[str, dict[str, Any]]]:
    """(family, sequence) of all files; a sequence's requests carry their headers and networks."""
    networks = tomllib.loads((FILES / "networks.toml").read_text(encoding="utf-8"))
    addresses = {name: f"192.0.2.{number}" for number, name in enumerate(networks, start=1)}
    found = []
    for path in sorted(FILES.glob("*.toml")):
        if path.stem == "networks":
            continue
        family = tomllib.loads(path.read_text(encoding="utf-8"))
        for sequence in family["sequences"]:
            for request in sequence["requests"]:
                request["headers"] = family["headers"][request["headers"]]
                request["network"] = facts.Network(**networks[request["from"]])
                request["address"] = addresses[request["from"]]
            found.append((path.stem, sequence))
    return found


@cache
def judgements() -> list[Judgement]:
    """Every request of the corpus, judged as a running redirector does it."""
    return [judged for family, sequence in sequences() for judged in _judged(family, sequence)]


def _judged(family: str, sequence: dict[str, Any]) -> Iterator[Judgement]:
    requests = sorted(sequence["requests"], key=lambda request: request["at"])
    entries = [_entry(number, _click(number, sequence, request)) for number, request in enumerate(requests)]
    sent_at = NOON + sequence["sent_at"] if "sent_at" in sequence else None
    hold = Hold(JUDGES[RULES_VERSION], known(), hold_ms=HOLD_MS)
    hold.read(entries, 0.0)
    batch = hold.judged([entry.id for entry in entries], {"news": Mail(sequence["links"], sent_at)})
    for entry, request in zip(entries, requests, strict=True):
        click = batch.clicks[entry.id]
        yield Judgement(family, sequence["name"], ClickClass(request["is"]), click.class_, click.rule)


def _click(number: int, sequence: dict[str, Any], request: dict[str, Any]) -> Click:
    headers = [(name.encode(), value.encode()) for name, value in request["headers"].items()]
    seen = facts.read(request.get("method", "GET"), request["address"], headers)
    agent = agents.read(seen.user_agent)
    rule = classify(seen, agent, known(), honeypot=request.get("honeypot", False))
    keep = kept(seen, agent, recipient=TOKEN * sequence["recipient"], salt=SALT, network=request["network"])
    return Click(
        id=f"corpus-{number}",
        at=NOON + request["at"],
        link=request["link"],
        campaign="news",
        topics=(),
        class_=rule.class_,
        rule=rule.name,
        rules=RULES_VERSION,
        **keep._asdict(),
    )


def _entry(number: int, click: Click) -> Entry:
    return Entry.of(f"{click.at}-{number}", {str(k).encode(): str(v).encode() for k, v in fields_of(click).items()})


@dataclass(frozen=True, slots=True)
class Score:
    """Of one class: how many requests are its, how many were judged so, and how many of these rightly."""

    made: int
    judged: int
    right: int

    @property
    def precision(self) -> float:
        """The share of those judged so that are."""
        return self.right / self.judged

    @property
    def recall(self) -> float:
        """The share of those that are so that were judged so."""
        return self.right / self.made


def scores() -> dict[ClickClass, Score]:
    """The score of each class. A suspect is right where no reader made the request."""
    found = {}
    for class_ in ClickClass:
        judged = [each for each in judgements() if each.judged is class_]
        if class_ is ClickClass.SUSPECT:
            made, right = 0, sum(each.made_by is not ClickClass.HUMAN for each in judged)
        else:
            made = sum(each.made_by is class_ for each in judgements())
            right = sum(each.made_by is class_ for each in judged)
        found[class_] = Score(made, len(judged), right)
    return found


def score_table() -> str:
    """The scores as a table of the documents."""
    lines = ["| class | requests | judged so | precision | recall |", "|---|---|---|---|---|"]
    for class_, score in scores().items():
        made, recall = (str(score.made), f"{score.recall:.1%}") if score.made else ("", "")
        lines.append(f"| {class_} | {made} | {score.judged} | {score.precision:.1%} | {recall} |")
    return "\n".join(lines)


def figure_table() -> str:
    """The three figures of the corpus, and how many requests in each are a reader's."""
    lines = ["| figure | clicks | of them readers' |", "|---|---|---|"]
    of = figures(Counter(each.judged.value for each in judgements()))
    left_out = ClickClass.HUMAN, ClickClass.SUSPECT
    readers = [each.judged for each in judgements() if each.made_by is ClickClass.HUMAN]
    lines.append(f"| all | {of.all} | {len(readers)} |")
    lines.append(f"| without the certain | {of.without_certain} | {sum(each in left_out for each in readers)} |")
    human = sum(each is ClickClass.HUMAN for each in readers)
    lines.append(f"| without certain and suspect | {of.without_certain_and_suspect} | {human} |")
    return "\n".join(lines)


def mistake_table() -> str:
    """What was judged as something else than it is, by sequence."""
    lines = ["| sequence | is | judged | requests |", "|---|---|---|---|"]
    wrong = Counter(
        (each.sequence, each.made_by, each.judged, each.rule)
        for each in judgements()
        if each.judged is not each.made_by
    )
    for (sequence, made_by, judged, rule), requests in wrong.items():
        lines.append(f"| {sequence} | {made_by} | {judged} (`{rule}`) | {requests} |")
    return "\n".join(lines)


def rule_table() -> str:
    """Every rule, in the order in which they are asked."""
    lines = ["| rule | class | since | catches | known from |", "|---|---|---|---|---|"]
    lines += [_row(rule) for rule in ALL_RULES]
    return "\n".join(lines)


def _row(rule: Rule) -> str:
    known_from = "" if rule.known_from == "docs/classes.md" else rule.known_from
    return f"| `{rule.name}` | {rule.class_} | {rule.since} | {rule.catches} | {known_from or 'below'} |"


TABLES: Final = {"rules": rule_table, "scores": score_table, "figures": figure_table, "mistakes": mistake_table}

if __name__ == "__main__":
    for name, table in TABLES.items():
        sys.stdout.write(f"<!-- {name} -->\n{table()}\n<!-- end of {name} -->\n\n")
