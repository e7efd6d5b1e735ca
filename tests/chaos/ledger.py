"""What every click came to: made, answered, and once in the stream."""

from collections import Counter
from collections.abc import Iterable


class Ledger:
    """Clicks by what the stream says of them: their link and their recipient. One that is settled is forgotten."""

    def __init__(self) -> None:
        self.awaited: Counter[str] = Counter()  # answered, so they must come
        self.possible: Counter[str] = Counter()  # not answered, or counted as lost: they may come
        self.doubled: Counter[str] = Counter()  # came more often than they were made
        self.in_stream = 0

    def made(self, *, answered: Iterable[str], unanswered: Iterable[str]) -> None:
        """Readers clicked."""
        self.awaited.update(answered)
        self.possible.update(unanswered)

    def arrived(self, click: str) -> None:
        """The stream has one more."""
        self.in_stream += 1
        for expected in (self.awaited, self.possible):
            if click in expected:
                expected[click] -= 1
                if not expected[click]:
                    del expected[click]
                return
        self.doubled[click] += 1

    def give_up(self) -> int:
        """What is awaited still, is lost. Returns how many that are."""
        lost = self.awaited.total()
        self.possible += self.awaited
        self.awaited.clear()
        return lost
