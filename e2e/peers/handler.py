"""A handler of somebody's own: `handler.py REPLAY NAME DATABASE` writes each message of an update down, once.

What it is given a second time breaks its table's key, and is booked as refused.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import atomwire

if TYPE_CHECKING:
    from collections.abc import Sequence

replay, name, database = sys.argv[1:]

with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as made:
    made.execute(
        "CREATE TABLE IF NOT EXISTS handled"
        " (relay TEXT, number INTEGER, session TEXT, seq INTEGER, PRIMARY KEY (relay, number))"
    )


def handle(updates: Sequence[atomwire.Update], connection: sqlite3.Connection) -> None:
    """Write down which messages these were."""
    rows = [(update.relay_id, update.relay_seq, update.session, update.seq) for update in updates]
    connection.executemany("INSERT INTO handled VALUES (?, ?, ?, ?)", rows)


print("handling", flush=True)
totals = atomwire.run(handle, consumer=name, replay=replay, database=database)
print("handled", totals.updates.stored, totals.updates.refused)
