"""Rounds: readers click, something goes wrong, and afterwards every click is accounted for."""

import random
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field

from tests.chaos.faults import FAULTS, Fault, settled
from tests.chaos.worlds import World
from tests.processes import Crowd, eventually

SETTLE_SECONDS = 60.0

# The clicks of the readers that wait when a store stops answering, a few times over.
IN_DOUBT = 20


@dataclass(slots=True)
class Figures:
    """What a round came to, or several."""

    rounds: int = 0
    answered: int = 0
    unanswered: int = 0
    lost: int = 0
    doubled: int = 0
    slowest_seconds: float = 0.0

    def add(self, others: "Figures") -> None:
        """More rounds."""
        self.rounds += others.rounds
        self.answered += others.answered
        self.unanswered += others.unanswered
        self.lost += others.lost
        self.doubled += others.doubled
        self.slowest_seconds = max(self.slowest_seconds, others.slowest_seconds)


@dataclass(slots=True)
class Results:
    """All rounds, by their fault; `broken` says what was not as it must be, and ends them."""

    seed: int
    by_fault: defaultdict[str, Figures] = field(default_factory=lambda: defaultdict(Figures))
    broken: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """The same for machines."""
        faults = {name: asdict(figures) for name, figures in self.by_fault.items()}
        return {"seed": self.seed, "faults": faults, "broken": self.broken}


def play(world: World, fault: Fault, draw: random.Random) -> tuple[Figures, list[str]]:
    """One round. Returns its figures, and what was not as it must be."""
    settled(world)
    world.refill()
    world.begin_watch()
    lost_before, lost = world.lost(), 0
    broken: list[str] = []
    with world.readers() as readers:
        time.sleep(draw.uniform(0.1, 0.3))
        try:
            fault.act(world, draw)
        except AssertionError as error:
            broken.append(str(error))
        time.sleep(draw.uniform(0.1, 0.3))
    if not broken:
        lost_after = world.lost()
        lost = int(lost_after - lost_before if lost_after >= lost_before else lost_after)
        broken += [*accounted_for(world, readers, lost=lost), *_bounds(fault, readers, lost), *world.deaths()]
    figures = Figures(
        1, len(readers.answered), len(readers.unanswered), lost, world.ledger.doubled.total(), readers.slowest_seconds
    )
    return figures, [f"{fault.name} ({world.kind}): {what}" for what in broken]


def accounted_for(world: World, readers: Crowd, *, lost: int) -> Iterator[str]:
    """Waits until every answered click but the lost ones is in the stream and counted, once; says what is not so."""
    wrong = {url: answer for url, answer in readers.answered.items() if not world.links.is_right(url, answer)}
    if wrong:
        yield f"{len(wrong)} wrong answers: {dict(list(wrong.items())[:5])}"
    ledger = world.ledger

    def all_there() -> bool:
        world.look()
        return ledger.awaited.total() <= lost and world.counted() == ledger.in_stream == world.by_topic()

    try:
        eventually(all_there, SETTLE_SECONDS)
    except AssertionError:
        yield (
            f"{ledger.awaited.total()} of {len(readers.answered)} answered clicks are missing, {lost} are said to be "
            f"lost; the stream has {ledger.in_stream}, counted are {world.counted()}, by topic {world.by_topic()}"
        )
    if ledger.doubled:
        yield f"{ledger.doubled.total()} clicks are in the stream more than once"
    # What is counted as lost may have arrived: clicks whose readers were not answered, and batches of which only the
    # store's reply is missing.
    missing = ledger.give_up()
    if lost - missing > len(readers.unanswered) + IN_DOUBT:
        yield f"{lost} are said to be lost, and {missing} are missing"


def _bounds(fault: Fault, readers: Crowd, lost: int) -> Iterator[str]:
    """What went beyond what the fault may do."""
    if lost and not fault.on_disk:
        yield f"{lost} clicks were lost"
    if readers.unanswered and not fault.kills_readers:
        yield f"{len(readers.unanswered)} readers were not answered"
    if readers.slowest_seconds > fault.slowest_seconds:
        yield f"a reader waited for {readers.slowest_seconds:.1f} s, more than {fault.slowest_seconds:g} s"


def play_all(worlds: Iterable[World], rounds: int, seed: int, say: bool = True) -> Results:
    """So many rounds, or up to the first that is broken; the seed decides everything that is drawn."""
    draw = random.Random(seed)
    by_kind = {world.kind: world for world in worlds}
    results = Results(seed)
    for number, (fault, kind) in zip(range(rounds), drawn(draw), strict=False):
        began = time.monotonic()
        figures, results.broken = play(by_kind[kind], fault, draw)
        results.by_fault[fault.name].add(figures)
        if say:
            print(  # noqa: T201 - whoever runs it wants to see it
                f"{number + 1:4d}  {kind:9}  {fault.name:50}  {figures.answered:5d} answered  "
                f"{figures.unanswered:3d} not  {figures.lost:4d} lost  slowest {figures.slowest_seconds:5.2f} s  "
                f"({time.monotonic() - began:.1f} s)",
                flush=True,
            )
        if results.broken:
            results.broken.append(by_kind[kind].last_words())
            break
    return results


def drawn(draw: random.Random) -> Iterator[tuple[Fault, str]]:
    """Faults without end, each with its world: first every fault once, then every fault in all of its worlds."""
    deck = [(fault, draw.choice(fault.worlds)) for fault in FAULTS]
    while True:
        draw.shuffle(deck)
        yield from deck
        deck = [(fault, kind) for fault in FAULTS for kind in fault.worlds]
