"""Where a group goes: into a database's transaction together with its position, or to a handler alone."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from atomwire.bus.message import Ledger, RelayEnd, SessionEnd, SessionStart
from atomwire.otel.conventions import Statement
from atomwire.storage.books import Books
from atomwire.storage.entries import Gap, Known, Malformed, Relay, Silent, Vanished
from atomwire.storage.rows import TABLE, set_apart, write_updates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atomwire.bus.message import Update
    from atomwire.ingest.ordered_stream import Entry, Group
    from atomwire.storage.database import Database
    from atomwire.storage.driver import Transaction
    from atomwire.storage.errors import Refused


class MovedError(Exception):
    """The position is not where it was: this group, or more, is stored already."""


@dataclass(slots=True)
class Stored:
    """What became of a group."""

    duplicates: int = 0
    """Updates that were stored before."""
    refused: list[tuple[Update, Refused]] = field(default_factory=lambda: [])  # noqa: PIE807 - typed
    entries: list[tuple[Entry, int]] = field(default_factory=lambda: [])  # noqa: PIE807 - typed
    """Entries, and how much of each was new."""
    statement: Statement | None = None
    """What stored the updates…"""
    began: int = 0
    ended: int = 0
    """…between these times: nanoseconds since 1970."""


class Sink(Protocol):
    """Stores groups."""

    def known(self) -> Known:
        """Say where to go on. Raises `Unavailable` or `Unusable`."""
        ...

    def store(self, group: Group) -> Stored:
        """Store a group, or nothing of it. Raises `Unavailable`, `Unusable`, and what the handler raises."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class DatabaseSink:
    """Commits what a handler writes together with the position behind it."""

    def __init__(
        self, database: Database, consumer: str, topic: str, handle: Callable[[Sequence[Update], Any], object]
    ) -> None:
        """`handle` gets updates and the driver's connection, whose transaction is open."""
        self._database = database
        self._consumer = consumer
        self._topic = topic
        self._handle = handle

    def known(self) -> Known:
        """See `Sink`."""
        with self._database.transaction() as transaction:
            return Books(transaction, self._consumer).known()

    def store(self, group: Group) -> Stored:
        """See `Sink`. Raises `MovedError` where it is stored already."""
        stored = Stored()
        with self._database.transaction() as transaction:
            books = Books(transaction, self._consumer)
            stored.entries = [(entry, self._enter(books, entry)) for entry in group.entries]
            # Before the handler: who else reads under this name waits here, and then sees that it has moved.
            if group.position is not None and not books.move(group.position):
                raise MovedError
            stored.began = time.time_ns()
            if group.updates:
                stored.refused = set_apart(
                    self._database.savepoint,
                    group.updates,
                    lambda some: self._write(transaction, some, stored),
                )
            stored.ended = time.time_ns()
            for update, _ in stored.refused:
                books.refuse(update.session, update.seq)
        stored.statement = self._statement(len(group.updates))
        return stored

    def close(self) -> None:
        """See `Sink`."""
        self._database.close()

    def _write(self, transaction: Transaction, updates: Sequence[Update], _stored: Stored) -> None:
        self._handle(updates, transaction.connection)

    def _statement(self, _updates: int) -> Statement | None:
        return None

    def _enter(self, books: Books, entry: Entry) -> int:  # noqa: PLR0911 - a table
        match entry:
            case Gap():
                return books.add_gap(entry)
            case Malformed():
                return books.refuse(entry.session, entry.seq)
            case Relay():
                return books.add_relay(entry.relay_id, self._topic)
            case Vanished():
                return books.vanished(entry.relay_id)
            case Silent():
                return books.silent(entry.relay_id, is_silent=entry.is_silent)
            case Ledger():
                return books.add_losses(entry)
            case SessionStart() | SessionEnd():
                return books.add_session(entry)
            case RelayEnd():
                return books.drained(entry.relay_id)


class RowSink(DatabaseSink):
    """Writes each update as a row of `atomwire_updates`, which knows what it has."""

    def __init__(self, database: Database, consumer: str, topic: str) -> None:
        super().__init__(database, consumer, topic, lambda _updates, _connection: None)

    def _write(self, transaction: Transaction, updates: Sequence[Update], stored: Stored) -> None:
        stored.duplicates += len(updates) - write_updates(transaction, updates)

    def _statement(self, updates: int) -> Statement | None:
        attributes = {
            **self._database.attributes,
            "db.collection.name": TABLE,
            "db.query.summary": f"INSERT {TABLE}",
            "db.operation.name": "INSERT",
        }
        if updates > 1:
            attributes |= {"db.operation.name": "BATCH INSERT", "db.operation.batch.size": updates}
        return Statement(f"INSERT {TABLE}", attributes)


class HandlerSink:
    """Has updates handled; where to go on is known as long as the process lives."""

    def __init__(self, handle: Callable[[Sequence[Update]], object]) -> None:
        self._handle = handle
        self._known = Known()

    def known(self) -> Known:
        """See `Sink`."""
        return self._known

    def store(self, group: Group) -> Stored:
        """See `Sink`."""
        stored = Stored(began=time.time_ns())
        if group.updates:
            stored.refused = set_apart(nullcontext, group.updates, self._handle)
        stored.ended = time.time_ns()
        stored.entries = [(entry, 1) for entry in group.entries]
        return stored

    def close(self) -> None:
        """See `Sink`."""
