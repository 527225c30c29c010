"""The order of relays, as those who read them have it."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


class RelayOrder:
    """What consumers' orders say together. A set of relays is an int, with the bit of each one's rank.

    Nothing says which of two relays came first that no chain of readings connects, or that chains connect
    both ways.
    """

    def __init__(self, readings: Sequence[Sequence[str]]) -> None:
        """Take each consumer's relays, in the order in which it read them."""
        ranks = _numbered(dict.fromkeys(chain.from_iterable(readings)))
        before, after = _before(readings, ranks), _after(readings, ranks)
        # Who comes before another has fewer before it, or more after it.
        ordered = sorted(ranks, key=lambda relay: before[relay].bit_count() - after[relay].bit_count())
        self.ranks = _numbered(ordered)
        """In an order that contradicts no undisputed reading."""
        before, after = _before(readings, self.ranks), _after(readings, self.ranks)
        self.disputed = sum(bool(before[relay] & after[relay]) for relay in ranks)
        """How many relays consumers read in orders that contradict each other."""
        self._before = {relay: before[relay] & ~after[relay] for relay in ranks}
        self._after = {relay: after[relay] & ~before[relay] for relay in ranks}

    def set_of(self, relays: Iterable[str | None]) -> int:
        """Return the set of those relays that are known."""
        return set_of_ranks(self.ranks[relay] for relay in relays if relay in self.ranks)

    def between(self, earlier: str | None, later: str | None) -> int:
        """Return the relays, both included, that may have had what came after one and before another.

        An unknown one excludes none.
        """
        if earlier == later and earlier in self.ranks:
            return 1 << self.ranks[earlier]
        if self.set_of([later]) & self._before.get(earlier, 0):
            earlier, later = later, earlier  # a session that came back to the earlier of its relays
        every = (1 << len(self.ranks)) - 1
        return every & ~self._before.get(earlier, 0) & ~self._after.get(later, 0)

    def last_of(self, earlier: str | None, later: str | None) -> int:
        """Return the higher rank of two relays; that of an unknown later one is the highest."""
        return max(self.ranks.get(earlier, 0), self.ranks.get(later, len(self.ranks)))


def ranks_in(relays: int) -> Iterator[int]:
    """Return the ranks of a set of relays, the lowest first."""
    while relays:
        lowest = relays & -relays
        yield lowest.bit_length() - 1
        relays ^= lowest


def set_of_ranks(ranks: Iterable[int]) -> int:
    """Return the set of the relays with these ranks."""
    relays = 0
    for rank in ranks:
        relays |= 1 << rank
    return relays


def _numbered(relays: Iterable[str | None]) -> dict[str | None, int]:
    return {relay: rank for rank, relay in enumerate(relays)}


def _before(readings: Sequence[Sequence[str]], ranks: Mapping[str | None, int]) -> dict[str | None, int]:
    """Return for each relay those that some chain of readings has before it."""
    before: dict[str | None, int] = dict.fromkeys(ranks, 0)
    is_changed = True
    while is_changed:
        is_changed = False
        for relays in readings:
            for earlier, later in pairwise(relays):
                known = before[later]
                before[later] |= before[earlier] | 1 << ranks[earlier]
                is_changed |= before[later] != known
    return before


def _after(readings: Sequence[Sequence[str]], ranks: Mapping[str | None, int]) -> dict[str | None, int]:
    return _before([relays[::-1] for relays in readings], ranks)
