"""Writes groups of items, in one transaction each, and reads where to go on."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy.dialects import postgresql, sqlite

from atomwire import _tables as tables
from atomwire._feed import Gap, Known, Position, Relay
from atomwire._message import Ledger, Loss, SessionEnd, SessionStart, Update
from atomwire._ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import TracerProvider

    from atomwire._feed import Item

CONNECT_TIMEOUT = 5
"""Seconds for PostgreSQL to accept a connection."""
LOCK_TIMEOUT = 1.0
"""Seconds that SQLite waits for another process's lock before the consumer's own retries take over."""
MAX_POSITIONS = 65_536
"""Topics of a relay that are remembered: as many as it counts itself."""

_SCHEMA_LOCK = int.from_bytes(b"atomwire", "big")
"""Any number will do that no other program locks."""


class Store:
    """One connection to the database, made when needed and again after `close`.

    Raises `sqlalchemy.exc.DBAPIError` from whatever touches the database. The INSERT of an update joins the
    current span's trace; all other statements belong to no update, so they make no spans.
    """

    def __init__(self, url: sa.URL, consumer: str, tracer_provider: TracerProvider) -> None:
        """`consumer` is the name under which positions are kept."""
        self._consumer = consumer
        self._is_sqlite = url.get_backend_name() == "sqlite"
        options = {"timeout": LOCK_TIMEOUT} if self._is_sqlite else {"connect_timeout": CONNECT_TIMEOUT}
        self._engine = sa.create_engine(
            url,
            # What the URL says wins.
            connect_args={name: value for name, value in options.items() if name not in url.query},
            poolclass=sa.NullPool,
            hide_parameters=True,  # values belong in no log
            execution_options={"preserve_rowcount": True},  # PostgreSQL's of an INSERT is dropped otherwise
        )
        # 0.66b1 names SQLAlchemy 2.0 as its newest; the tests see its spans on 2.1.
        SQLAlchemyInstrumentor().instrument(
            engine=self._engine, tracer_provider=tracer_provider, skip_dep_check=True
        )
        self._connection: sa.Connection | None = None
        self._statements = _Statements(sqlite.insert if self._is_sqlite else postgresql.insert)

    def open(self) -> sa.Connection:
        """Connect and create the tables, unless that is done already."""
        if self._connection is None:
            with suppress_instrumentation():
                connection = self._engine.connect()
                self._connection = connection
                if self._is_sqlite:
                    # WAL lets readers read meanwhile; NORMAL syncs at checkpoints. Rows survive a crash of
                    # this process at any time; the machine's own may cost the last of them, never the file.
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                    connection.exec_driver_sql("PRAGMA synchronous=NORMAL")
                else:
                    # Two consumers creating the same table at once fail on PostgreSQL's own catalogue.
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
                tables.metadata.create_all(connection)
                connection.commit()
        return self._connection

    def known(self) -> Known:
        """Read where the consumer has to go on."""
        relays, positions = tables.relays.c, tables.bus_positions.c
        with self.transaction() as transaction:
            newest = transaction.select(
                sa.select(relays.relay_id, relays.position)
                .where(relays.consumer == self._consumer)
                .order_by(relays.stored_at.desc(), relays.relay_id)
                .limit(2)
            )
            if not newest:
                return Known()
            relay_id, position = newest[0]
            rows = transaction.select(
                sa.select(positions.topic, positions.next_seq)
                .where(positions.consumer == self._consumer, positions.relay_id == relay_id)
                .order_by(positions.stored_at.desc())
                .limit(MAX_POSITIONS)
            )
        topics = tuple((topic, number) for topic, number in rows)
        return Known(relay_id, position, len(newest) == 1, topics)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit what the body adds; or nothing, when an exception leaves it."""
        connection = self.open()
        with connection.begin():
            yield Transaction(connection, self._statements, self._consumer)

    def close(self) -> None:
        """Let go of the connection, whatever state it is in."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


class Transaction:
    """What is added to the books together."""

    def __init__(self, connection: sa.Connection, statements: _Statements, consumer: str) -> None:
        self._connection = connection
        self._statements = statements
        self._consumer = consumer
        self._now = datetime.now(timezone.utc)

    def add(self, item: Item) -> int:
        """Add an item and return how much of it was new: updates of a ledger, messages of a gap, else one."""
        if isinstance(item, Update):
            return self._connection.execute(self._statements.update, self._update_row(item)).rowcount
        with suppress_instrumentation():
            return self._add_to_books(item)

    def refuse(self, item: Update) -> None:
        """Account for an update that the database would not take."""
        with suppress_instrumentation():
            self._write_losses(item.session, "consumer", [Loss(item.seq, item.seq, "refused")])

    def select(self, statement: sa.Select[Any]) -> list[tuple[Any, ...]]:
        """Read what a statement gives."""
        with suppress_instrumentation():
            return [tuple(row) for row in self._connection.execute(statement)]

    def _add_to_books(self, item: Item) -> int:
        match item:
            case Gap():
                return self._add_gap(item)
            case Relay():
                return self._add_relay(item)
            case Position():
                return self._move(item)
            case Ledger():
                return self._add_losses(item)
            case SessionStart() | SessionEnd():
                return self._add_session(item)
        row = {"relay": item.relay_id}
        return self._connection.execute(self._statements.relay_drained, row).rowcount

    def _update_row(self, update: Update) -> dict[str, Any]:
        return {
            "session": update.session,
            "seq": update.seq,
            "key": update.key,
            "value": update.value_json,
            "error": update.error,
            "time": update.time,
            "trace_id": update.trace_id,
            "topic": update.topic,
            "relay_id": update.relay_id,
            "relay_seq": update.relay_seq,
            "stored_at": self._now,
        }

    def _add_gap(self, gap: Gap) -> int:
        row = {
            "relay_id": gap.relay_id,
            "topic": gap.topic,
            "first_seq": gap.first,
            "last_seq": gap.last,
            "reason": gap.reason,
            "stored_at": self._now,
        }
        new = self._connection.execute(self._statements.gap, row).rowcount
        return new * (gap.last - gap.first + 1)

    def _add_relay(self, relay: Relay) -> int:
        if relay.vanished:
            row: dict[str, Any] = {"relay": relay.relay_id}
            return self._connection.execute(self._statements.relay_vanished, row).rowcount
        # Not the transaction's time: two relays of one group keep their order.
        row = {
            "consumer": self._consumer,
            "relay_id": relay.relay_id,
            "position": 0,
            "stored_at": datetime.now(timezone.utc),
        }
        return self._connection.execute(self._statements.relay, row).rowcount

    def _move(self, position: Position) -> int:
        rows = [
            {
                "consumer": self._consumer,
                "relay_id": position.relay_id,
                "topic": topic,
                "next_seq": number,
                "stored_at": self._now,
            }
            for topic, number in position.topics.items()
        ]
        if rows:
            self._connection.execute(self._statements.topics, rows)
        row = {"relay": position.relay_id, "reader": self._consumer, "next": position.next}
        return self._connection.execute(self._statements.position, row).rowcount

    def _add_losses(self, ledger: Ledger) -> int:
        """Write what is not lost already: another relay may hear of the same losses once more."""
        column = tables.losses.c
        known = self.select(
            sa.select(column.first_seq, column.last_seq).where(
                column.session == ledger.session,
                column.first_seq <= max(loss.last for loss in ledger.lost),
                column.last_seq >= min(loss.first for loss in ledger.lost),
            )
        )
        taken = Ranges(known)
        new = [
            Loss(first, last, loss.reason)
            for loss in ledger.lost
            for first, last in taken.add(loss.first, loss.last)
        ]
        self._write_losses(ledger.session, ledger.place, new)
        return sum(loss.last - loss.first + 1 for loss in new)

    def _write_losses(self, session: str, place: str, lost: list[Loss]) -> None:
        rows = [
            {
                "session": session,
                "first_seq": loss.first,
                "last_seq": loss.last,
                "place": place,
                "reason": loss.reason,
                "stored_at": self._now,
            }
            for loss in lost
        ]
        if rows:
            self._connection.execute(self._statements.losses, rows)

    def _add_session(self, message: SessionStart | SessionEnd) -> int:
        row = {
            "session": message.session,
            "next_seq": message.next_seq,
            "relay_id": message.relay_id,
            "stored_at": self._now,
        }
        if isinstance(message, SessionEnd):
            return self._connection.execute(
                self._statements.session_end, row | {"end_reason": message.reason}
            ).rowcount
        self._connection.execute(self._statements.session_continues, row | {"end_reason": None})
        return self._connection.execute(self._statements.session_start, row).rowcount


class _Statements:
    """What is written, each compiled once. `insert` is the dialect's: only these know ON CONFLICT."""

    def __init__(self, insert: Any) -> None:
        self.update = insert(tables.atom_updates).on_conflict_do_nothing()
        self.losses = insert(tables.losses).on_conflict_do_nothing()
        self.gap = insert(tables.bus_gaps).on_conflict_do_nothing()
        self.session_start = insert(tables.session_starts).on_conflict_do_nothing()

        topics = insert(tables.bus_positions)
        # Also backwards: a relay that forgot a topic counts anew.
        self.topics = topics.on_conflict_do_update(
            index_elements=["consumer", "relay_id", "topic"], set_=_excluded(topics, "next_seq", "stored_at")
        )

        ended = tables.relays.c.ended
        relay = insert(tables.relays)
        self.relay = relay.on_conflict_do_update(
            index_elements=["consumer", "relay_id"], set_={"ended": None}, where=ended == "vanished"
        )
        is_relay = tables.relays.c.relay_id == sa.bindparam("relay")
        is_reader = tables.relays.c.consumer == sa.bindparam("reader")
        self.position = (
            sa.update(tables.relays).where(is_relay, is_reader).values(position=sa.bindparam("next"))
        )
        self.relay_drained = sa.update(tables.relays).where(is_relay).values(ended="drained")
        self.relay_vanished = (
            sa.update(tables.relays).where(is_relay, ended.is_(None)).values(ended="vanished")
        )

        session = insert(tables.sessions)
        stored = tables.sessions.c
        said = session.excluded
        everything = _excluded(session, "next_seq", "end_reason", "relay_id", "stored_at")
        further = said.next_seq > stored.next_seq
        # A session that came back after its end ends again where it was.
        ends_there = sa.and_(said.next_seq == stored.next_seq, stored.end_reason.is_(None))
        # The client's own word is final, also when a later page has it, from a note that knew of less.
        closes = sa.and_(said.end_reason == "closed", sa.func.coalesce(stored.end_reason, "") != "closed")
        # The number stays with the relay that said it.
        is_behind = said.next_seq < stored.next_seq
        furthest = {
            name: sa.case((is_behind, stored[name]), else_=said[name]) for name in ("next_seq", "relay_id")
        }
        self.session_end = session.on_conflict_do_update(
            index_elements=["session"],
            set_=everything | furthest,
            where=sa.or_(further, ends_there, closes),
        )
        self.session_continues = session.on_conflict_do_update(
            index_elements=["session"], set_=everything, where=said.next_seq >= stored.next_seq
        )


def _excluded(insert: Any, *names: str) -> dict[str, Any]:
    return {name: insert.excluded[name] for name in names}
