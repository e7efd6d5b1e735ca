"""Who opted out, in memory: 8 bytes each, and a microsecond to ask.

The numbers lie sorted in 2,048 arrays, by their upper bits: recipients are spread evenly over the first half, visitors
over the other. An array is a row of the local file. So one of ten million that comes in moves some kilobytes in memory
and on disk, and not 80 MB; and all of them are read in half a second when a process starts.
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from redirector.clickers import END, day_of, is_visitor

_SHIFT: Final = 50
PARTS: Final = END >> _SHIFT


class OptedOut:
    """A set of clickers. It is false while it is empty, which costs a click nothing to see."""

    def __init__(self, clickers: Iterable[int] = ()) -> None:
        parts = [array("Q") for _ in range(PARTS)]
        for clicker in clickers:
            parts[clicker >> _SHIFT].append(clicker)
        self._parts = [array("Q", sorted(set(part))) for part in parts]
        self._count = 0
        self._visitors: Counter[int] = Counter()  # by their day
        for part in self._parts:
            self._note(part, 1)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, clicker: int) -> bool:
        part = self._parts[clicker >> _SHIFT]
        place = bisect_left(part, clicker)
        return place < len(part) and part[place] == clicker

    def has_visitors_of(self, day: int) -> bool:
        """Whether any visitor of this day opted out."""
        return self._visitors[day] > 0

    def add(self, clicker: int) -> None:
        """Takes a clicker in."""
        part = self._parts[clicker >> _SHIFT]
        place = bisect_left(part, clicker)
        if place == len(part) or part[place] != clicker:
            part.insert(place, clicker)
            self._note((clicker,), 1)

    def discard(self, clicker: int) -> None:
        """Takes a clicker out, if they are in."""
        if clicker in self:
            part = self._parts[clicker >> _SHIFT]
            del part[bisect_left(part, clicker)]
            self._note((clicker,), -1)

    def without(self, others: "OptedOut") -> "array[int]":
        """Those of them who are not among the others."""
        found = array("Q")
        for mine, theirs in zip(self._parts, others._parts, strict=True):
            found.extend(set(mine).difference(theirs))
        return found

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
        if new and not number << _SHIFT <= new[0] <= new[-1] < (number + 1) << _SHIFT:
            raise ValueError("it belongs to another part")
        self._note(self._parts[number], -1)
        self._note(new, 1)
        self._parts[number] = new

    def _note(self, clickers: Collection[int], how_often: int) -> None:
        """So many more, or fewer."""
        self._count += how_often * len(clickers)
        for clicker in filter(is_visitor, clickers):
            self._visitors[day_of(clicker)] += how_often
