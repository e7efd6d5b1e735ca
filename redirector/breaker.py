"""When readers may wait for the store again: the later, the more often they just waited for it in vain.

After a doubt, one answer in good time is enough, unless there was another doubt before it. A store that is late now
and then would else let readers wait each time; so each further doubt keeps them from it for longer, up to half a
minute, and each minute without a doubt takes one such step back.
"""

from collections.abc import Callable
from typing import Final

# How long nobody waits for the store: after the first doubt, after the second, and so on.
PAUSES_SECONDS: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
CALM_SECONDS: Final = 60.0


class Breaker:
    """Is told when the direct way is opened, and when it ends in a doubt; says when it may be opened again.

    `deadline_seconds` is how long a reader waits for the store at most. `clock` gives monotonic seconds.
    """

    def __init__(self, deadline_seconds: float, clock: Callable[[], float]) -> None:
        self._in_good_time = deadline_seconds / 2
        self._clock = clock
        self._step = 0
        self._opened_at = clock()
        self._shut_until = clock()

    def may_open(self, took_seconds: float) -> bool:
        """Whether readers may wait for the store's next answer, when its last one took so long."""
        return took_seconds <= self._in_good_time and self._clock() >= self._shut_until

    def opened(self) -> None:
        """From now on readers wait for the store."""
        self._opened_at = self._clock()

    def doubted(self) -> None:
        """A reader waited in vain; from now on nobody waits."""
        now = self._clock()
        calm_minutes = int((now - self._opened_at) / CALM_SECONDS)
        step = max(0, self._step - calm_minutes)
        self._shut_until = now + PAUSES_SECONDS[step]
        self._step = min(step + 1, len(PAUSES_SECONDS) - 1)
