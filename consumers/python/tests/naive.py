"""An account without any thought for speed: number by number, and message by message."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import chain, pairwise
from math import inf
from typing import Any

from atomwire import LEDGER_TOPIC

Place = tuple[str, str, int]
"""Of a row or a message: relay, topic and number."""


@dataclass
class NaiveBooks:
    """What the tables hold."""

    readings: dict[str, list[str]]
    ended: dict[str, str | None]
    silent: set[str]
    rows: dict[tuple[str, int], Place]
    losses: list[tuple[str, int, int, str, str]]
    """In the order in which they were recorded."""
    sessions: dict[str, tuple[int, str | None, str, int]]
    """The number behind the last, how it ended, who says so, and the floor."""
    starts: set[tuple[str, str, int]]
    gaps: dict[tuple[str, str, str, int, int], str]
    """By consumer, relay, topic, first and last."""
    reached: dict[tuple[str, str, str], int]


@dataclass(eq=False)
class _Hole:
    session: str
    numbers: list[int]
    end: int
    earlier: Place | None
    later: Place | None
    said_by: str | None
    """Who says that the session had so many."""
    was_there: bool
    otherwise: str | None = None
    relays: set[str] = field(default_factory=set)


class NaiveAccount:
    """`lost` and `unexplained` are what the account should say."""

    def __init__(self, books: NaiveBooks) -> None:
        self._books = books
        self.lost: Counter[str] = Counter()
        self.unexplained: set[tuple[str, int]] = set()
        self._order()
        self._lose_messages()
        holes = [part for hole in self._holes() for part in self._parts(hole)]
        self._judge(holes, {})
        if self.unexplained:
            self._judge(holes, self._by_ledger(holes))

    def _order(self) -> None:
        books = self._books
        # A reading that a gap alone speaks of stands for itself.
        # Of those that nothing orders, consumers' names do, and then relays' own.
        read = chain(*(relays for _, relays in sorted(books.readings.items())))
        self._all = list(dict.fromkeys([*read, *sorted(key[1] for key in books.gaps)]))
        pairs = {pair for relays in books.readings.values() for pair in pairwise(relays)}
        while more := {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs:
            pairs |= more
        self._is_before = {(a, b) for a, b in pairs if (b, a) not in pairs}

        def key(relay: str) -> int:
            return sum(b == relay for _, b in pairs) - sum(a == relay for a, _ in pairs)

        self._all.sort(key=key)

    def _lose_messages(self) -> None:
        """Find the messages that some consumer lacks and none has, with their reasons."""
        books = self._books
        self.messages: dict[Place, str] = {}
        ordered = sorted(books.gaps.items(), key=lambda gap: (gap[1] == "before", gap[0][0], gap[0][3]))
        for (_, relay, topic, first, last), reason in ordered:
            for number in range(first, last + 1):
                had = any(
                    place[1:] == (relay, topic)
                    and number < reached
                    and not any(
                        gap[:3] == (place[0], relay, topic) and gap[3] <= number <= gap[4]
                        for gap in books.gaps
                    )
                    for place, reached in books.reached.items()
                )
                if not had:
                    self.messages.setdefault((relay, topic, number), reason)

    def _holes(self) -> list[_Hole]:
        books = self._books
        holes = []
        known = (
            {session for session, _ in books.rows} | {loss[0] for loss in books.losses} | {*books.sessions}
        )
        for session in sorted(known):
            said, _, said_by, floor = books.sessions.get(session, (0, None, "", 0))
            rows = {seq: place for (one, seq), place in books.rows.items() if one == session and seq >= floor}
            ends = [loss[2] + 1 for loss in books.losses if loss[0] == session]
            end = max([said, *ends, *(seq + 1 for seq in rows)])
            numbers: list[int] = []
            for number in range(floor, end + 1):
                loss = next(
                    (one for one in books.losses if one[0] == session and one[1] <= number <= one[2]), None
                )
                if number < end and number not in rows and not loss:
                    numbers.append(number)
                    continue
                if number < end and number not in rows and loss:
                    self.lost[f"{loss[3]} {loss[4]}"] += 1
                if numbers:
                    below = max((seq for seq in rows if seq < numbers[0]), default=None)
                    at_floor = books.rows.get((session, floor - 1))
                    above = min((seq for seq in rows if seq > numbers[0]), default=None)
                    hole = _Hole(
                        session,
                        numbers,
                        end if above is None else above,
                        at_floor if below is None else rows[below],
                        None if above is None else rows[above],
                        said_by if above is None and said == end else None,
                        was_there=below is not None or floor > 0,
                    )
                    hole.relays = self._between(hole)
                    holes.append(hole)
                    numbers = []
        return holes

    def _between(self, hole: _Hole) -> set[str]:
        earlier = hole.earlier and hole.earlier[0]
        later = self._later(hole)
        if earlier == later and earlier in self._all:
            return {earlier}
        if (later, earlier) in self._is_before:
            earlier, later = later, earlier
        return {
            relay
            for relay in self._all
            if (relay, earlier) not in self._is_before and (later, relay) not in self._is_before
        }

    def _later(self, hole: _Hole) -> str | None:
        return hole.later[0] if hole.later else hole.said_by

    def _parts(self, hole: _Hole) -> list[_Hole]:
        books = self._books
        read = {relay for relays in books.readings.values() for relay in relays}
        vanished = {relay for relay in read if books.ended[relay] == "vanished"}
        silent = {relay for relay in books.silent & read if books.ended[relay] is None}
        others = hole.relays - {self._later(hole)}
        quiet = None
        if others & silent:
            quiet = "bus relay_silent"
        if others & vanished:
            quiet = "bus relay_vanished"
        claims = [
            number
            for session, relay, number in books.starts
            if session == hole.session
            and relay in hole.relays
            and not (relay == self._later(hole) and hole.end < number)
        ]
        end = hole.end if quiet and hole.was_there else max(claims, default=0)
        parts = []
        for otherwise, numbers in (
            (quiet or "browser claimed", [number for number in hole.numbers if number < end]),
            (None, [number for number in hole.numbers if number >= end]),
        ):
            if numbers:
                part = _Hole(**vars(hole) | {"numbers": numbers, "otherwise": otherwise})
                parts.append(part)
        return parts

    def _fits(self, message: Place, hole: _Hole) -> bool:
        """Whether a message lies where a hole is."""
        if message[0] not in hole.relays or message[1] == LEDGER_TOPIC:
            return False
        if hole.earlier and hole.earlier[:2] == message[:2] and message[2] <= hole.earlier[2]:
            return False
        return not (hole.later and hole.later[:2] == message[:2] and message[2] >= hole.later[2])

    def _judge(self, holes: list[_Hole], told: dict[int, str]) -> None:
        self._explained: Counter[str] = Counter()
        self.unexplained = set()
        self.free = dict(sorted(self.messages.items(), key=lambda one: (self._all.index(one[0][0]), one[0])))
        ranks = {relay: rank for rank, relay in enumerate(self._all)}

        def urgency(hole: _Hole) -> Any:
            earlier, later = hole.earlier and hole.earlier[0], self._later(hole)
            last = max(ranks.get(earlier or "", 0), ranks.get(later or "", len(ranks)))
            return hole.otherwise is not None, id(hole) in told, last, hole.later[2] if hole.later else inf

        for hole in sorted(holes, key=urgency):
            for number in hole.numbers:
                message = next((one for one in self.free if self._fits(one, hole)), None)
                if message is not None:
                    self._explained[f"bus {self.free.pop(message)}"] += 1
                elif hole.otherwise:
                    self._explained[hole.otherwise] += 1
                elif id(hole) in told:
                    self._explained[f"bus {told[id(hole)]}"] += 1
                else:
                    self.unexplained.add((hole.session, number))

    def _by_ledger(self, holes: list[_Hole]) -> dict[int, str]:
        sessions: dict[str, list[_Hole]] = {}
        for hole in holes:
            if not hole.otherwise:
                sessions.setdefault(hole.session, []).append(hole)

        def need(holes: list[_Hole]) -> tuple[bool, int]:
            helpless = any(
                sum(self._fits(message, hole) for message in self.messages) < len(hole.numbers)
                for hole in holes
            )
            return helpless, sum(len(hole.numbers) for hole in holes)

        free = {place: reason for place, reason in sorted(self.messages.items()) if place[1] == LEDGER_TOPIC}
        told = {}
        for of_session in sorted(sessions.values(), key=need, reverse=True):
            given: dict[str, str] = {}
            for hole in of_session:
                for relay in self._all:
                    if relay not in hole.relays:
                        continue
                    message = next((one for one in free if one[0] == relay), None)
                    if relay not in given and message:
                        given[relay] = free.pop(message)
                    if relay in given:
                        told[id(hole)] = given[relay]
                        break
        return told

    @property
    def explained(self) -> dict[str, int]:
        """What is lost, by place and reason."""
        return dict(self.lost + self._explained)
