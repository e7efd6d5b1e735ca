"""Who clicked, as far as one request shows it: the first rule that applies gives a click its class.

Rules are named, and the name goes with the click, with the version of the rules: so it can be judged again.
`behaviour` has the rules that need more than one click.
"""

from dataclasses import dataclass
from typing import Final

from redirector.agents import Agent
from redirector.clicks import ClickClass
from redirector.facts import RequestFacts
from redirector.gateways import Gateways, declared

RULES_VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule's name, the class that it gives, what it catches, where that is known from, and its first version."""

    name: str
    class_: ClickClass
    catches: str
    known_from: str
    since: int = 2


HEAD: Final = Rule(
    "head-request",
    ClickClass.PROBE,
    "A HEAD asks whether the link works, and shows nobody its page.",
    "RFC 9110, section 9.3.2",
    since=1,
)
HONEYPOT: Final = Rule(
    "honeypot-link",
    ClickClass.SCANNER,
    "The link cannot be seen in the mail: who follows it reads the mail's source.",
    "docs/classes.md",
)
PREFETCH: Final = Rule(
    "prefetch-header",
    ClickClass.PREFETCH,
    "The browser says that it fetches the page ahead of a click.",
    "https://fetch.spec.whatwg.org/#sec-purpose-header",
    since=1,
)
GATEWAY: Final = Rule(
    "declared-gateway",
    ClickClass.SCANNER,
    "A mail gateway that names itself looks where the link leads.",
    "config/gateways.toml, with a source for each",
)
PREVIEWER: Final = Rule(
    "link-previewer",
    ClickClass.BOT,
    "A chat program or social network draws a preview of the page.",
    "https://github.com/monperrus/crawler-user-agents",
    since=1,
)
CRAWLER: Final = Rule(
    "declared-crawler",
    ClickClass.BOT,
    "A crawler, monitor or library names itself.",
    "https://github.com/monperrus/crawler-user-agents",
    since=1,
)
BARE_BROWSER: Final = Rule(
    "bare-browser",
    ClickClass.SUSPECT,
    "A browser that always sends Accept-Language and Sec-Fetch-* sends neither.",
    "https://www.w3.org/TR/fetch-metadata/ and RFC 9110, section 12.5.4",
)
HUMAN: Final = Rule("no-sign", ClickClass.HUMAN, "Nothing speaks against a reader.", "", since=1)

REQUEST_RULES: Final = (HEAD, HONEYPOT, PREFETCH, GATEWAY, PREVIEWER, CRAWLER, BARE_BROWSER, HUMAN)

# Programs that have sent Sec-Fetch-* for years, by ua-parser's names: no older ones, no mail programs' windows.
_COMPLETE: Final = frozenset({"Chrome", "Chrome Mobile", "Edge", "Firefox", "Firefox Mobile", "Opera"})


def classify(facts: RequestFacts, agent: Agent, gateways: Gateways, *, honeypot: bool = False) -> Rule:
    """The first rule that applies to one request; `honeypot` says that nobody can see its link."""
    if facts.method == "HEAD":
        return HEAD
    if honeypot:
        return HONEYPOT
    return _declared(facts, agent, gateways) or (BARE_BROWSER if _is_bare(facts, agent) else HUMAN)


def _declared(facts: RequestFacts, agent: Agent, gateways: Gateways) -> Rule | None:
    if facts.prefetch:
        return PREFETCH
    if declared(gateways, facts.user_agent, facts.native_host):
        return GATEWAY
    if agent.robot:
        return PREVIEWER if agent.robot == "previewer" else CRAWLER
    return None


def _is_bare(facts: RequestFacts, agent: Agent) -> bool:
    return not (facts.accept_language or facts.fetch_metadata) and agent.client in _COMPLETE
