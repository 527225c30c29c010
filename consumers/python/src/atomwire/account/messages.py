"""Messages of a relay's topic that no consumer has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from atomwire.storage.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Gap(NamedTuple):
    """Messages `first` to `last`, both included, that a consumer did not get."""

    consumer: str
    first: int
    last: int
    reason: str


class Lost(NamedTuple):
    """Messages `first` to `last`, both included, that nobody got."""

    first: int
    last: int
    reason: str


def lost_by_all(gaps: Iterable[Gap], reached: Mapping[str, int]) -> list[Lost]:
    """Return, in order, what somebody did not get and nobody has.

    A consumer has what lies below the number that it `reached`, but for its own gaps.
    """
    # What was published before one consumer came may have been owed to another: that one's reason counts.
    ordered = sorted(gaps, key=lambda gap: (gap.reason == "before", gap.consumer, gap.first))
    taken = Ranges()
    for consumer, next_seq in reached.items():
        own = Ranges((gap.first, gap.last) for gap in ordered if gap.consumer == consumer)
        for first, last in own.add(0, next_seq - 1):
            taken.add(first, last)
    return sorted(Lost(*new, gap.reason) for gap in ordered for new in taken.add(gap.first, gap.last))
