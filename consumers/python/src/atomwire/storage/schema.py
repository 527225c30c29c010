"""The consumer's tables: updates as rows, and the books that account for those that are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atomwire.storage.errors import Unusable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atomwire.storage.driver import Driver

VERSION_1 = (
    "CREATE TABLE atomwire_schema (version INTEGER NOT NULL)",
    "INSERT INTO atomwire_schema VALUES (0)",
    # One row an update. `value` is JSON text, NULL where the browser could not express the value.
    """
    CREATE TABLE atomwire_updates (
        session {text} NOT NULL,
        seq BIGINT NOT NULL,
        key {text} NOT NULL,
        value {json},
        error {text},
        time {time} NOT NULL,
        trace_id {text} NOT NULL,
        topic {text} NOT NULL,
        relay_id {text} NOT NULL,
        relay_seq BIGINT NOT NULL,
        stored_at {time} NOT NULL,
        PRIMARY KEY (session, seq)
    )
    """,
    # Updates `first_seq` to `last_seq`, both included, that `browser`, `relay` or `consumer` gave up.
    """
    CREATE TABLE atomwire_losses (
        session {text} NOT NULL,
        first_seq BIGINT NOT NULL,
        last_seq BIGINT NOT NULL,
        place {text} NOT NULL,
        reason {text} NOT NULL,
        stored_at {time} NOT NULL,
        PRIMARY KEY (session, first_seq, last_seq, place)
    )
    """,
    # Sessions of which a relay (the last is named) said that they made the updates below `next_seq`.
    # `end_reason` is NULL while one goes on. What is below `floor` was pruned, and was accounted for then.
    """
    CREATE TABLE atomwire_sessions (
        session {text} NOT NULL PRIMARY KEY,
        next_seq BIGINT NOT NULL,
        end_reason {text},
        relay_id {text} NOT NULL,
        floor BIGINT NOT NULL DEFAULT 0,
        stored_at {time} NOT NULL
    )
    """,
    # Sessions that a relay took on at `next_seq`. What lies below, only the client says to exist.
    """
    CREATE TABLE atomwire_session_starts (
        session {text} NOT NULL,
        relay_id {text} NOT NULL,
        next_seq BIGINT NOT NULL,
        stored_at {time} NOT NULL,
        PRIMARY KEY (session, relay_id, next_seq)
    )
    """,
    # Relays in the order (`ordinal`: 1, 2, …) in which a consumer first read them, each with the position to
    # go on from. `ended`: `drained` when its end message came, `vanished` when another relay answered in its
    # place. `silent_since`: when it stopped answering, while it does not.
    """
    CREATE TABLE atomwire_relays (
        consumer {text} NOT NULL,
        ordinal BIGINT NOT NULL,
        relay_id {text} NOT NULL,
        topic {text} NOT NULL,
        position BIGINT NOT NULL,
        ended {text},
        silent_since {time},
        stored_at {time} NOT NULL,
        PRIMARY KEY (consumer, ordinal),
        UNIQUE (consumer, relay_id)
    )
    """,
    # The message of a topic that comes next for a consumer: each below is in these tables, as a row, an
    # entry, a gap, or a refusal.
    """
    CREATE TABLE atomwire_topics (
        consumer {text} NOT NULL,
        relay_id {text} NOT NULL,
        topic {text} NOT NULL,
        next_seq BIGINT NOT NULL,
        stored_at {time} NOT NULL,
        PRIMARY KEY (consumer, relay_id, topic)
    )
    """,
    # Messages, by `relay.seq`, that a consumer did not get. `ordered_stream.Gap` has the reasons.
    """
    CREATE TABLE atomwire_gaps (
        consumer {text} NOT NULL,
        relay_id {text} NOT NULL,
        topic {text} NOT NULL,
        first_seq BIGINT NOT NULL,
        last_seq BIGINT NOT NULL,
        reason {text} NOT NULL,
        stored_at {time} NOT NULL,
        PRIMARY KEY (consumer, relay_id, topic, first_seq, last_seq)
    )
    """,
    # How many updates were pruned. Those that were rows have the place `row` and no reason.
    """
    CREATE TABLE atomwire_pruned (
        place {text} NOT NULL,
        reason {text} NOT NULL,
        updates BIGINT NOT NULL,
        PRIMARY KEY (place, reason)
    )
    """,
)

MIGRATIONS = (VERSION_1,)
"""What brings a schema from each version to the next. Only ever added to."""


def migrate(driver: Driver, has_schema: str, types: Mapping[str, str]) -> None:
    """Bring the schema up to date, inside a transaction that no other migration runs beside.

    `has_schema` is a query that has a row if there is `atomwire_schema`; `types` are the database's names of
    `text` (compared by bytes), `json` and `time`. Raises `Unusable` when the schema is a later program's.
    """
    version = 0
    if driver.rows(has_schema):
        ((version,),) = driver.rows("SELECT version FROM atomwire_schema")
    if version > len(MIGRATIONS):
        raise Unusable(
            f"the database's schema has version {version}, and this program knows {len(MIGRATIONS)}:"
            " a newer one has written to it"
        )
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            driver.execute(statement.format(**types))
    if version < len(MIGRATIONS):
        driver.execute("UPDATE atomwire_schema SET version = %s", (len(MIGRATIONS),))
