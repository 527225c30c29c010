"""Reads the books: where every update is that an app is known to have made."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from atomwire.account.books import reading
from atomwire.account.explain import Evidence, Explanation, Hole, Place
from atomwire.account.messages import Gap, lost_by_all
from atomwire.account.order import RelayOrder
from atomwire.storage.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from atomwire.account.books import Rows

SHOWN_HOLES = 100
"""Unexplained holes that an account names."""

NOWHERE = Place()
"""Where a row would be from that there is not."""

BATCH = 1_000
"""Sessions that are looked into at a time."""

SESSIONS = """
WITH said AS (
    SELECT session, COUNT(*) AS stored, MAX(seq) + 1 AS next_row, MAX(seq) + 1 AS next_seq, 0 AS floor
    FROM atomwire_updates
    GROUP BY session
    UNION ALL
    SELECT session, -COUNT(*), NULL, NULL, 0
    FROM atomwire_sessions JOIN atomwire_updates USING (session)
    WHERE floor > 0 AND seq < floor
    GROUP BY session
    UNION ALL
    SELECT session, 0, NULL, next_seq, floor FROM atomwire_sessions
    UNION ALL
    SELECT session, 0, NULL, MAX(last_seq) + 1, 0 FROM atomwire_losses GROUP BY session
),
known AS (
    SELECT
        session, SUM(stored) AS stored, COALESCE(MAX(next_row), 0) AS next_row, MAX(next_seq) AS next_seq,
        MAX(floor) AS floor
    FROM said
    GROUP BY session
)
SELECT
    CASE WHEN stored < next_seq - floor THEN session END AS short, COUNT(*), SUM(stored), MAX(next_row),
    MAX(next_seq), MAX(floor)
FROM known
GROUP BY short
"""
"""Each session with numbers that are no rows, and all others together (NULL). One pass over the key counts
the rows; those below the floor are repeats of what was pruned."""

STRIDE = 16
"""Rows that are passed over at a time, where no number is missing. More of them are fewer steps, and more to
read where one is."""

STEPS = f"""
WITH RECURSIVE chosen AS (
    SELECT
        listed.value AS session,
        COALESCE((SELECT floor FROM atomwire_sessions WHERE session = listed.value), 0) AS floor,
        (SELECT MAX(seq) FROM atomwire_updates WHERE session = listed.value) AS newest
    FROM json_each(?) AS listed
),
strides AS (
    SELECT session, newest, floor - 1 AS before, COALESCE((
        SELECT seq FROM atomwire_updates
        WHERE atomwire_updates.session = chosen.session AND seq >= floor
        ORDER BY seq LIMIT 1 OFFSET {STRIDE - 1}
    ), newest) AS last
    FROM chosen
    UNION ALL
    SELECT session, newest, last, COALESCE((
        SELECT seq FROM atomwire_updates
        WHERE atomwire_updates.session = strides.session AND seq > strides.last
        ORDER BY seq LIMIT 1 OFFSET {STRIDE - 1}
    ), newest)
    FROM strides WHERE last < newest
),
steps AS (
    SELECT
        strides.session AS session, seq AS after,
        LAG(seq, 1, before) OVER (PARTITION BY strides.session, before ORDER BY seq) AS before
    FROM strides
    JOIN atomwire_updates AS stored ON stored.session = strides.session AND seq > before AND seq <= last
    WHERE last - before <> {STRIDE} OR last = newest
)
SELECT
    steps.session, steps.before, steps.after,
    earlier.relay_id, earlier.topic, earlier.relay_seq, later.relay_id, later.topic, later.relay_seq
FROM steps
LEFT JOIN atomwire_updates AS earlier ON earlier.session = steps.session AND earlier.seq = steps.before
JOIN atomwire_updates AS later ON later.session = steps.session AND later.seq = steps.after
WHERE steps.after > steps.before + 1
"""  # noqa: S608 - of constants
"""The rows of some sessions behind numbers that are no rows, and the rows before these. Only strides over
more numbers than rows, and the last, which may not be full, are looked into."""

TAILS = """
SELECT listed.value, newest.relay_id, newest.topic, newest.relay_seq, said.next_seq, said.relay_id
FROM json_each(?) AS listed
LEFT JOIN atomwire_sessions AS said ON said.session = listed.value
LEFT JOIN atomwire_updates AS newest
    ON newest.session = listed.value AND newest.seq >= COALESCE(said.floor, 0) - 1
    AND newest.seq = (SELECT MAX(seq) FROM atomwire_updates WHERE session = listed.value)
"""
"""The newest row of some sessions, and who said how many updates there are."""

LOSSES = """
SELECT session, stored_at, first_seq, last_seq, place, reason
FROM json_each(?) AS listed JOIN atomwire_losses ON session = listed.value
"""

STARTS = """
SELECT session, relay_id, next_seq
FROM json_each(?) AS listed JOIN atomwire_session_starts ON session = listed.value
"""

GAPS = "SELECT relay_id, topic, consumer, first_seq, last_seq, reason FROM atomwire_gaps"

REACHED = """
SELECT relay_id, topic, consumer, next_seq FROM atomwire_topics
WHERE (relay_id, topic) IN (SELECT relay_id, topic FROM atomwire_gaps)
"""

RELAYS = """
SELECT consumer, relay_id, ended, silent_since IS NOT NULL FROM atomwire_relays ORDER BY consumer, ordinal
"""


@dataclass(slots=True)
class Account:
    """Where the updates are. Every number known to exist is a row, pruned, lost, or unexplained."""

    sessions: int = 0
    sessions_ended: int = 0
    rows: int = 0
    pruned: int = 0
    """Numbers below the sessions' floors: accounted for when they were removed."""
    pruned_as: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """What was removed, by place (`row` for rows) and reason."""
    lost: Counter[Explanation] = field(default_factory=Counter[Explanation])
    """By place and reason."""
    unexplained: int = 0
    holes: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    """The unexplained: session, first and last number; `SHOWN_HOLES` of them."""
    relays: int = 0
    relays_drained: int = 0
    relays_vanished: int = 0
    relays_silent: int = 0
    """Those that do not answer, and have not ended."""
    relays_disputed: int = 0
    """Those that consumers read in orders that contradict each other: the account takes none of these."""
    messages_lost: int = 0
    """By the relays' own count, since the first message that any consumer has."""
    messages_unclaimed: int = 0
    """Those of updates that no hole needed: repeats, or the last updates of sessions that have not ended."""

    @property
    def balanced(self) -> bool:
        """Whether every update is accounted for."""
        return not self.unexplained


def read_account(database: str) -> Account:
    """Read a database's books as they are at one moment, and change nothing. Raises `NoBooksError`.

    `database` is `sqlite:///file` or `postgresql://…`.
    """
    with reading(database) as rows:
        account = Account()
        evidence = _read_relays(rows, account)
        short = sorted(_read_sessions(rows, account))
        for at in range(0, len(short), BATCH):
            _explain(rows, short[at : at + BATCH], evidence, account)
    explained, unexplained = evidence.judge()
    account.messages_unclaimed = evidence.messages_left()
    account.lost.update(explained)
    account.unexplained = sum(hole.size for hole in unexplained)
    unexplained.sort(key=lambda hole: (hole.session, hole.first))
    account.holes = [(hole.session, hole.first, hole.last) for hole in unexplained[:SHOWN_HOLES]]
    return account


def _read_relays(rows: Rows, account: Account) -> Evidence:
    """Read what relays and the bus may explain."""
    readings: defaultdict[str, list[str]] = defaultdict(list)
    ends: defaultdict[str, set[str | None]] = defaultdict(set)
    silent: set[str] = set()
    for consumer, relay_id, ended, is_silent in rows(RELAYS):
        readings[consumer].append(relay_id)
        ends[relay_id].add(ended)
        if is_silent:
            silent.add(relay_id)
    # A relay that two consumers read is one; it has drained if either heard it say so.
    drained = {relay_id for relay_id, said in ends.items() if "drained" in said}
    vanished = {relay_id for relay_id, said in ends.items() if "vanished" in said} - drained
    silent -= drained | vanished
    account.relays, account.relays_silent = len(ends), len(silent)
    account.relays_drained, account.relays_vanished = len(drained), len(vanished)

    gaps: defaultdict[tuple[str, str], list[Gap]] = defaultdict(list)
    for relay_id, topic, *gap in rows(GAPS):
        gaps[relay_id, topic].append(Gap(*gap))
    reached: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for relay_id, topic, consumer, next_seq in rows(REACHED):
        reached[relay_id, topic][consumer] = next_seq
    # A relay of which only gaps are left has no place in any order.
    order = RelayOrder([*readings.values(), *([relay_id] for relay_id, _ in sorted(gaps))])
    account.relays_disputed = order.disputed
    evidence = Evidence(order, vanished, silent)
    for place in sorted(gaps):
        lost = lost_by_all(gaps[place], reached[place])
        evidence.add_lost(*place, lost)
        account.messages_lost += sum(one.last - one.first + 1 for one in lost if one.reason != "before")
    return evidence


class _Short(NamedTuple):
    """A session with numbers that are no rows."""

    session: str
    stored: int
    next_row: int
    """The number behind its newest row."""
    next_seq: int
    """The number behind the last that is known to exist."""
    floor: int


def _read_sessions(rows: Rows, account: Account) -> Iterator[_Short]:
    """Count sessions and rows, and return those sessions that want more."""
    for session, sessions, stored, *numbers in rows(SESSIONS):
        account.sessions += sessions
        account.rows += int(stored)
        if session is not None:
            yield _Short(session, int(stored), *numbers)
    ((account.sessions_ended,),) = rows("SELECT COUNT(*) FROM atomwire_sessions WHERE end_reason IS NOT NULL")
    floors = rows("SELECT floor, COUNT(*) FROM atomwire_sessions WHERE floor > 0 GROUP BY floor")
    account.pruned = sum(floor * sessions for floor, sessions in floors)
    for place, reason, updates in rows("SELECT place, reason, updates FROM atomwire_pruned"):
        account.pruned_as[place, reason] = updates


def _explain(rows: Rows, short: list[_Short], evidence: Evidence, account: Account) -> None:
    """Count what losses account for, and hand on what they do not."""
    stepped = [one.session for one in short if one.stored < one.next_row - one.floor]
    steps = _by_session(rows(STEPS, json.dumps(stepped)))
    losses = _by_session(rows(LOSSES, json.dumps([one.session for one in short])))
    holes: dict[str, list[Hole]] = {}
    for one in short:
        lost = _Losses(losses[one.session])
        left = [
            hole for run in _runs(one, steps[one.session]) for hole in lost.account_for(run, account.lost)
        ]
        if left:
            holes[one.session] = left
    starts = _by_session(rows(STARTS, json.dumps(list(holes))))
    tailed = [session for session, left in holes.items() if left[-1].later == NOWHERE]
    tails = {session: tail for session, *tail in rows(TAILS, json.dumps(tailed))}
    for session, left in holes.items():
        evidence.add_holes((_placed(hole, tails) for hole in left), starts[session])


def _by_session(rows: Iterable[tuple[Any, ...]]) -> defaultdict[str, list[tuple[Any, ...]]]:
    found: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for session, *row in rows:
        found[session].append(tuple(row))
    return found


def _runs(short: _Short, steps: list[tuple[Any, ...]]) -> Iterator[Hole]:
    """Return a session's runs of numbers that are no rows, in order."""

    def run(before: int, after: int, earlier: Place, later: Place) -> Hole:
        is_pruned = 0 < short.floor == before + 1
        return Hole(short.session, before + 1, after - 1, after, earlier, later, is_pruned)

    for before, after, *places in sorted(steps):
        yield run(before, after, Place(*places[:3]), Place(*places[3:]))
    newest = max(short.next_row, short.floor) - 1
    if newest + 1 < short.next_seq:
        yield run(newest, short.next_seq, NOWHERE, NOWHERE)


def _placed(hole: Hole, tails: Mapping[str, list[Any]]) -> Hole:
    """Say what stands around a session's tail."""
    if hole.later != NOWHERE:
        return hole
    *newest, next_seq, said_by = tails[hole.session]
    return replace(hole, earlier=Place(*newest), later=Place(said_by) if next_seq == hole.end else NOWHERE)


class _Losses:
    """A session's losses: each number once, for the first recorded."""

    def __init__(self, losses: list[tuple[Any, ...]]) -> None:
        taken = Ranges()
        self._pieces = sorted(
            (*piece, (place, reason))
            for _, first, last, place, reason in sorted(losses)
            for piece in taken.add(first, last)
        )
        self._lasts = [last for _, last, _ in self._pieces]

    def account_for(self, run: Hole, lost: Counter[Explanation]) -> Iterator[Hole]:
        """Count those of a run that are lost, and return the others."""
        reached = run.first
        for first, last, explanation in islice(self._pieces, bisect_left(self._lasts, run.first), None):
            if first > run.last:
                break
            if reached < first:
                yield replace(run, first=reached, last=first - 1)
            lost[explanation] += min(last, run.last) - max(first, run.first) + 1
            reached = last + 1
        if reached <= run.last:
            yield replace(run, first=reached)
