"""The consumer's tables: updates as rows, and the books that account for those that are missing."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


class _Json(sa.types.UserDefinedType[str]):
    r"""PostgreSQL's `json`, given and kept as text.

    Not `jsonb`: it reorders keys, rewrites numbers, and refuses the \u0000 that a browser may well send.
    """

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSON"


metadata = sa.MetaData()
_SESSION = sa.String(32)
_RELAY_ID = sa.String(16)
_CONSUMER = sa.String(64)
_TIME = sa.DateTime(timezone=True)  # SQLite keeps no zone: its times are UTC

atom_updates = sa.Table(
    "atom_updates",
    metadata,
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

losses = sa.Table(
    "losses",
    metadata,
    sa.Column("session", _SESSION, primary_key=True),
    sa.Column("first_seq", sa.BigInteger, primary_key=True),
    sa.Column("last_seq", sa.BigInteger, primary_key=True),
    sa.Column("place", sa.String(8), primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("stored_at", _TIME, nullable=False),
)
"""Updates `first_seq` to `last_seq`, both included, that `browser`, `relay` or `consumer` gave up."""

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("session", _SESSION, primary_key=True),
    sa.Column("next_seq", sa.BigInteger, nullable=False),
    sa.Column("end_reason", sa.Text),
    sa.Column("relay_id", _RELAY_ID, nullable=False),
    sa.Column("stored_at", _TIME, nullable=False),
)
"""Sessions of which a relay (the last is named) said that they made the updates below `next_seq`.
`end_reason` is NULL while one goes on."""

session_starts = sa.Table(
    "session_starts",
    metadata,
    sa.Column("session", _SESSION, primary_key=True),
    sa.Column("relay_id", _RELAY_ID, primary_key=True),
    sa.Column("next_seq", sa.BigInteger, primary_key=True),
    sa.Column("stored_at", _TIME, nullable=False),
)
"""Sessions that a relay took on at `next_seq`. What lies below, only the client says to exist."""

bus_gaps = sa.Table(
    "bus_gaps",
    metadata,
    sa.Column("relay_id", _RELAY_ID, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("first_seq", sa.BigInteger, primary_key=True),
    sa.Column("last_seq", sa.BigInteger, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("stored_at", _TIME, nullable=False),
)
"""Messages, by `relay.seq`, that this consumer did not get. `_feed.Gap` has the reasons."""

bus_positions = sa.Table(
    "bus_positions",
    metadata,
    sa.Column("consumer", _CONSUMER, primary_key=True),
    sa.Column("relay_id", _RELAY_ID, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("next_seq", sa.BigInteger, nullable=False),
    sa.Column("stored_at", _TIME, nullable=False),
)
"""The message of a topic that comes next for a consumer: each below is in these tables, as a row, an entry, a
gap, or a refusal."""

relays = sa.Table(
    "relays",
    metadata,
    sa.Column("consumer", _CONSUMER, primary_key=True),
    sa.Column("relay_id", _RELAY_ID, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("ended", sa.Text),
    sa.Column("stored_at", _TIME, nullable=False),
)
"""Relays in the order (`stored_at`) in which they answered a consumer, each with the position to go on from.
`ended`: `drained` when its end message came, `vanished` when another relay answered in its place instead."""
