"""Reads, stores, confirms: one group after the other."""

from __future__ import annotations

import logging
import time
from contextlib import closing
from typing import TYPE_CHECKING

from atomwire.bus.message import Ledger, Message, RelayEnd, SessionEnd, SessionStart, Update
from atomwire.bus.reader import Reader
from atomwire.ingest.ordered_stream import OrderedStream
from atomwire.ingest.retry import retry
from atomwire.ingest.sinks import MovedError, Stored
from atomwire.ingest.totals import Status, Totals
from atomwire.log import fields
from atomwire.storage.entries import Gap, Malformed, Relay, Vanished
from atomwire.storage.errors import StorageError, Unavailable

if TYPE_CHECKING:
    from atomwire.bus.waker import Waker
    from atomwire.ingest.ordered_stream import Entry, Group
    from atomwire.ingest.sinks import Sink
    from atomwire.otel.spans import Spans
    from atomwire.storage.entries import Known

_log = logging.getLogger("atomwire")


class Engine:
    """Stores what a relay has in a sink, each group once, and waits for whichever of them is away.

    One thread runs it; `totals`, `status` and the waker are for any.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it is between
        self, replay: str, consumer: str, topic: str, sink: Sink, spans: Spans, waker: Waker
    ) -> None:
        """Connect to a relay's replay socket; a malformed endpoint raises `zmq.ZMQError`."""
        self.totals = Totals()
        self.status = Status()
        self._reader = Reader(replay, consumer, topic, waker)
        self._topic = topic
        self._sink = sink
        self._spans = spans
        self._waker = waker

    def run(self) -> None:
        """Go on until stopped. Raises `Unusable`, and what a handler raises but `Refused`."""
        with closing(self._reader), closing(self._sink):
            while (known := self._open()) is not None and self._go_on(known):
                pass
        self.totals.bad = dict(self._reader.bad)

    def _open(self) -> Known | None:
        """Read where to go on; None when stopped before that."""
        try:
            known = retry(self._sink.known, self._waker.wait, self.status)
        except Unavailable:
            return None
        _log.info("reading", extra=fields(relay=known.relay_id, position=known.position))
        return known

    def _go_on(self, known: Known) -> bool:
        """Store what comes, until stopped; True when the position turns out to be another."""
        for group in OrderedStream(self._reader, self._topic, known).groups():
            for update in group.updates:
                self._spans.start(update)
            try:
                stored = retry(lambda: self._sink.store(group), self._waker.wait, self.status)  # noqa: B023
            except MovedError:
                # By another reader of this name, or by this very group: of a commit that fails nobody knows
                # whether it took effect.
                now = time.time_ns()
                self._count(group, Stored(duplicates=len(group.updates), began=now, ended=now))
                return not self._waker.stopped
            except Exception as error:
                self._give_up(group, error)
                if isinstance(error, Unavailable):
                    return False  # nothing further may be stored over what is not, or confirmed
                raise
            self._count(group, stored)
        return False

    def _count(self, group: Group, stored: Stored) -> None:
        tally = self.totals.updates
        tally.received += len(group.updates)
        tally.duplicates += stored.duplicates
        tally.refused += len(stored.refused)
        tally.stored += len(group.updates) - stored.duplicates - len(stored.refused)
        accepted = group.updates
        for update, refusal in stored.refused:
            accepted = [other for other in accepted if other is not update]
            self._spans.failed(update, _cause(refusal))
            _log.error("refused", extra=_failure(update, refusal))
        self._spans.stored(accepted, stored.began, stored.ended, stored.statement)
        for entry, new in stored.entries:
            self._count_entry(entry, new)
        self.status.look_at(group)

    def _count_entry(self, entry: Entry, new: int) -> None:
        totals = self.totals
        match entry:
            case Ledger() | SessionStart() | SessionEnd() | RelayEnd():
                totals.ledger.received += 1
                totals.ledger.stored += new > 0
                totals.ledger.duplicates += not new
                if isinstance(entry, Ledger) and entry.place == "browser":
                    totals.browser_lost += new
            case Malformed():
                totals.updates.received += 1
                totals.updates.refused += 1
            case Gap() if new:
                totals.gaps[entry.reason] = totals.gaps.get(entry.reason, 0) + new
                _log.warning(
                    "bus gap",
                    extra=fields(
                        relay=entry.relay_id,
                        topic=entry.topic,
                        first=entry.first,
                        last=entry.last,
                        reason=entry.reason,
                    ),
                )
            case Relay() if new:
                _log.info("relay appeared", extra=fields(relay=entry.relay_id))
            case Vanished() if new:
                _log.info("relay vanished", extra=fields(relay=entry.relay_id))
            case _:
                pass

    def _give_up(self, group: Group, error: Exception) -> None:
        for message in (*group.updates, *group.entries):
            if isinstance(message, Message):
                self._count_unstored(message, error)

    def _count_unstored(self, message: Message, error: Exception) -> None:
        tally = self.totals.ledger
        if isinstance(message, Update):
            tally = self.totals.updates
            self._spans.failed(message, _cause(error))
        tally.received += 1
        tally.unstored += 1
        _log.error("stopped with a message unstored", extra=_failure(message, error))


def _failure(message: Message, error: Exception) -> dict[str, object]:
    return fields(
        topic=message.topic,
        session=getattr(message, "session", None),
        seq=getattr(message, "seq", None),
        # What a handler raises may quote a value.
        error=str(error) if isinstance(error, StorageError) else type(error).__qualname__,
    )


def _cause(error: Exception) -> Exception:
    """Return the driver's own error, where there is one."""
    return error.__cause__ if isinstance(error.__cause__, Exception) else error
