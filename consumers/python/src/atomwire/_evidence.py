"""What may explain updates that are neither rows nor losses: gaps, vanished relays, a client's mere claim."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from atomwire._message import LEDGER_TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VANISHED = ("bus", "relay_vanished")
CLAIMED = ("browser", "claimed")


class Place(NamedTuple):
    """Where a row came from; all None where there is no row."""

    relay_id: str | None
    topic: str | None
    relay_seq: int | None


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


@dataclass(slots=True)
class _Gaps:
    """Those of one relay and topic, by their first message."""

    firsts: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    """How many messages of each explain nothing yet."""
    skip: list[int] = field(default_factory=list)
    """From each on, the next that may have any left."""

    def begin(self) -> None:
        """Have nothing explained yet."""
        self.left = self.sizes.copy()
        self.skip = list(range(1, len(self.firsts) + 1))

    def some_left(self, at: int) -> int:
        """Return the index of the first gap from `at` on with messages left."""
        passed = []
        while at < len(self.firsts) and not self.left[at]:
            passed.append(at)
            at = self.skip[at]
        for index in passed:
            self.skip[index] = at
        return at


class Evidence:
    """Explains holes: a message of a gap stands for one update, one of the ledger for any of a session's."""

    def __init__(self, relays: Iterable[tuple[str, str | None]]) -> None:
        """`relays`, in the order in which they appeared, with how each ended."""
        self._ranks: dict[str, int] = {}
        self._vanished: list[int] = []
        for rank, (relay_id, ended) in enumerate(relays):
            self._ranks[relay_id] = rank
            if ended == "vanished":
                self._vanished.append(rank)
        self._gaps: defaultdict[int, dict[str, _Gaps]] = defaultdict(dict)
        self._holes: list[tuple[Hole, tuple[str, str] | None]] = []
        self.messages_left = 0
        """After `judge`: messages of updates that the bus lost and that explain nothing."""

    def add_gap(self, relay_id: str, topic: str, first: int, last: int, reason: str) -> None:
        """Add a gap; those of a topic come in the order of `first`."""
        gaps = self._gaps[self._ranks.get(relay_id, 0)].setdefault(topic, _Gaps())
        gaps.firsts.append(first)
        gaps.sizes.append(last - first + 1)
        gaps.reasons.append(reason)

    def add_holes(self, holes: Iterable[Hole], starts: list[tuple[str, int]]) -> None:
        """Add a session's holes, and where (relay, number) relays took the session on."""
        for hole in holes:
            low, high = self._span(hole)
            claimed = max((end for relay, end in starts if self._claims(hole, relay, end)), default=0)
            # The relay that went on with the session did not take along what came before.
            went_on = self._ranks.get(hole.later.relay_id or "")
            is_vanished = any(low <= rank <= high and rank != went_on for rank in self._vanished)
            # Without an earlier row nothing says that the session was there before, but a claim.
            end = hole.end if is_vanished and hole.earlier.relay_id is not None else claimed
            if hole.first < end:
                part = replace(hole, last=min(hole.last, end - 1))
                self._holes.append((part, VANISHED if is_vanished else CLAIMED))
            if hole.last >= end:
                self._holes.append((replace(hole, first=max(hole.first, end)), None))

    def judge(self) -> tuple[Counter[tuple[str, str]], list[Hole]]:
        """Return how many updates are explained, by place and reason, and the holes that are not."""
        explained, unexplained = self._judge({})
        if unexplained:
            explained, unexplained = self._judge(self._by_ledger())
        self.messages_left = sum(
            left
            for _, gaps in self._of_updates()
            for left, reason in zip(gaps.left, gaps.reasons, strict=True)
            if reason != "before"
        )
        return explained, unexplained

    def _judge(self, by_ledger: dict[Hole, str]) -> tuple[Counter[tuple[str, str]], list[Hole]]:
        for _, gaps in self._of_updates():
            gaps.begin()
        explained: Counter[tuple[str, str]] = Counter()
        unexplained = []
        # The earliest end first, and each takes the earliest message that fits: no other order explains more.
        # Those that have another explanation take what is left.
        holes = [(hole, otherwise, by_ledger.get(hole)) for hole, otherwise in self._holes]
        for hole, otherwise, reason_of_ledger in sorted(holes, key=self._urgency):
            first = hole.first
            for reason, count in self._take(hole):
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
        that no gap of updates can help get them first, then those that miss most.
        """
        sessions: defaultdict[str, list[Hole]] = defaultdict(list)
        for hole, otherwise in self._holes:
            if otherwise is None:
                sessions[hole.session].append(hole)
        ledgers = {
            rank: topics[LEDGER_TOPIC] for rank, topics in self._gaps.items() if LEDGER_TOPIC in topics
        }
        for one in ledgers.values():
            one.begin()
        told: dict[Hole, str] = {}
        for holes in sorted(sessions.values(), key=self._need, reverse=True):
            reasons: dict[int, str] = {}
            for hole in holes:
                low, high = self._span(hole)
                for rank in range(low, high + 1):
                    ledger = ledgers.get(rank)
                    if rank not in reasons and ledger and (at := ledger.some_left(0)) < len(ledger.firsts):
                        ledger.left[at] -= 1
                        reasons[rank] = ledger.reasons[at]
                    if rank in reasons:
                        told[hole] = reasons[rank]
                        break
        return told

    def _need(self, holes: list[Hole]) -> tuple[bool, int]:
        sizes = [hole.last - hole.first + 1 for hole in holes]
        rooms = [sum(sum(gaps.sizes[at:end]) for gaps, at, end in self._reach(hole)) for hole in holes]
        return any(room < size for room, size in zip(rooms, sizes, strict=True)), sum(sizes)

    def _span(self, hole: Hole) -> tuple[int, int]:
        """Return the first and last relay that may have had the hole's updates."""
        low = self._ranks.get(hole.earlier.relay_id or "", 0)
        high = self._ranks.get(hole.later.relay_id or "", len(self._ranks) - 1)
        return min(low, high), max(low, high)

    def _claims(self, hole: Hole, relay_id: str, end: int) -> bool:
        low, high = self._span(hole)
        # A row below was published by that relay before the session came back to it.
        came_before = relay_id == hole.later.relay_id and hole.end < end
        return low <= self._ranks.get(relay_id, -1) <= high and not came_before

    def _urgency(
        self, entry: tuple[Hole, tuple[str, str] | None, str | None]
    ) -> tuple[bool, bool, int, float]:
        hole, otherwise, by_ledger = entry
        seq = hole.later.relay_seq
        return otherwise is not None, by_ledger is not None, self._span(hole)[1], inf if seq is None else seq

    def _of_updates(self, low: int = 0, high: int | None = None) -> Iterator[tuple[tuple[int, str], _Gaps]]:
        for rank in range(low, len(self._ranks) if high is None else high + 1):
            for topic, gaps in self._gaps.get(rank, {}).items():
                if topic != LEDGER_TOPIC:
                    yield (rank, topic), gaps

    def _reach(self, hole: Hole) -> Iterator[tuple[_Gaps, int, int]]:
        """Return the gaps of updates that lie where the hole is: `[at:end]` of each topic's."""
        for place, gaps in self._of_updates(*self._span(hole)):
            at, end = 0, len(gaps.firsts)
            if place == (self._ranks.get(hole.earlier.relay_id or ""), hole.earlier.topic):
                at = bisect_right(gaps.firsts, hole.earlier.relay_seq or 0)
            if place == (self._ranks.get(hole.later.relay_id or ""), hole.later.topic):
                end = bisect_left(gaps.firsts, hole.later.relay_seq or 0)
            yield gaps, at, end

    def _take(self, hole: Hole) -> Iterator[tuple[str, int]]:
        """Use up messages of gaps that lie where the hole is."""
        wanted = hole.last - hole.first + 1
        for gaps, first, end in self._reach(hole):
            at = first
            while wanted and (at := gaps.some_left(at)) < end:
                count = min(wanted, gaps.left[at])
                gaps.left[at] -= count
                wanted -= count
                yield gaps.reasons[at], count
            if not wanted:
                return
