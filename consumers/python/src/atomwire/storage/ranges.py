"""Arithmetic of ranges `(first, last)` of numbers, both included."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Ranges:
    """A set of numbers, kept as disjoint ranges in order."""

    def __init__(self, ranges: Iterable[tuple[int, ...]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int) -> list[tuple[int, int]]:
        """Add numbers, and return those of them that were not in the set."""
        at = bisect_left(self._lasts, first)
        end = at
        new: list[tuple[int, int]] = []
        reached = first
        while end < len(self._firsts) and self._firsts[end] <= last:
            if self._firsts[end] > reached:
                new.append((reached, self._firsts[end] - 1))
            reached = self._lasts[end] + 1
            end += 1
        if reached <= last:
            new.append((reached, last))
        if at < end:
            first, last = min(first, self._firsts[at]), max(last, self._lasts[end - 1])
        self._firsts[at:end] = [first]
        self._lasts[at:end] = [last]
        return new
