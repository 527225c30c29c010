"""Reads the books: where every update is that an app is known to have made."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from atomwire import _tables as tables
from atomwire._evidence import Evidence, Hole, Place
from atomwire._ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN_HOLES = 100
"""Unexplained holes that an account names."""

BATCH = 1_000
"""Rows in memory at a time of those that are read in a stream."""

MISSING = """
WITH steps AS (
    SELECT session, COALESCE(LAG(seq) OVER (PARTITION BY session ORDER BY seq), -1) AS before, seq AS after
    FROM atom_updates
),
ends AS (
    SELECT session, MAX(next_seq) AS after
    FROM (
        SELECT session, next_seq FROM sessions
        UNION ALL
        SELECT session, last_seq + 1 AS next_seq FROM losses
    ) AS said
    GROUP BY session
),
tails AS (
    SELECT
        session,
        COALESCE((SELECT MAX(seq) FROM atom_updates WHERE atom_updates.session = ends.session), -1) AS before,
        after
    FROM ends
),
missing AS (
    SELECT session, before, after, 0 AS is_tail FROM steps WHERE after > before + 1
    UNION ALL
    SELECT session, before, after, 1 AS is_tail FROM tails WHERE after > before + 1
)
SELECT
    missing.session, missing.before, missing.after,
    earlier.relay_id, earlier.topic, earlier.relay_seq,
    COALESCE(later.relay_id, sessions.relay_id), later.topic, later.relay_seq
FROM missing
LEFT JOIN atom_updates AS earlier
    ON earlier.session = missing.session AND earlier.seq = missing.before
LEFT JOIN atom_updates AS later
    ON missing.is_tail = 0 AND later.session = missing.session AND later.seq = missing.after
LEFT JOIN sessions
    ON missing.is_tail = 1 AND sessions.session = missing.session AND sessions.next_seq = missing.after
ORDER BY missing.session, missing.before
"""
"""Each run of a session's numbers between two rows, or after the last one, that are no rows, and what stands
around it. The rows themselves stay in the database, where the primary key has them in order."""

LOSSES = """
SELECT session, first_seq, last_seq, place, reason, stored_at FROM losses ORDER BY session, first_seq
"""


class NoBooksError(Exception):
    """The database cannot be read, or no consumer has written to it."""


@dataclass(slots=True)
class Account:
    """Where the updates are. Every number known to exist is a row, or lost, or unexplained."""

    sessions: int = 0
    sessions_ended: int = 0
    rows: int = 0
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By place and reason."""
    unexplained: int = 0
    holes: list[tuple[str, int, int]] = field(default_factory=list)
    """The unexplained: session, first and last number; `SHOWN_HOLES` of them."""
    relays: int = 0
    relays_drained: int = 0
    relays_vanished: int = 0
    messages_lost: int = 0
    """By the relays' own count, since the first message that this database has."""
    messages_unclaimed: int = 0
    """Those of updates that no hole needed: repeats, or the last updates of sessions that have not ended."""

    @property
    def balanced(self) -> bool:
        """Whether every update is accounted for."""
        return not self.unexplained


def read_account(database: sa.URL) -> Account:
    """Read a database's books as they are at one moment, and change nothing. Raises `NoBooksError`."""
    try:
        with _connect(database) as connection:
            present = sa.inspect(connection).get_table_names()
            if not set(tables.metadata.tables) <= set(present):
                raise NoBooksError("the database has no books: no consumer has written to it")
            return _read(connection)
    except DBAPIError as error:
        raise NoBooksError(f"the database cannot be read: {error.orig}".partition("\n")[0]) from None


@contextmanager
def _connect(url: sa.URL) -> Iterator[sa.Connection]:
    if url.get_backend_name() == "sqlite":
        path = quote(str(Path(url.database or "").absolute()))
        url = url.set(database=f"file:{path}", query={"mode": "ro", "uri": "true"})
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection
    else:
        engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="REPEATABLE READ")
        with engine.connect() as connection:
            yield connection.execution_options(postgresql_readonly=True)


def _read(connection: sa.Connection) -> Account:
    def rows(statement: str, **parameters: Any) -> Iterator[Any]:
        options = {"yield_per": BATCH}
        # Closed also when nobody wants the rest: a cursor is the server's, too.
        with connection.execute(sa.text(statement), parameters, execution_options=options) as result:
            yield from result

    account = Account()
    ((account.rows,),) = rows("SELECT COUNT(*) FROM atom_updates")
    ((account.sessions,),) = rows(
        "SELECT COUNT(*) FROM (SELECT session FROM atom_updates UNION SELECT session FROM losses"
        " UNION SELECT session FROM sessions) AS known"
    )
    ((account.sessions_ended,),) = rows("SELECT COUNT(*) FROM sessions WHERE end_reason IS NOT NULL")
    # A relay that two consumers read is one; it has drained if either heard it say so.
    relays = list(
        rows("SELECT relay_id, MIN(ended) FROM relays GROUP BY relay_id ORDER BY MIN(stored_at), relay_id")
    )
    account.relays = len(relays)
    account.relays_drained = sum(ended == "drained" for _, ended in relays)
    account.relays_vanished = sum(ended == "vanished" for _, ended in relays)

    evidence = Evidence(relays)
    for relay_id, topic, first, last, reason in rows(
        "SELECT relay_id, topic, first_seq, last_seq, reason FROM bus_gaps ORDER BY first_seq, last_seq"
    ):
        evidence.add_gap(relay_id, topic, first, last, reason)
        if reason != "before":
            account.messages_lost += last - first + 1

    def starts(session: str) -> list[tuple[str, int]]:
        statement = "SELECT relay_id, next_seq FROM session_starts WHERE session = :session"
        return [(relay_id, next_seq) for relay_id, next_seq in rows(statement, session=session)]

    unaccounted = _holes(rows(MISSING), rows(LOSSES), account.lost)
    for session, holes in groupby(unaccounted, lambda hole: hole.session):
        evidence.add_holes(holes, starts(session))
    explained, unexplained = evidence.judge()
    account.messages_unclaimed = evidence.messages_left
    account.lost.update(explained)
    account.unexplained = sum(hole.last - hole.first + 1 for hole in unexplained)
    unexplained.sort(key=lambda hole: (hole.session, hole.first))
    account.holes = [(hole.session, hole.first, hole.last) for hole in unexplained[:SHOWN_HOLES]]
    return account


def _holes(missing: Iterator[Any], losses: Iterator[Any], lost: Counter[tuple[str, str]]) -> Iterator[Hole]:
    """Yield what no loss accounts for, and count what one does: each number once, for the first recorded."""
    waiting = next(losses, None)
    reached: list[Any] = []
    for session, before, after, *around in missing:
        # Both come in the same order: hexadecimal digits are in that of their codes in any collation.
        while waiting is not None and (waiting.session, waiting.first_seq) < (session, after):
            if waiting.session == session:
                reached.append(waiting)
            waiting = next(losses, None)
        reached = [loss for loss in reached if loss.session == session and loss.last_seq > before]
        taken = Ranges()
        for loss in sorted(reached, key=lambda loss: (loss.stored_at, loss.first_seq)):
            new = taken.add(max(loss.first_seq, before + 1), min(loss.last_seq, after - 1))
            lost[loss.place, loss.reason] += sum(last - first + 1 for first, last in new)
        for first, last in taken.add(before + 1, after - 1):
            yield Hole(session, first, last, after, Place(*around[:3]), Place(*around[3:]))
