"""Updates as rows, each once, however often it comes; and those that the database refuses, apart."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from atomwire.storage.books import as_text
from atomwire.storage.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from atomwire.bus.message import Update
    from atomwire.storage.driver import Transaction


TABLE = "atomwire_updates"


def write_updates(transaction: Transaction, updates: Sequence[Update]) -> int:
    """Write a row for each update, in one statement, and return how many are new."""
    now = as_text(datetime.now(timezone.utc))
    return transaction.insert_updates(
        [
            (
                update.session,
                update.seq,
                update.key,
                update.value_json,
                update.error,
                update.time_text,
                update.trace_id,
                update.topic,
                update.relay_id,
                update.relay_seq,
                now,
            )
            for update in updates
        ]
    )


def set_apart(
    savepoint: Callable[[], AbstractContextManager[None]],
    updates: Sequence[Update],
    handle: Callable[[Sequence[Update]], object],
) -> list[tuple[Update, Refused]]:
    """Have all updates handled; return those that are refused, and why.

    `handle` gets them all at once, in a savepoint. What is refused is undone, and handed over again by
    halves: one among n that is refused costs 2 log n statements more.
    """
    try:
        with savepoint():
            handle(updates)
    except Refused as refusal:
        if len(updates) == 1:
            return [(updates[0], refusal)]
        middle = len(updates) // 2
        return [
            *set_apart(savepoint, updates[:middle], handle),
            *set_apart(savepoint, updates[middle:], handle),
        ]
    return []
