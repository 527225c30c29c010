"""What may explain updates that are neither rows nor losses: lost messages, quiet relays, a mere claim."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from atomwire.account.order import ranks_in, set_of_ranks
from atomwire.account.stock import Shelf, Stock
from atomwire.bus.message import LEDGER_TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from atomwire.account.messages import Lost
    from atomwire.account.order import RelayOrder

Explanation: TypeAlias = tuple[str, str]
"""A place and a reason."""

VANISHED = ("bus", "relay_vanished")
SILENT = ("bus", "relay_silent")
CLAIMED = ("browser", "claimed")


class Place(NamedTuple):
    """Where a row came from; all None where there is no row."""

    relay_id: str | None = None
    topic: str | None = None
    relay_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Hole:
    """Updates `first` to `last`, both included, of a session."""

    session: str
    first: int
    last: int
    end: int
    """The number of the row behind it, or of the session's known end."""
    earlier: Place
    later: Place
    """Of the known end: only the relay that said so."""
    is_pruned: bool
    """Whether what came before it was pruned: then `earlier` is empty, but the session was there."""

    @property
    def size(self) -> int:
        """How many updates they are."""
        return self.last - self.first + 1


class Evidence:
    """Explains holes: a lost message stands for one update, one of the ledger for any of a session's."""

    def __init__(self, order: RelayOrder, vanished: Iterable[str], silent: Iterable[str]) -> None:
        """`vanished` ended without a word, and `silent` do not answer."""
        self._order = order
        self._quiet = ((order.set_of(vanished), VANISHED), (order.set_of(silent), SILENT))
        self._stock = Stock()
        self._ledgers: dict[int, Shelf] = {}
        self._holes: list[tuple[Hole, Explanation | None]] = []

    def add_lost(self, relay_id: str, topic: str, lost: Sequence[Lost]) -> None:
        """Add the lost messages of a relay's topic, in order."""
        rank = self._order.ranks[relay_id]
        if topic == LEDGER_TOPIC:
            self._ledgers[rank] = Shelf(relay_id, topic, lost)
        else:
            self._stock.add(rank, relay_id, topic, lost)

    def add_holes(self, holes: Iterable[Hole], starts: Sequence[tuple[str, int]]) -> None:
        """Add a session's holes, and where (relay, number) relays took the session on."""
        for hole in holes:
            # The relay that went on with the session did not take along what came before.
            others = self._between(hole) & ~self._order.set_of([hole.later.relay_id])
            quiet = next((explanation for relays, explanation in self._quiet if relays & others), None)
            claimed = max((end for relay, end in starts if self._claims(hole, relay, end)), default=0)
            # Without an earlier row nothing says that the session was there before, but a claim.
            was_there = hole.is_pruned or hole.earlier.relay_id is not None
            end = hole.end if quiet and was_there else claimed
            if hole.first < end:
                part = replace(hole, last=min(hole.last, end - 1))
                self._holes.append((part, quiet or CLAIMED))
            if hole.last >= end:
                self._holes.append((replace(hole, first=max(hole.first, end)), None))

    def judge(self) -> tuple[Counter[Explanation], list[Hole]]:
        """Return how many updates are explained, by place and reason, and the holes that are not."""
        explained, unexplained = self._judge({})
        if unexplained:
            explained, unexplained = self._judge(self._by_ledger())
        return explained, unexplained

    def messages_left(self) -> int:
        """Return how many lost messages of updates explain nothing, once it is judged."""
        return self._stock.left()

    def _judge(self, by_ledger: dict[Hole, str]) -> tuple[Counter[Explanation], list[Hole]]:
        self._stock.refill()
        explained: Counter[Explanation] = Counter()
        unexplained: list[Hole] = []
        # The earliest end first, and each takes the earliest message that fits: the later ones stay for those
        # that nothing earlier can help. Holes that have another explanation take what is left.
        holes = [(hole, otherwise, by_ledger.get(hole)) for hole, otherwise in self._holes]
        for hole, otherwise, reason_of_ledger in sorted(holes, key=self._urgency):
            first = hole.first
            for reason, count in self._stock.take(hole, self._between(hole)):
                explained["bus", reason] += count
                first += count
            if first > hole.last:
                continue
            if otherwise is not None:
                explained[otherwise] += hole.last - first + 1
            elif reason_of_ledger is not None:
                explained["bus", reason_of_ledger] += hole.last - first + 1
            else:
                unexplained.append(replace(hole, first=first))
        return explained, unexplained

    def _by_ledger(self) -> dict[Hole, str]:
        """Return the holes that lost messages of the ledger may have told of.

        One belongs to one session, and may tell of any of its numbers. Which, nobody knows, so the sessions
        that no lost message of an update can help get them first, then those that miss most.
        """
        sessions: defaultdict[str, list[Hole]] = defaultdict(list)
        for hole, otherwise in self._holes:
            if otherwise is None:
                sessions[hole.session].append(hole)
        filled = set_of_ranks(self._ledgers)
        told: dict[Hole, str] = {}
        for holes in sorted(sessions.values(), key=self._need, reverse=True):
            reasons: dict[int, str] = {}
            for hole in holes:
                rank = next(ranks_in(self._between(hole) & (filled | set_of_ranks(reasons))), None)
                if rank is None:
                    continue
                if rank not in reasons:
                    reasons[rank] = self._ledgers[rank].take_one()
                    if not self._ledgers[rank].left:
                        filled ^= 1 << rank
                told[hole] = reasons[rank]
        return told

    def _need(self, holes: list[Hole]) -> tuple[bool, int]:
        is_helpless = any(self._stock.room(hole, self._between(hole)) < hole.size for hole in holes)
        return is_helpless, sum(hole.size for hole in holes)

    def _between(self, hole: Hole) -> int:
        """Return the relays that may have had the hole's updates."""
        return self._order.between(hole.earlier.relay_id, hole.later.relay_id)

    def _claims(self, hole: Hole, relay_id: str, end: int) -> bool:
        # A row below was published by that relay before the session came back to it.
        came_before = relay_id == hole.later.relay_id and hole.end < end
        return bool(self._between(hole) & self._order.set_of([relay_id])) and not came_before

    def _urgency(self, entry: tuple[Hole, Explanation | None, str | None]) -> tuple[bool, bool, int, float]:
        hole, otherwise, by_ledger = entry
        seq = hole.later.relay_seq
        # Where the later row is of the earlier relay, the hole ends with the later one.
        last = self._order.last_of(hole.earlier.relay_id, hole.later.relay_id)
        return otherwise is not None, by_ledger is not None, last, inf if seq is None else seq
