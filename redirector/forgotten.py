"""What a store forgot and this machine knows is given back to it: which numbers of links are taken, and who opted out.

A store forgets when it is emptied, or comes back as it was earlier. Its links are not given back: a copy may be older
than what was lost, and would bring back links that were disabled since. `redirector restore` does that.
"""

import logging
import time
from array import array
from collections.abc import Callable
from typing import Final

from redirector.errors import StoreError, StoreUnavailable
from redirector.opted_out import OptedOut
from redirector.store.links import Links
from redirector.store.people import People

# Opt-outs of one script: it keeps the store from readers' clicks for about a millisecond.
TOGETHER: Final = 250

log = logging.getLogger(__name__)


class Forgotten:
    """What is to be given back. It is due when the store is met, and whenever it may have forgotten something."""

    def __init__(self, links: Links, people: People, *, clock: Callable[[], float] = time.time) -> None:
        self._links = links
        self._people = people
        self._clock = clock
        self._opted_out = array("Q")
        self._was_refused = False
        self.is_due = True

    async def give_back(self, last_number: int) -> None:
        """Gives back that links up to `last_number` were minted, and who opted out. Raises StoreUnavailable.

        What the store refuses stays due.
        """
        try:
            if last_number and await self._links.keep_numbers(last_number):
                log.error("the store forgot links: their numbers, up to %d, are not given out again", last_number)
            while self._opted_out:
                await self._people.give_back(self._opted_out[-TOGETHER:], int(self._clock() * 1000))
                del self._opted_out[-TOGETHER:]
        except StoreUnavailable:
            raise
        except StoreError as error:
            if not self._was_refused:
                log.error("the store does not take back what it forgot, which is tried again: %s", error)
            self._was_refused = True
        else:
            self.is_due = self._was_refused = False

    def opted_out(self, known: OptedOut, stored: "array[int]") -> OptedOut:
        """All who opted out, be it known here or stored; those whom the store forgot are due from now on."""
        still_there = OptedOut(stored)
        self._opted_out = known.without(still_there)
        self.is_due = True
        return OptedOut(stored + self._opted_out) if self._opted_out else still_there
