"""Rounds: readers click, something goes wrong, and afterwards every click is accounted for."""

import random
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from tests.chaos.faults import FAULTS, Fault, settled
from tests.chaos.load import Answers, Load
from tests.chaos.worlds import DESTINATION, World
from tests.processes import eventually

SETTLE_SECONDS = 60.0

# The clicks of the readers that wait when a store stops answering, a few times over.
IN_DOUBT = 20


@dataclass(slots=True)
class Figures:
    """What rounds with one fault came to."""

    rounds: int = 0
    answered: int = 0
    unanswered: int = 0
    lost: int = 0
    slowest_seconds: float = 0.0

    def add(self, answers: Answers, lost: int) -> None:
        """One more round."""
        self.rounds += 1
        self.answered += len(answers.answered)
        self.unanswered += len(answers.unanswered)
        self.lost += lost
        self.slowest_seconds = max(self.slowest_seconds, answers.slowest_seconds)


@dataclass(slots=True)
class Results:
    """All rounds, by their fault."""

    seed: int
    by_fault: defaultdict[str, Figures] = field(default_factory=lambda: defaultdict(Figures))

    def as_json(self) -> dict[str, object]:
        """The same for machines."""
        return {"seed": self.seed, "faults": {name: asdict(figures) for name, figures in self.by_fault.items()}}


def play(world: World, fault: Fault, draw: random.Random) -> tuple[Answers, int]:
    """One round. Returns what readers were answered, and how many clicks were lost; raises AssertionError."""
    settled(world)
    world.refill()
    lost_before = world.lost()
    load = Load(world.netloc, world.paths)
    with load:
        time.sleep(draw.uniform(0.1, 0.3))
        fault.act(world, draw)
        time.sleep(draw.uniform(0.1, 0.3))
    lost_after = world.lost()
    lost = int(lost_after - lost_before if lost_after >= lost_before else lost_after)
    prove(world, fault.name, load.answers, lost=lost)
    assert fault.on_disk or not lost, f"{fault.name} ({world.kind}): {lost} clicks were lost"
    return load.answers, lost


def prove(world: World, what: str, answers: Answers, *, lost: int) -> None:
    """Waits until every answered click but the lost ones is in the stream and counted, once; else AssertionError."""
    wrong = {path: answer for path, answer in answers.answered.items() if answer != (302, DESTINATION)}
    assert not wrong, f"{what}: wrong answers: {dict(list(wrong.items())[:5])}"
    promised = {world.recipient(path) for path in answers.answered}
    missing: set[str] = set()

    def all_there() -> bool:
        nonlocal missing
        world.look()
        missing = promised - world.seen.keys()
        return len(missing) <= lost and world.counted() == world.seen.total() == world.by_topic()

    try:
        eventually(all_there, SETTLE_SECONDS)
    except AssertionError:
        raise AssertionError(
            f"{what} ({world.kind}): {len(missing)} of {len(promised)} answered clicks are missing, "
            f"{lost} are said to be lost; the stream has {world.seen.total()}, counted are {world.counted()}, "
            f"by topic {world.by_topic()}"
        ) from None
    doubled = [recipient for recipient, times in world.seen.items() if times > 1]
    assert not doubled, f"{what} ({world.kind}): {len(doubled)} clicks are in the stream more than once"
    # What is counted as lost may have arrived: clicks whose readers were not answered, and batches of which only the
    # store's reply is missing.
    arrived = lost - len(missing)
    assert arrived <= len(answers.unanswered) + IN_DOUBT, f"{what}: {lost} lost, {len(missing)} missing"


def play_all(worlds: Iterable[World], rounds: int, seed: int, say: bool = True) -> Results:
    """So many rounds, each fault drawn as often as the others; the seed decides everything that is drawn."""
    draw = random.Random(seed)
    by_kind = {world.kind: world for world in worlds}
    results = Results(seed)
    deck: list[tuple[Fault, str]] = []
    for number in range(rounds):
        if not deck:
            deck = [(fault, kind) for fault in FAULTS for kind in fault.worlds if kind in by_kind]
            draw.shuffle(deck)
        fault, kind = deck.pop()
        began = time.monotonic()
        answers, lost = play(by_kind[kind], fault, draw)
        results.by_fault[fault.name].add(answers, lost)
        if say:
            print(  # noqa: T201 - whoever runs it wants to see it
                f"{number + 1:4d}  {kind:9}  {fault.name:40}  {len(answers.answered):5d} answered  "
                f"{len(answers.unanswered):3d} not  {lost:4d} lost  slowest {answers.slowest_seconds:5.2f} s  "
                f"({time.monotonic() - began:.1f} s)",
                flush=True,
            )
    return results
