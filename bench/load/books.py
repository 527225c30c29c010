"""Makes the books of a consumer that read relays one after the other.

`books.py DATABASE ROWS SESSIONS HOLES TOPICS`. Sessions go on beside each other, in no order of their names.
Each hole is one message of a gap.
"""

from __future__ import annotations

import random
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

from atomwire.storage.database import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Write = Callable[[str, Iterable[tuple[Any, ...]]], object]

RELAYS = 10
BESIDE = 100
"""Sessions at a time."""

NOW = "2026-11-21T02:30:44.123456Z"
VALUE = '{"items":[' + ",".join(f'{{"id":{number},"count":1}}' for number in range(6)) + "]}"


def write_books(write: Write, rows: int, sessions: int, holes: int, topics: int) -> None:
    """Hand each table's rows to `write`."""
    made = random.Random(1)  # noqa: S311 - no secret
    names = [f"{made.getrandbits(128):032x}" for _ in range(sessions)]
    length = rows // sessions
    relays = [f"{number:016x}" for number in range(1, RELAYS + 1)]
    # What comes next in each topic of a relay.
    counts: Counter[tuple[str, str]] = Counter()
    gaps = []

    def relay_of(number: int) -> str:
        return relays[number * RELAYS // sessions]

    def updates() -> Iterator[tuple[Any, ...]]:
        for first in range(0, sessions, BESIDE):
            for seq in range(length):
                for number in range(first, min(first + BESIDE, sessions)):
                    relay, topic = relay_of(number), f"atom-updates.{number * topics // sessions}"
                    relay_seq = counts[relay, topic]
                    counts[relay, topic] += 1
                    # Holes are spread over the sessions, one in each that has any.
                    if seq == length // 2 and number * holes // sessions < (number + 1) * holes // sessions:
                        gaps.append((relay, topic, relay_seq))
                    else:
                        session = (names[number], seq)
                        yield (*session, "cart", VALUE, None, NOW, "0" * 32, topic, relay, relay_seq, NOW)

    write("atomwire_updates", updates())
    write("atomwire_gaps", (("rows", relay, topic, at, at, "gone", NOW) for relay, topic, at in gaps))
    write("atomwire_topics", (("rows", *place, count, NOW) for place, count in counts.items()))
    write(
        "atomwire_relays",
        (("rows", at, relay, "atom", 0, "drained", None, NOW) for at, relay in enumerate(relays, 1)),
    )
    write("atomwire_session_starts", ((names[at], relay_of(at), 0, NOW) for at in range(sessions)))
    # Each fourth lost its last two with its page.
    write(
        "atomwire_sessions",
        ((names[at], length + 2 * (not at % 4), "closed", relay_of(at), 0, NOW) for at in range(sessions)),
    )
    write(
        "atomwire_losses",
        ((names[at], length, length + 1, "browser", "page_closed", NOW) for at in range(0, sessions, 4)),
    )


def make_tables(database: str) -> None:
    """Do as a consumer does at its start."""
    with closing(connect(database)) as books, books.transaction():
        pass


def main(database: str, *counts: str) -> None:
    """Make the database; one of PostgreSQL is made anew."""
    if database.startswith("sqlite:"):
        make_tables(database)
        connection = sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-1000000")
        connection.execute("BEGIN")

        def insert(table: str, rows: Iterable[tuple[Any, ...]]) -> None:
            columns = len(connection.execute(f"SELECT * FROM {table} LIMIT 0").description)  # noqa: S608
            statement = f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})"  # noqa: S608
            connection.executemany(statement, rows)

        write_books(insert, *map(int, counts))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    else:
        import psycopg  # noqa: PLC0415

        host, _, name = database.rpartition("/")
        with psycopg.connect(f"{host}/postgres", autocommit=True) as server:
            server.execute(f"DROP DATABASE IF EXISTS {name}".encode())
            server.execute(f"CREATE DATABASE {name}".encode())
        make_tables(database)
        with psycopg.connect(database, autocommit=True) as server:

            def copy(table: str, rows: Iterable[tuple[Any, ...]]) -> None:
                with server.cursor().copy(f"COPY {table} FROM STDIN".encode()) as stream:
                    for row in rows:
                        stream.write_row(row)

            write_books(copy, *map(int, counts))
            # As autovacuum has, some time after so many rows.
            server.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    main(*sys.argv[1:])
