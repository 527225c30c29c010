"""Books written by hand."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg

from atomwire.account.query import read_account
from atomwire.account.report import as_json
from atomwire.storage import postgresql, sqlite
from atomwire.storage.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

A, B, C, D = "a" * 16, "b" * 16, "c" * 16, "d" * 16
ONE, TWO = "1" * 32, "2" * 32
TOPIC = "atom-updates"
WRITTEN = ("updates", "losses", "sessions", "session_starts", "relays", "topics", "gaps", "pruned")


class Books:
    """Books of which each call adds something, in the order of the calls."""

    def __init__(self, url: str) -> None:
        self._url = url
        types = sqlite.TYPES if url.startswith("sqlite:") else postgresql.TYPES
        made = [statement.format(**types) for statements in MIGRATIONS for statement in statements]
        made.append(f"UPDATE atomwire_schema SET version = {len(MIGRATIONS)}")
        self._waiting: list[tuple[str, tuple[Any, ...]]] = [(statement, ()) for statement in made]
        self._calls = 0
        self._ordinals: dict[str, int] = {}

    def rows(
        self, session: str, seqs: Iterable[int], relay: str = A, first: int = 0, topic: str = TOPIC
    ) -> Books:
        """Rows whose `relay.seq` counts from `first`."""
        return self._insert(
            "updates (session, seq, key, time, trace_id, topic, relay_id, relay_seq, stored_at)",
            *(
                (session, seq, "k", self._now, "0" * 32, topic, relay, relay_seq)
                for relay_seq, seq in enumerate(seqs, first)
            ),
        )

    def lost(self, session: str, first: int, last: int, place: str = "browser", reason: str = "r") -> Books:
        columns = "losses (session, first_seq, last_seq, place, reason, stored_at)"
        return self._insert(columns, (session, first, last, place, reason))

    def gap(  # noqa: PLR0913, PLR0917 - as many as its columns
        self,
        relay: str,
        first: int,
        last: int,
        reason: str = "gone",
        topic: str = TOPIC,
        consumer: str = "rows",
    ) -> Books:
        columns = "gaps (consumer, relay_id, topic, first_seq, last_seq, reason, stored_at)"
        return self._insert(columns, (consumer, relay, topic, first, last, reason))

    def reached(self, consumer: str, relay: str, next_seq: int, topic: str = TOPIC) -> Books:
        columns = "topics (consumer, relay_id, topic, next_seq, stored_at)"
        return self._insert(columns, (consumer, relay, topic, next_seq))

    def relay(
        self, relay: str, ended: str | None = None, consumer: str = "rows", *, silent: bool = False
    ) -> Books:
        """Say that a consumer read a relay after those before."""
        ordinal = self._ordinals[consumer] = self._ordinals.get(consumer, 0) + 1
        columns = "relays (consumer, ordinal, relay_id, topic, position, ended, silent_since, stored_at)"
        silent_since = self._now if silent else None
        return self._insert(columns, (consumer, ordinal, relay, TOPIC, 0, ended, silent_since))

    def started(self, session: str, next_seq: int, relay: str = A) -> Books:
        columns = "session_starts (session, relay_id, next_seq, stored_at)"
        return self._insert(columns, (session, relay, next_seq))

    def ended(
        self, session: str, next_seq: int, relay: str = A, reason: str | None = "closed", floor: int = 0
    ) -> Books:
        columns = "sessions (session, next_seq, end_reason, relay_id, floor, stored_at)"
        return self._insert(columns, (session, next_seq, reason, relay, floor))

    def pruned(self, place: str, reason: str, updates: int) -> Books:
        self._waiting.append(("INSERT INTO atomwire_pruned VALUES (%s, %s, %s)", (place, reason, updates)))
        return self

    def clear(self) -> Books:
        """Take everything back."""
        self._calls = 0
        self._ordinals = {}
        self._waiting += [(f"DELETE FROM atomwire_{table}", ()) for table in WRITTEN]
        return self

    def read(self) -> dict[str, Any]:
        """Return the account for programs."""
        return as_json(read_account(self.url))

    @property
    def _now(self) -> str:
        return f"2026-01-01T00:{self._calls // 60:02}:{self._calls % 60:02}.000000Z"

    def _insert(self, columns: str, *rows: tuple[Any, ...]) -> Books:
        self._calls += 1
        values = ", ".join(["%s"] * (columns.count(",") + 1))
        statement = f"INSERT INTO atomwire_{columns} VALUES ({values})"
        self._waiting += [(statement, (*row, self._now)) for row in rows]
        return self

    @property
    def url(self) -> str:
        """Where the books are, once all is written that was called for."""
        statements, self._waiting = self._waiting, []
        if self._url.startswith("sqlite:"):
            with closing(sqlite3.connect(self._url.removeprefix("sqlite:///"))) as connection, connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=OFF")
                for statement, parameters in statements:
                    connection.execute(statement.replace("%s", "?"), parameters)
        else:
            with psycopg.connect(self._url) as server:
                for statement, parameters in statements:
                    server.execute(statement.encode(), parameters)
        return self._url


def outcome(account: dict[str, Any]) -> tuple[dict[str, int], list[tuple[int, int]]]:
    """Return what is lost, by place and reason, and what is unexplained."""
    lost = {f"{entry['place']} {entry['reason']}": entry["updates"] for entry in account["lost"]}
    known = account["rows"] + account["pruned"] + sum(lost.values()) + account["unexplained"]
    assert account["updates"] == known
    assert account["balanced"] is (account["unexplained"] == 0)
    return lost, [(hole["first"], hole["last"]) for hole in account["holes"]]
