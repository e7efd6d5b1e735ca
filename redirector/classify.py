"""Who clicked: each rule is named, and the name goes with the click, so that it can be judged again.

The rules are versioned together: a click carries the version that judged it.
"""

from dataclasses import dataclass
from typing import Final

from redirector.agents import Agent
from redirector.clicks import ClickClass
from redirector.facts import RequestFacts

RULES_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """A click's class, and the name of the rule that decided it."""

    class_: ClickClass
    rule: str


HEAD: Final = Verdict(ClickClass.PROBE, "head-request")
PREFETCH: Final = Verdict(ClickClass.PREFETCH, "prefetch-header")
PREVIEWER: Final = Verdict(ClickClass.BOT, "link-previewer")
CRAWLER: Final = Verdict(ClickClass.BOT, "declared-crawler")
HUMAN: Final = Verdict(ClickClass.HUMAN, "no-sign")


def classify(facts: RequestFacts, agent: Agent) -> Verdict:
    """The first rule that applies: a HEAD, a prefetch that says so, a robot that says so; else a human."""
    if facts.method == "HEAD":
        return HEAD
    if facts.prefetch:
        return PREFETCH
    if agent.robot:
        return PREVIEWER if agent.robot == "previewer" else CRAWLER
    return HUMAN
