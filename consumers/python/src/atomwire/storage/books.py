"""What a consumer's transaction adds to the books, and where they say to go on."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from atomwire.bus.message import Ledger, Loss, SessionEnd, SessionStart
from atomwire.storage.entries import Gap, Known, Position
from atomwire.storage.ranges import Ranges

if TYPE_CHECKING:
    from atomwire.storage.driver import Transaction

MAX_TOPICS = 65_536
"""Topics of a relay that are remembered: as many as it counts itself."""

LAST_RELAYS = """
SELECT relay_id, position FROM atomwire_relays WHERE consumer = %s
ORDER BY CASE ended WHEN 'vanished' THEN 1 ELSE 0 END, ordinal DESC LIMIT 2
"""
"""The relay that is read: the last one in whose place no other has answered; a relay may come back."""

TOPICS = """
SELECT topic, next_seq FROM atomwire_topics WHERE consumer = %s AND relay_id = %s
ORDER BY stored_at DESC, topic LIMIT %s
"""

ADD_GAP = """
INSERT INTO atomwire_gaps (consumer, relay_id, topic, first_seq, last_seq, reason, stored_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (consumer, relay_id, topic, first_seq, last_seq) DO NOTHING
"""

ADD_RELAY = """
INSERT INTO atomwire_relays (consumer, ordinal, relay_id, topic, position, stored_at)
SELECT %s, COALESCE(MAX(ordinal), 0) + 1, %s, %s, 0, %s FROM atomwire_relays WHERE consumer = %s
ON CONFLICT (consumer, relay_id) DO UPDATE SET ended = NULL, position = 0
WHERE atomwire_relays.ended = 'vanished'
"""

VANISHED = """
UPDATE atomwire_relays SET ended = 'vanished' WHERE consumer = %s AND relay_id = %s AND ended IS NULL
"""
DRAINED = "UPDATE atomwire_relays SET ended = 'drained' WHERE consumer = %s AND relay_id = %s"
SILENT = "UPDATE atomwire_relays SET silent_since = %s WHERE consumer = %s AND relay_id = %s"
# Who has moved it meanwhile has stored what lies between.
MOVE = "UPDATE atomwire_relays SET position = %s WHERE consumer = %s AND relay_id = %s AND position = %s"

# Also backwards: a relay that forgot a topic counts anew.
MOVE_TOPIC = """
INSERT INTO atomwire_topics (consumer, relay_id, topic, next_seq, stored_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (consumer, relay_id, topic)
DO UPDATE SET next_seq = excluded.next_seq, stored_at = excluded.stored_at
"""

LOSSES_AROUND = """
SELECT first_seq, last_seq FROM atomwire_losses WHERE session = %s AND first_seq <= %s AND last_seq >= %s
"""

ADD_LOSS = """
INSERT INTO atomwire_losses (session, first_seq, last_seq, place, reason, stored_at)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (session, first_seq, last_seq, place) DO NOTHING
"""

START_SESSION = """
INSERT INTO atomwire_session_starts (session, relay_id, next_seq, stored_at) VALUES (%s, %s, %s, %s)
ON CONFLICT (session, relay_id, next_seq) DO NOTHING
"""

CONTINUE_SESSION = """
INSERT INTO atomwire_sessions AS stored (session, next_seq, end_reason, relay_id, stored_at)
VALUES (%s, %s, NULL, %s, %s)
ON CONFLICT (session) DO UPDATE SET
    next_seq = excluded.next_seq, end_reason = NULL,
    relay_id = excluded.relay_id, stored_at = excluded.stored_at
WHERE excluded.next_seq >= stored.next_seq
"""

# A session that came back after its end ends again where it was. The client's own word, `closed`, is final,
# also when a later page has it from a note that knew of less. The number stays with the relay that said it.
END_SESSION = """
INSERT INTO atomwire_sessions AS stored (session, next_seq, end_reason, relay_id, stored_at)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (session) DO UPDATE SET
    next_seq = CASE WHEN excluded.next_seq < stored.next_seq THEN stored.next_seq ELSE excluded.next_seq END,
    relay_id = CASE WHEN excluded.next_seq < stored.next_seq THEN stored.relay_id ELSE excluded.relay_id END,
    end_reason = excluded.end_reason, stored_at = excluded.stored_at
WHERE excluded.next_seq > stored.next_seq
    OR (excluded.next_seq = stored.next_seq AND stored.end_reason IS NULL)
    OR (excluded.end_reason = 'closed' AND COALESCE(stored.end_reason, '') <> 'closed')
"""


class Books:
    """A consumer's entries in one transaction. Each method returns how much of what it is given was new."""

    def __init__(self, transaction: Transaction, consumer: str) -> None:
        """`consumer` is the name under which positions are kept."""
        self._transaction = transaction
        self._consumer = consumer
        self._now = as_text(datetime.now(timezone.utc))

    def known(self) -> Known:
        """Read where the consumer has to go on."""
        relays = self._transaction.rows(LAST_RELAYS, (self._consumer,))
        if not relays:
            return Known()
        relay_id, position = relays[0]
        topics = self._transaction.rows(TOPICS, (self._consumer, relay_id, MAX_TOPICS))
        return Known(relay_id, position, len(relays) == 1, tuple((topic, number) for topic, number in topics))

    def add_gap(self, gap: Gap) -> int:
        """Add messages that did not come, and return how many."""
        row = (self._consumer, gap.relay_id, gap.topic, gap.first, gap.last, gap.reason, self._now)
        return self._transaction.changed(ADD_GAP, row) * (gap.last - gap.first + 1)

    def add_relay(self, relay_id: str, topic: str) -> int:
        """Add a relay that answers, and is read from its first message on; `topic` is the prefix."""
        row = (self._consumer, relay_id, topic, self._now, self._consumer)
        return self._transaction.changed(ADD_RELAY, row)

    def vanished(self, relay_id: str) -> int:
        """Say that another relay answers in this one's place: all the same to one that has ended."""
        return self._transaction.changed(VANISHED, (self._consumer, relay_id))

    def drained(self, relay_id: str) -> int:
        """Say that a relay told its end."""
        return self._transaction.changed(DRAINED, (self._consumer, relay_id))

    def silent(self, relay_id: str, *, is_silent: bool) -> int:
        """Say that from now on a relay does not answer, or does."""
        return self._transaction.changed(SILENT, (self._now if is_silent else None, self._consumer, relay_id))

    def move(self, position: Position) -> int:
        """Say up to where everything is stored, or accounted for; 0 when it was not where this begins."""
        self._transaction.execute_many(
            MOVE_TOPIC,
            [
                (self._consumer, position.relay_id, topic, number, self._now)
                for topic, number in position.topics.items()
            ],
        )
        row = (position.next, self._consumer, position.relay_id, position.start)
        return self._transaction.changed(MOVE, row)

    def add_losses(self, ledger: Ledger) -> int:
        """Add updates that are lost and were not already: another relay may hear of the same once more."""
        last, first = max(loss.last for loss in ledger.lost), min(loss.first for loss in ledger.lost)
        taken = Ranges(self._transaction.rows(LOSSES_AROUND, (ledger.session, last, first)))
        new = [
            Loss(first, last, loss.reason)
            for loss in ledger.lost
            for first, last in taken.add(loss.first, loss.last)
        ]
        self._write_losses(ledger.session, ledger.place, new)
        return sum(loss.last - loss.first + 1 for loss in new)

    def refuse(self, session: str, seq: int) -> int:
        """Account for an update that cannot be stored."""
        self._write_losses(session, "consumer", [Loss(seq, seq, "refused")])
        return 1

    def add_session(self, message: SessionStart | SessionEnd) -> int:
        """Add where a session is taken on, or where it ends."""
        session, next_seq, relay_id = message.session, message.next_seq, message.relay_id
        if isinstance(message, SessionEnd):
            row = (session, next_seq, message.reason, relay_id, self._now)
            return self._transaction.changed(END_SESSION, row)
        self._transaction.execute(CONTINUE_SESSION, (session, next_seq, relay_id, self._now))
        return self._transaction.changed(START_SESSION, (session, relay_id, next_seq, self._now))

    def _write_losses(self, session: str, place: str, lost: list[Loss]) -> None:
        rows = [(session, loss.first, loss.last, place, loss.reason, self._now) for loss in lost]
        self._transaction.execute_many(ADD_LOSS, rows)


def as_text(time: datetime) -> str:
    """Write a time in UTC as RFC 3339 with microseconds, as the bus has it."""
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")
