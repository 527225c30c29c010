"""Removes what is old and accounted for, beside consumers that write."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from atomwire.bus.codec import SEQ_END
from atomwire.storage.books import as_text
from atomwire.storage.ranges import Ranges

if TYPE_CHECKING:
    from datetime import timedelta

    from atomwire.storage.database import Database
    from atomwire.storage.driver import Transaction

STEP = 1_000
"""Rows that one transaction looks at, so that consumers need not wait for long. At least 2: one stays."""

NEXT_SESSION = """
SELECT MIN(session) FROM (
    SELECT MIN(session) AS session FROM atomwire_updates WHERE session > %s
    UNION ALL
    SELECT MIN(session) AS session FROM atomwire_losses WHERE session > %s
) AS following
"""
SESSION = "SELECT floor, next_seq, end_reason IS NOT NULL FROM atomwire_sessions WHERE session = %s"
ROWS = """
SELECT seq, stored_at < %s, relay_id FROM atomwire_updates WHERE session = %s AND seq >= %s
ORDER BY seq LIMIT %s
"""
LOSSES = """
SELECT first_seq, last_seq, stored_at < %s, place, reason FROM atomwire_losses
WHERE session = %s AND last_seq >= %s ORDER BY stored_at, first_seq
"""

ADD_SESSION = """
INSERT INTO atomwire_sessions (session, next_seq, relay_id, stored_at) VALUES (%s, %s, %s, %s)
ON CONFLICT (session) DO NOTHING
"""
RAISE_FLOOR = "UPDATE atomwire_sessions SET floor = %s WHERE session = %s AND floor = %s"
DELETIONS = (
    "DELETE FROM atomwire_updates WHERE session = %s AND seq < %s",
    "DELETE FROM atomwire_losses WHERE session = %s AND last_seq < %s",
    "DELETE FROM atomwire_session_starts WHERE session = %s AND next_seq <= %s",
)
ADD_PRUNED = """
INSERT INTO atomwire_pruned AS stored (place, reason, updates) VALUES (%s, %s, %s)
ON CONFLICT (place, reason) DO UPDATE SET updates = stored.updates + excluded.updates
"""

UNSEEN = """
SELECT 1 FROM atomwire_sessions AS known WHERE floor < next_seq
AND NOT EXISTS (SELECT 1 FROM atomwire_updates AS u WHERE u.session = known.session)
AND NOT EXISTS (SELECT 1 FROM atomwire_losses AS l WHERE l.session = known.session)
LIMIT 1
"""
"""A session of which everything is missing."""

RELAYS = "SELECT consumer, relay_id, ordinal FROM atomwire_relays"
FORGET = tuple(
    f"DELETE FROM {table} WHERE consumer = %s AND stored_at < %s AND relay_id IN"  # noqa: S608 - no input
    " (SELECT relay_id FROM atomwire_relays WHERE consumer = %s AND ended IS NOT NULL AND ordinal < %s)"
    for table in ("atomwire_gaps", "atomwire_topics")
)

ROW: tuple[str, str] = ("row", "")
"""Place and reason of updates that were rows."""


def prune(database: Database, older_than: timedelta) -> Counter[tuple[str, str]]:
    """Remove rows and losses that were stored longer ago; return how many updates, by place and reason.

    A session is pruned from its lowest number on, up to the first that is too young, or that is neither row
    nor loss: that one the account has yet to explain, for which the row before it stays. So does the newest
    row of a session that has not ended. Gaps and topics of relays that ended before any row that is left was
    published go, too. Raises what `Database.transaction` does; what is pruned by then is.
    """
    before = as_text(datetime.now(timezone.utc) - older_than)
    pruned: Counter[tuple[str, str]] = Counter()
    needed: set[str] = set()
    session = ""
    while (following := _next_session(database, session)) is not None:
        session = following
        while True:
            found, counts = _step(database, session, before)
            pruned += counts
            if not counts:
                break
        needed |= found.needs()
    _forget(database, needed, before)
    return pruned


def _next_session(database: Database, session: str) -> str | None:
    with database.transaction() as transaction:
        ((following,),) = transaction.rows(NEXT_SESSION, (session, session))
        return following  # type: ignore[no-any-return]


def _forget(database: Database, needed: set[str], before: str) -> None:
    """Remove what a consumer knows of relays that ended, and that it read before any that is needed."""
    with database.transaction() as transaction:
        if transaction.rows(UNSEEN):
            return
        ordinals: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for consumer, relay_id, ordinal in transaction.rows(RELAYS):
            ordinals[consumer][relay_id] = ordinal
        for consumer, order in ordinals.items():
            if needed <= order.keys():
                first = min((order[relay_id] for relay_id in needed), default=max(order.values()))
                for deletion in FORGET:
                    transaction.execute(deletion, (consumer, before, consumer, first))


def _step(database: Database, session: str, before: str) -> tuple[_Found, Counter[tuple[str, str]]]:
    """Prune some of a session, and return what there was; no counts when there is nothing more to prune."""
    with database.transaction() as transaction:
        found = _find(transaction, session, before)
        floor = found.new_floor()
        if floor == found.floor:
            return found, Counter()
        relay_id = found.rows[0].relay_id if found.rows else ""
        now = as_text(datetime.now(timezone.utc))
        transaction.execute(ADD_SESSION, (session, floor, relay_id, now))
        if not transaction.changed(RAISE_FLOOR, (floor, session, found.floor)):
            return found, Counter()  # another one prunes
        for deletion in DELETIONS:
            transaction.execute(deletion, (session, floor))
        counts = found.counts(floor)
        transaction.execute_many(ADD_PRUNED, [(*place, updates) for place, updates in counts.items()])
    return found, counts


class _Row(NamedTuple):
    seq: int
    is_old: bool
    relay_id: str


class _Loss(NamedTuple):
    first: int
    last: int
    is_old: bool
    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is of a session from its floor on: of its rows some, all of its losses."""

    floor: int
    next_seq: int
    has_ended: bool
    rows: list[_Row]
    losses: list[_Loss]
    """In the order in which they were recorded."""

    def new_floor(self) -> int:
        """Return the number up to which it is pruned, which is not reached."""
        settled = Ranges((loss.first, loss.last) for loss in self.losses if loss.is_old)
        for row in self.rows:
            if row.is_old:
                settled.add(row.seq, row.seq)
        (end, _), *_ = settled.add(self.floor, SEQ_END)
        # A row that a loss calls lost is a row.
        end = min(
            [end, *(row.seq for row in self.rows if not row.is_old), *(row.seq for row in self.rows[STEP:])]
        )
        if self.has_ended and end >= self._known_end():
            return end
        return max((row.seq for row in self.rows if row.seq < end), default=end)

    def counts(self, floor: int) -> Counter[tuple[str, str]]:
        """Return how many updates are pruned, by place and reason: each once, as the account has it."""
        rows = [row.seq for row in self.rows if row.seq < floor]
        counts = Counter({ROW: len(rows)})
        taken = Ranges((seq, seq) for seq in rows)
        for loss in self.losses:
            if loss.first < floor:
                new = taken.add(max(loss.first, self.floor), min(loss.last, floor - 1))
                counts[loss.place, loss.reason] += sum(last - first + 1 for first, last in new)
        return +counts

    def needs(self) -> set[str]:
        """Return the relay from which on gaps may explain what is missing; `""` where any may."""
        first = self.rows[0].seq if self.rows else self._known_end()
        settled = Ranges((loss.first, loss.last) for loss in self.losses)
        if first > self.floor and settled.add(self.floor, first - 1):
            return {""}
        return {self.rows[0].relay_id} if self.rows else set()

    def _known_end(self) -> int:
        return max(
            [self.next_seq, *(row.seq + 1 for row in self.rows), *(loss.last + 1 for loss in self.losses)]
        )


def _find(transaction: Transaction, session: str, before: str) -> _Found:
    sessions = transaction.rows(SESSION, (session,))
    floor, next_seq, has_ended = sessions[0] if sessions else (0, 0, False)
    rows = transaction.rows(ROWS, (before, session, floor, STEP + 1))
    losses = transaction.rows(LOSSES, (before, session, floor))
    return _Found(
        floor, next_seq, bool(has_ended), list(map(_Row._make, rows)), list(map(_Loss._make, losses))
    )
