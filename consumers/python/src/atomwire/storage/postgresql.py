"""PostgreSQL, by psycopg."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from atomwire.storage.errors import Refused, StorageError, Unavailable, Unusable
from atomwire.storage.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from psycopg.abc import PQGen
    from psycopg.rows import TupleRow

    from atomwire.storage.driver import Parameters

STATEMENT_TIMEOUT = 5.0
"""Seconds that a statement may take; the limit of this side is one more, for a server that is stopped."""
LOCK_TIMEOUT = 4.0
"""Seconds of these that it may wait for others."""

DEFAULTS = {
    "connect_timeout": int(STATEMENT_TIMEOUT),
    # A peer that is gone without a word is noticed within some 5 s, too, whether anything is sent or not.
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": int(STATEMENT_TIMEOUT * 1000),
}
"""Of libpq's parameters. What the URL says wins."""

LIMIT = """
SELECT set_config(name, value, false)
FROM (VALUES ('lock_timeout', %s), ('statement_timeout', %s)) AS ours (name, value)
JOIN pg_settings USING (name)
WHERE source <> 'client'
"""
"""What the URL's `options` say wins here, too."""

TYPES = {"text": 'TEXT COLLATE "C"', "json": "JSON", "time": "TIMESTAMPTZ"}
HAS_SCHEMA = "SELECT 1 WHERE to_regclass('atomwire_schema') IS NOT NULL"
LOCK_SCHEMA = f"SELECT pg_advisory_xact_lock({int.from_bytes(b'atomwire', 'big')})"
"""Any number will do that no other program locks."""

INSERT = """
INSERT INTO atomwire_updates
SELECT session, seq, key, value::json, error, time::timestamptz, trace_id, topic, relay_id, relay_seq,
    stored_at::timestamptz
FROM unnest(
    %b::text[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::text[],
    %b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[]
) AS new (session, seq, key, value, error, time, trace_id, topic, relay_id, relay_seq, stored_at)
ON CONFLICT (session, seq) DO NOTHING
"""
"""One statement, one round trip; the columns as arrays in binary, which need no quoting."""

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_REFUSED = ("22", "23", "44", "54", "P0")
"""Data, constraints, views' conditions, limits, and what a trigger raises."""
_UNUSABLE = ("0A", "28", "3D", "3F", "42")
"""What is not supported, who may not come in, what is not there, what may not be done."""
# libpq has no SQLSTATE for a connection that is refused, only the server's text. One in another language is
# taken for a server that is away.
_DENIED = re.compile(
    r"FATAL:  (\S+ authentication failed|no pg_hba\.conf entry|permission denied"
    r'|(role|database) ".*" (does not exist|is not permitted to log in))'
    r"|no password supplied"
)
_T = TypeVar("_T")


class PostgreSql:
    """A server's database. Statements wait for the next whose result is needed: one round trip for all."""

    error: type[Exception] = psycopg.Error

    def __init__(self, url: str) -> None:
        """`url` as libpq has it: `postgresql://user:password@host:port/database?parameter=value`."""
        self.attributes: Mapping[str, str | int] = {"db.system.name": "postgresql"}
        self._conninfo = make_conninfo("", **DEFAULTS | conninfo_to_dict(url), client_encoding="UTF8")
        self._connection: _Connection | None = None
        self._socket: socket.socket | None = None
        self._waiting: list[tuple[str, Parameters]] = []

    def open(self) -> None:
        """Connect; one migration runs at a time."""
        if self._connection is not None:
            return
        # Nothing is prepared: of what a savepoint undoes, psycopg forgets it before the server does.
        connection = _Connection.connect(self._conninfo, autocommit=True, prepare_threshold=None)
        self._connection = connection
        # Of its own, so that it is the connection's as long as it is open, whichever thread closes that.
        self._socket = socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        info = connection.info
        if info.parameter_status("server_encoding") != "UTF8":
            raise Unusable("the database's encoding is not UTF8")
        self.attributes = {
            "db.system.name": "postgresql",
            "db.namespace": info.dbname,
            "server.address": info.host,
            "server.port": info.port,
        }
        self.begin()
        self.execute(LIMIT, (f"{LOCK_TIMEOUT}s", f"{STATEMENT_TIMEOUT}s"))
        ((limit,),) = self.rows("SELECT setting::integer FROM pg_settings WHERE name = 'statement_timeout'")
        connection.limit = limit / 1000 + 1 if limit else None
        self.execute(LOCK_SCHEMA)
        migrate(self, HAS_SCHEMA, TYPES)
        self.commit()

    def close(self) -> None:
        """Let go of the connection, whatever state it is in."""
        self._waiting.clear()
        line, self._socket = self._socket, None
        connection, self._connection = self._connection, None
        if line is not None:
            line.close()
        if connection is not None:
            connection.close()

    def interrupt(self) -> None:
        """Cut the line: a request to cancel would need a server that listens."""
        if (line := self._socket) is not None:
            with suppress(OSError):  # closed meanwhile, by either side
                line.shutdown(socket.SHUT_RDWR)

    @property
    def connection(self) -> psycopg.Connection[TupleRow]:
        """The connection, in the transaction and in no pipeline: there COPY does not work."""
        self._flush()
        return self._opened()

    def begin(self) -> None:
        """Begin."""
        self.execute("BEGIN")

    def commit(self) -> None:
        """Commit."""
        self.execute("COMMIT")
        if self._flush().statusmessage != "COMMIT":
            # A handler kept an error to itself, and the server has undone everything.
            raise psycopg.errors.InFailedSqlTransaction("the transaction had failed before its commit")

    def rollback(self) -> None:
        """Undo what the server has heard of."""
        self._waiting.clear()
        if self._opened().info.transaction_status is not TransactionStatus.IDLE:
            self._opened().execute("ROLLBACK")

    def execute(self, statement: str, parameters: Parameters = ()) -> None:
        """Have a statement run before the next whose result is needed."""
        self._waiting.append((statement, parameters))

    def execute_many(self, statement: str, rows: Iterable[Parameters]) -> None:
        """Have it run once for each row."""
        self._waiting += [(statement, row) for row in rows]

    def changed(self, statement: str, parameters: Parameters = ()) -> int:
        """Run a statement and return how many rows it wrote."""
        self.execute(statement, parameters)
        return self._flush().rowcount

    def rows(self, statement: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        self.execute(statement, parameters)
        return self._flush().fetchall()

    def insert_updates(self, rows: Sequence[Parameters]) -> int:
        """Write rows of `atomwire_updates` and return how many are new."""
        return self.changed(INSERT, [list(column) for column in zip(*rows, strict=True)])

    def meaning(self, error: Exception) -> type[StorageError]:
        """Tell by the SQLSTATE, and where there is none, by psycopg's class."""
        state = getattr(error, "sqlstate", None)
        if state is None:
            if isinstance(error, psycopg.OperationalError):
                return Unusable if _DENIED.search(_first_line(error)) else Unavailable
            return Refused if isinstance(error, psycopg.DataError) else Unusable
        if state.startswith(_REFUSED):
            return Refused
        return Unusable if state.startswith(_UNUSABLE) else Unavailable

    def _flush(self) -> psycopg.Cursor[TupleRow]:
        """Run what waits, and return the last one's cursor."""
        connection = self._opened()
        cursor = connection.cursor()
        waiting, self._waiting = self._waiting, []
        with connection.pipeline():
            for statement, parameters in waiting:
                cursor = connection.execute(statement.encode(), parameters)
        return cursor

    def _opened(self) -> _Connection:
        assert self._connection is not None  # noqa: S101 - open comes first
        return self._connection


class _Connection(psycopg.Connection["TupleRow"]):
    """Gives a statement up also when the server is stopped: its sockets live on."""

    limit: float | None = STATEMENT_TIMEOUT + 1
    """Seconds that the server may take for what it is asked."""

    def wait(self, gen: PQGen[_T], interval: float = 0.1, timeout: float | None = None) -> _T:
        try:
            return super().wait(gen, interval, timeout or self.limit)
        except psycopg.OperationalError:
            # Without an answer it is of no use, and to end a pipeline would be to wait once more.
            if self.pgconn.transaction_status is TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise


def _first_line(error: Exception) -> str:
    # Further lines (DETAIL) quote the row.
    return str(error).partition("\n")[0]
