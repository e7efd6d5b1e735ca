"""Some rounds of chaos in every run of the tests; `make chaos` plays as many as one likes."""

import random
from contextlib import ExitStack

from tests.chaos.faults import FAULTS
from tests.chaos.rounds import play_all
from tests.chaos.worlds import KINDS, World

ROUNDS = len(FAULTS)  # the first of them draw each fault once


def test_no_click_is_lost_or_doubled() -> None:
    """Whatever fails while readers click: all are sent on, each click is in the stream once and counted once.

    The seed is drawn anew in every run; a failure prints it, and `make chaos SEED=...` draws the same faults again.
    """
    seed = random.SystemRandom().randrange(2**32)
    print(f"make chaos ROUNDS={ROUNDS} SEED={seed}")  # noqa: T201 - pytest shows it when the test fails
    with ExitStack() as stack:
        worlds = [stack.enter_context(World(kind)) for kind in KINDS]
        results = play_all(worlds, ROUNDS, seed)

    assert not results.broken, "\n".join(results.broken)
    assert {name for name, figures in results.by_fault.items() if figures.answered} == {fault.name for fault in FAULTS}
