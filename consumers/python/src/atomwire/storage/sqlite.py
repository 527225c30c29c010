"""SQLite, by the standard library."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from atomwire.storage.errors import Refused, StorageError, Unavailable, Unusable
from atomwire.storage.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from atomwire.storage.driver import Parameters

BUSY_TIMEOUT = 1.0
"""Seconds that SQLite waits for another process's lock; no signal handler runs meanwhile."""

TYPES = {"text": "TEXT", "json": "TEXT", "time": "TEXT"}
HAS_SCHEMA = "SELECT 1 FROM sqlite_master WHERE name = 'atomwire_schema'"
INSERT = """
INSERT INTO atomwire_updates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (session, seq) DO NOTHING
"""

# https://www.sqlite.org/rescode.html; the codes themselves are not in Python 3.10's exceptions.
_PASSING = (
    "database is locked",
    "database table is locked",
    "database schema is locked",
    "database or disk is full",
    "disk I/O error",
    "interrupted",
    "locking protocol",
)


class Sqlite:
    """A file. Its write-ahead log lets others read meanwhile."""

    error: type[Exception] = sqlite3.Error

    def __init__(self, path: str) -> None:
        """`path` of the file, which is made if it is not there."""
        self.attributes: Mapping[str, str | int] = {"db.system.name": "sqlite", "db.namespace": path}
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Connect; the schema is looked after under the lock of whoever writes."""
        if self._connection is not None:
            return
        # Transactions begin where they are begun here; `interrupt` may come from another thread.
        self._connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        # NORMAL syncs at checkpoints. Rows survive a crash of this process at any time; the machine's own may
        # cost the last of them, with the position behind them, never the file.
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self.begin()
        migrate(self, HAS_SCHEMA, TYPES)
        self.commit()

    def close(self) -> None:
        """Let go of the connection, whatever state it is in."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def interrupt(self) -> None:
        """Have the statement that runs fail. The wait for a lock goes on to its end."""
        if (connection := self._connection) is not None:
            connection.interrupt()

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection."""
        assert self._connection is not None  # noqa: S101 - open comes first
        return self._connection

    def begin(self) -> None:
        """Begin as a writer: a reader that turns into one could fail for what others wrote meanwhile."""
        self.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit."""
        self.execute("COMMIT")

    def rollback(self) -> None:
        """Undo, unless SQLite has done so itself, as it does when the disk is full."""
        if self.connection.in_transaction:
            self.execute("ROLLBACK")

    def execute(self, statement: str, parameters: Parameters = ()) -> None:
        """Run a statement whose result nobody needs."""
        self._run(statement, parameters)

    def execute_many(self, statement: str, rows: Iterable[Parameters]) -> None:
        """Run it once for each row."""
        self.connection.executemany(statement.replace("%s", "?"), rows)

    def changed(self, statement: str, parameters: Parameters = ()) -> int:
        """Run a statement and return how many rows it wrote."""
        return self._run(statement, parameters).rowcount

    def rows(self, statement: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        return self._run(statement, parameters).fetchall()

    def insert_updates(self, rows: Sequence[Parameters]) -> int:
        """Write rows of `atomwire_updates` and return how many are new."""
        return self.connection.executemany(INSERT, rows).rowcount

    def meaning(self, error: Exception) -> type[StorageError]:
        """Tell by the class, which is the result code's, and by SQLite's constant texts."""
        if isinstance(error, (sqlite3.IntegrityError, sqlite3.DataError)):
            return Refused
        return Unavailable if str(error).startswith(_PASSING) else Unusable

    def _run(self, statement: str, parameters: Parameters) -> sqlite3.Cursor:
        return self.connection.execute(statement.replace("%s", "?"), parameters)
