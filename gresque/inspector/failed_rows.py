"""What an index keeps of one failed list: six bytes an entry. No Redis."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gresque.inspector.failed_groups import RETRIED, UNKNOWN, GroupTable
from gresque.store.failed_changes import FailedListChange

BLOCK = 4096


class Gap(NamedTuple):
    """Entries from `start` to before `stop` that were not read yet. `before` is the hash of the
    entry before them, where it is known: another one there means that the list has shifted."""

    start: int
    stop: int
    before: int | None = None


class FailedRows:
    """The group and the minute of each entry of a list, by index, the oldest being 0.

    1. `grow` makes room for entries that are not known yet: a gap.
    2. `fill` takes what was read of a gap.
    3. `apply` follows a change of the list.
    """

    def __init__(self, key: str, name: str, table: GroupTable) -> None:
        self.key = key
        self.name = name
        self.gaps: list[Gap] = []
        """The one that is read next stands last: the newest entries are of most interest."""
        self._table = table
        self._groups = array("H")
        self._minutes = array("I")
        self._newest: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def unread(self) -> int:
        return sum(gap.stop - gap.start for gap in self.gaps)

    def grow(self, length: int) -> None:
        """The list has this many entries now, the further ones at its end."""
        start = len(self)
        if length <= start:
            return
        self._groups.frombytes(bytes(self._groups.itemsize * (length - start)))
        self._minutes.frombytes(bytes(self._minutes.itemsize * (length - start)))
        before = self._newest[1] if self._newest and self._newest[0] == start - 1 else None
        self.gaps.append(Gap(start, length, before))

    def fill(self, gap: Gap, raws: Sequence[bytes]) -> None:
        """Take the last entries of the gap, as they were read."""
        if self._newest is None or self._newest[0] < gap.stop - 1:
            self._newest = gap.stop - 1, hash(raws[-1])
        minute = self._minutes[gap.stop] if gap.stop < len(self) else 0
        read, add = self._table.read, self._table.add
        for index in range(gap.stop - 1, gap.stop - 1 - len(raws), -1):
            number, minute = read(raws[index - gap.stop], minute)
            self._groups[index], self._minutes[index] = number, minute
            add(number, minute)
        left = gap._replace(stop=gap.stop - len(raws))
        place = self.gaps.index(gap)
        self.gaps[place : place + 1] = [left] if left.stop > left.start else []

    def forget(self) -> None:
        """Count none of its entries any more."""
        for number, minute in zip(self._groups, self._minutes, strict=True):
            if number != UNKNOWN:
                self._table.take(number, minute)
        self._groups, self._minutes = array("H"), array("I")
        self.gaps, self._newest = [], None

    def apply(self, change: FailedListChange) -> bool:
        """False when the list was changed otherwise before: it has to be read again."""
        if 0 <= change.length < len(self):
            return False
        had_gaps = bool(self.gaps) or change.length > len(self)
        self.grow(change.length)
        for index in change.marked:
            self._mark(index)
        dropped_of_turned = 0
        for some in sorted(change.dropped, key=lambda each: -each.start):
            dropped_of_turned += len(range(some.start, min(some.stop, change.turned)))
            self._drop(some)
        self._turn(change.turned - dropped_of_turned)
        # The newest entry may be another one now, or have other bytes.
        self._newest = None
        if had_gaps:
            self.gaps = [*self._find_gaps()]
        return True

    def _mark(self, index: int) -> None:
        if index < len(self) and self._groups[index] != UNKNOWN and self._minutes[index] < RETRIED:
            self._minutes[index] += RETRIED
            self._table.mark(self._groups[index])

    def _drop(self, some: range) -> None:
        some = range(some.start, min(some.stop, len(self)))
        for index in some:
            if self._groups[index] != UNKNOWN:
                self._table.take(self._groups[index], self._minutes[index])
        del self._groups[some.start : some.stop]
        del self._minutes[some.start : some.stop]

    def _turn(self, count: int) -> None:
        for each in (self._groups, self._minutes):
            oldest = each[:count]
            del each[:count]
            each.extend(oldest)

    def _find_gaps(self) -> Iterator[Gap]:
        known = bytes(map(bool, self._groups))
        start = known.find(0)
        while start >= 0:
            stop = known.find(1, start)
            yield Gap(start, len(known) if stop < 0 else stop)
            start = -1 if stop < 0 else known.find(0, stop)

    def newest(self, groups: frozenset[int] | None = None) -> Iterator[tuple[int, int]]:
        """Minute and index of the entries of these groups, or of all that are known, the newest
        first. An entry without a time has that of the one after it."""
        only = next(iter(groups)) if groups is not None and len(groups) == 1 else None
        for start in range((len(self) - 1) // BLOCK * BLOCK, -1, -BLOCK):
            block = self._groups[start : start + BLOCK]
            if only is not None and not block.count(only):
                continue
            for place in range(len(block) - 1, -1, -1):
                number = block[place]
                if number and (groups is None or number in groups):
                    yield self._minutes[start + place] & ~RETRIED, start + place
