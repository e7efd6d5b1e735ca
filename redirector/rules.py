"""The rules in all their versions: a click that is on the stream can be judged by any of them.

Version 1 looked at one request only, and knew no gateways. Version 2 looks at what the same clicker did around a click.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from redirector.behaviour import BEHAVIOUR_RULES, Mail, Seen, judge
from redirector.classify import HUMAN, REQUEST_RULES, Rule
from redirector.gateways import Gateways

Judge = Callable[[Seen, Sequence[Seen], Mail, Gateways], Rule | None]

ALL_RULES: Final = (*REQUEST_RULES[:-1], *BEHAVIOUR_RULES, HUMAN)

_LATER_THAN_1: Final = frozenset(rule.name for rule in REQUEST_RULES if rule.since > 1)


def _first_version(own: Seen, _: Sequence[Seen], __: Mail, ___: Gateways) -> Rule | None:
    return HUMAN if own.click.rule in _LATER_THAN_1 else None


JUDGES: Final[Mapping[int, Judge]] = {1: _first_version, 2: judge}
