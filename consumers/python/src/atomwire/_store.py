"""The consumer's tables: updates as rows, and the books that account for those that are missing."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy.dialects import postgresql, sqlite

from atomwire._message import Ledger, SessionEnd, Update

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from atomwire._gaps import Gap
    from atomwire._message import Message

CONNECT_TIMEOUT = 5
"""Seconds for PostgreSQL to accept a connection."""
LOCK_TIMEOUT = 1.0
"""Seconds that SQLite waits for another process's lock before the consumer's own retries take over."""

_SCHEMA_LOCK = int.from_bytes(b"atomwire", "big")
"""Any number will do that no other program locks."""


class _Json(sa.types.UserDefinedType[str]):
    r"""PostgreSQL's `json`, given and kept as text.

    Not `jsonb`: it reorders keys, rewrites numbers, and refuses the \u0000 that a browser may well send.
    """

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSON"


_metadata = sa.MetaData()
_SESSION = sa.String(32)
_RELAY_ID = sa.String(16)
_TIME = sa.DateTime(timezone=True)  # SQLite keeps no zone: its times are UTC

atom_updates = sa.Table(
    "atom_updates",
    _metadata,
    sa.Column("session", _SESSION, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("value", sa.Text().with_variant(_Json(), "postgresql")),
    sa.Column("error", sa.Text),
    sa.Column("time", _TIME, nullable=False),
    sa.Column("trace_id", sa.String(32), nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("relay_id", _RELAY_ID, nullable=False),
    sa.Column("relay_seq", sa.BigInteger, nullable=False),
    sa.Column("stored_at", _TIME, nullable=False),
)
"""One row an update. `value` is JSON text, NULL where the browser could not express the value."""

session_losses = sa.Table(
    "session_losses",
    _metadata,
    sa.Column("session", _SESSION, primary_key=True),
    sa.Column("first_seq", sa.BigInteger, primary_key=True),
    sa.Column("last_seq", sa.BigInteger, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("stored_at", _TIME, nullable=False),
)
"""Updates `first_seq` to `last_seq`, both included, that a browser reported lost."""

session_ends = sa.Table(
    "session_ends",
    _metadata,
    sa.Column("session", _SESSION, primary_key=True),
    sa.Column("next_seq", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("stored_at", _TIME, nullable=False),
)
"""A session that ended numbered its updates 0 to `next_seq` - 1."""

bus_gaps = sa.Table(
    "bus_gaps",
    _metadata,
    sa.Column("relay_id", _RELAY_ID, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("first_seq", sa.BigInteger, primary_key=True),
    sa.Column("last_seq", sa.BigInteger, primary_key=True),
    sa.Column("stored_at", _TIME, nullable=False),
)
"""Messages, by `relay.seq`, that this consumer was subscribed for and did not get."""


class Store:
    """One connection to the database, made when needed and again after `close`.

    Raises `sqlalchemy.exc.DBAPIError` from whatever touches the database. Statements join the current span's
    trace; connecting and creating tables belong to no update, so they make no spans.
    """

    def __init__(self, url: sa.URL, tracer_provider: TracerProvider) -> None:
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
        insert = sqlite.insert if self._is_sqlite else postgresql.insert
        self._insert_update = insert(atom_updates).on_conflict_do_nothing()
        self._insert_losses = insert(session_losses).on_conflict_do_nothing()
        self._insert_gap = insert(bus_gaps).on_conflict_do_nothing()
        end = insert(session_ends)
        # A session that came back after its end ends again, further on.
        self._upsert_end = end.on_conflict_do_update(
            index_elements=["session"],
            set_={name: end.excluded[name] for name in ("next_seq", "reason", "stored_at")},
            where=end.excluded.next_seq > session_ends.c.next_seq,
        )

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
                _metadata.create_all(connection)
                connection.commit()
        return self._connection

    def add(self, message: Message, gap: Gap | None = None) -> bool:
        """Write the message, and the gap before it, in one transaction; False if it was there already."""
        connection = self.open()
        now = datetime.now(timezone.utc)
        with connection.begin():
            if gap is not None:
                connection.execute(self._insert_gap, _gap_row(gap, now))
            if isinstance(message, Update):
                result = connection.execute(self._insert_update, _update_row(message, now))
            elif isinstance(message, Ledger):
                result = connection.execute(self._insert_losses, _loss_rows(message, now))
            else:
                result = connection.execute(self._upsert_end, _end_row(message, now))
            return result.rowcount > 0

    def add_gap(self, gap: Gap) -> None:
        """Write a gap alone."""
        connection = self.open()
        with connection.begin():
            connection.execute(self._insert_gap, _gap_row(gap, datetime.now(timezone.utc)))

    def close(self) -> None:
        """Let go of the connection, whatever state it is in."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def _update_row(update: Update, now: datetime) -> dict[str, Any]:
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
        "stored_at": now,
    }


def _loss_rows(ledger: Ledger, now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "session": ledger.session,
            "first_seq": loss.first,
            "last_seq": loss.last,
            "reason": loss.reason,
            "stored_at": now,
        }
        for loss in ledger.lost
    ]


def _end_row(end: SessionEnd, now: datetime) -> dict[str, Any]:
    return {"session": end.session, "next_seq": end.next_seq, "reason": end.reason, "stored_at": now}


def _gap_row(gap: Gap, now: datetime) -> dict[str, Any]:
    return {
        "relay_id": gap.relay_id,
        "topic": gap.topic,
        "first_seq": gap.first,
        "last_seq": gap.last,
        "stored_at": now,
    }
