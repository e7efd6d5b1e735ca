"""Who opted out, in memory: 8 bytes each, and a microsecond to ask.

The numbers lie sorted in 1,025 arrays, by their upper bits: tokens are spread evenly over the first 1,024, and all
visitors are in the last. So one that comes in moves some kilobytes, and not the 80 MB of ten million: that took 5 ms.
An array is also what the local file has as one row.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final

from redirector.clickers import END, FIRST_VISITOR, first_visitor_of

_SHIFT: Final = 50
PARTS: Final = (FIRST_VISITOR >> _SHIFT) + 1
_VISITORS: Final = PARTS - 1

assert first_visitor_of(2**19 - 1) >> _SHIFT == _VISITORS  # noqa: S101 - for the next thousand years


class OptedOut:
    """A set of clickers. It is false while it is empty, which costs a click nothing to see."""

    def __init__(self, clickers: Iterable[int] = ()) -> None:
        self._parts = [array("Q") for _ in range(PARTS)]
        self._count = 0
        for clicker in clickers:
            self.add(clicker)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, clicker: int) -> bool:
        part = self._parts[clicker >> _SHIFT]
        place = bisect_left(part, clicker)
        return place < len(part) and part[place] == clicker

    def has_visitors_of(self, day: int) -> bool:
        """Whether any visitor of this day opted out."""
        visitors = self._parts[_VISITORS]
        place = bisect_left(visitors, first_visitor_of(day))
        return place < len(visitors) and visitors[place] < first_visitor_of(day + 1)

    def add(self, clicker: int) -> None:
        """Takes a clicker in."""
        part = self._parts[clicker >> _SHIFT]
        place = bisect_left(part, clicker)
        if place == len(part) or part[place] != clicker:
            part.insert(place, clicker)
            self._count += 1

    def discard(self, clicker: int) -> None:
        """Takes a clicker out, if they are in."""
        if clicker in self:
            part = self._parts[clicker >> _SHIFT]
            del part[bisect_left(part, clicker)]
            self._count -= 1

    def parts(self) -> Iterator[tuple[int, bytes]]:
        """Every part with its number, as `put` takes it."""
        return ((number, part.tobytes()) for number, part in enumerate(self._parts))

    def parts_of(self, clickers: Iterable[int]) -> dict[int, bytes]:
        """The parts that these clickers are in, or would be."""
        return {number: self._parts[number].tobytes() for number in {clicker >> _SHIFT for clicker in clickers}}

    def put(self, number: int, part: bytes) -> None:
        """Puts what `parts` gave in the place of a part. Raises ValueError when it is no such thing."""
        if not 0 <= number < PARTS:
            raise ValueError("there is no such part")
        new = array("Q")
        new.frombytes(part)
        if new and not number << _SHIFT <= new[0] <= new[-1] < min((number + 1) << _SHIFT, END):
            raise ValueError("it belongs to another part")
        self._count += len(new) - len(self._parts[number])
        self._parts[number] = new
