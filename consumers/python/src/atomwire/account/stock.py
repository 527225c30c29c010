"""Lost messages as a stock, from which each explains one update."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING

from atomwire.account.order import ranks_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from atomwire.account.explain import Hole
    from atomwire.account.messages import Lost


class Stock:
    """The lost messages of all relays and topics. Sets of relays are ints, as `RelayOrder` has them."""

    def __init__(self) -> None:
        self._shelves: dict[tuple[str | None, str | None], Shelf] = {}
        self._of_rank: defaultdict[int, list[Shelf]] = defaultdict(list)
        self._ranks = 0
        # What has something left.
        self._filled: dict[int, dict[Shelf, None]] = {}
        self._filled_ranks = 0

    def add(self, rank: int, relay_id: str, topic: str, lost: Sequence[Lost]) -> None:
        """Put in those of one relay and topic, in order."""
        shelf = Shelf(relay_id, topic, lost)
        self._shelves[relay_id, topic] = shelf
        self._of_rank[rank].append(shelf)
        self._ranks |= 1 << rank

    def refill(self) -> None:
        """Have nothing taken."""
        for shelf in self._shelves.values():
            shelf.refill()
        self._filled = {rank: dict.fromkeys(shelves) for rank, shelves in self._of_rank.items()}
        self._filled_ranks = self._ranks

    def room(self, hole: Hole, relays: int) -> int:
        """Return how many messages of these relays lie where a hole is, taken or not."""
        room = sum(shelf.size for rank in ranks_in(relays & self._ranks) for shelf in self._of_rank[rank])
        places = {hole.earlier[:2], hole.later[:2]} & self._shelves.keys()
        return room - sum(self._shelves[place].size_outside(hole) for place in places)

    def take(self, hole: Hole, relays: int) -> Iterator[tuple[str, int]]:
        """Take messages of these relays that lie where a hole is, the earliest first: reasons and numbers."""
        wanted = hole.size
        for rank in ranks_in(relays & self._filled_ranks):
            filled = self._filled[rank]
            emptied: list[Shelf] = []
            for shelf in filled:
                for reason, count in shelf.take(wanted, *shelf.window(hole)):
                    wanted -= count
                    yield reason, count
                if not shelf.left:
                    emptied.append(shelf)
                if not wanted:
                    break
            for shelf in emptied:
                del filled[shelf]
            if not filled:
                self._filled_ranks ^= 1 << rank
            if not wanted:
                return

    def left(self) -> int:
        """Return how many nothing took, of those that were owed to anybody."""
        return sum(shelf.left_of_owed() for shelf in self._shelves.values())


class Shelf:
    """The lost messages of one relay and topic."""

    def __init__(self, relay_id: str, topic: str, lost: Sequence[Lost]) -> None:
        """`lost` are in order."""
        self._place = relay_id, topic
        self._lost = lost
        self._firsts = [one.first for one in lost]
        self._sums = [0, *accumulate(one.last - one.first + 1 for one in lost)]
        self.size = self._sums[-1]
        self.refill()

    def refill(self) -> None:
        """Have nothing taken."""
        self.left = self.size
        self._lefts = [one.last - one.first + 1 for one in self._lost]
        # From each on, the next that may have any left.
        self._next = list(range(1, len(self._lost) + 1))

    def window(self, hole: Hole) -> tuple[int, int]:
        """Return the indices, from and to, of the lost that lie where a hole is."""
        at, end = 0, len(self._lost)
        if hole.earlier[:2] == self._place:
            at = bisect_right(self._firsts, hole.earlier.relay_seq or 0)
        if hole.later[:2] == self._place:
            end = bisect_left(self._firsts, hole.later.relay_seq or 0)
        return at, max(at, end)

    def size_outside(self, hole: Hole) -> int:
        """Return how many messages lie elsewhere than a hole, taken or not."""
        at, end = self.window(hole)
        return self.size - self._sums[end] + self._sums[at]

    def take(self, wanted: int, at: int, end: int) -> Iterator[tuple[str, int]]:
        """Take what is wanted, or there is, between two indices: reasons and numbers."""
        while wanted and (at := self._first_left(at)) < end:
            count = min(wanted, self._lefts[at])
            self._lefts[at] -= count
            self.left -= count
            wanted -= count
            yield self._lost[at].reason, count

    def take_one(self) -> str:
        """Take the first that is left, and return its reason."""
        ((reason, _),) = self.take(1, 0, len(self._lost))
        return reason

    def left_of_owed(self) -> int:
        """Return how many nothing took, without those that nobody was owed."""
        return sum(left for left, one in zip(self._lefts, self._lost, strict=True) if one.reason != "before")

    def _first_left(self, at: int) -> int:
        passed: list[int] = []
        while at < len(self._lost) and not self._lefts[at]:
            passed.append(at)
            at = self._next[at]
        for index in passed:
            self._next[index] = at
        return at
