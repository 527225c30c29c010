"""The runnable consumer: every message becomes rows, in one transaction each, until it is stopped."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from atomwire._gaps import BusGaps
from atomwire._log import fields
from atomwire._message import Ledger, Update
from atomwire._tracing import process

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomwire._gaps import Gap
    from atomwire._message import Message
    from atomwire._store import Store
    from atomwire._subscription import Subscription

FIRST_RETRY = 0.1
LAST_RETRY = 5.0
"""Seconds between attempts at the database: doubled each time, and spread over 50 to 100 % of that."""

_log = logging.getLogger("atomwire")
_T = TypeVar("_T")


@dataclass(slots=True)
class Tally:
    """`received = stored + duplicates + refused + unstored`."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    refused: int = 0
    """What the database would never take: what breaks a constraint added by hand, for instance."""
    unstored: int = 0
    """In hand when the consumer was stopped while the database was away."""


@dataclass(slots=True)
class Totals:
    """What a consumer did."""

    updates: Tally = field(default_factory=Tally)
    ledger: Tally = field(default_factory=Tally)
    browser_lost: int = 0
    """Updates that browsers reported lost."""
    bus_lost: int = 0
    """Messages missing by the relay's count."""


class Consumer:
    """Stores what a subscription brings, and waits for a database that is away."""

    def __init__(self, subscription: Subscription[Message], store: Store) -> None:
        self.totals = Totals()
        self._subscription = subscription
        self._store = store
        self._gaps = BusGaps()

    def open(self) -> bool:
        """Reach the database; False when stopped before that."""
        try:
            self._insist(self._store.open)
        except DBAPIError as error:
            if _is_refusal(error):
                raise
            return False
        return True

    def run(self) -> None:
        """Store messages until the subscription is stopped."""
        for message in self._subscription:
            gap = self._gaps.observe(message)
            if gap is not None:
                self._note(gap)
            self._store_message(message, gap)

    def _store_message(self, message: Message, gap: Gap | None) -> None:
        tally = self.totals.updates if isinstance(message, Update) else self.totals.ledger
        tally.received += 1
        try:
            # The ledger has no trace for its statements to be part of.
            with process(message) if isinstance(message, Update) else suppress_instrumentation():
                new = self._insist(lambda: self._store.add(message, gap))
        except DBAPIError as error:
            if not _is_refusal(error):
                tally.unstored += 1
                _log.error("stopped with a message unstored", extra=_failure(message, error))
                return
            tally.refused += 1
            _log.error("refused by the database", extra=_failure(message, error))
            if gap is not None:
                self._insist(lambda: self._store.add_gap(gap))
        else:
            tally.stored += new
            tally.duplicates += not new
            if new and isinstance(message, Ledger):
                self.totals.browser_lost += sum(loss.last - loss.first + 1 for loss in message.lost)

    def _insist(self, action: Callable[[], _T]) -> _T:
        """Repeat until the database is there, or refuses. Once stopped, one last attempt decides."""
        delay = FIRST_RETRY
        attempts = 0
        stopped = False
        while True:
            try:
                result = action()
            except DBAPIError as error:
                if _is_refusal(error):
                    raise
                self._store.close()
                if stopped:
                    raise
                if not attempts:
                    _log.warning("database unavailable, retrying", extra=fields(error=_first_line(error)))
                attempts += 1
                stopped = self._subscription.wait(delay * random.uniform(0.5, 1))  # noqa: S311 - no secret
                delay = min(2 * delay, LAST_RETRY)
            else:
                if attempts:
                    _log.info("database is back", extra=fields(attempts=attempts))
                return result

    def _note(self, gap: Gap) -> None:
        self.totals.bus_lost += gap.last - gap.first + 1
        _log.warning(
            "bus gap", extra=fields(relay=gap.relay_id, topic=gap.topic, first=gap.first, last=gap.last)
        )


def _is_refusal(error: DBAPIError) -> bool:
    """Whether the database will say the same to the same statement for ever."""
    # Class 54, program limit exceeded (nested too deeply, say), comes as an OperationalError.
    sqlstate = getattr(error.orig, "sqlstate", None) or ""
    return isinstance(error, (DataError, IntegrityError)) or sqlstate.startswith("54")


def _failure(message: Message, error: DBAPIError) -> dict[str, object]:
    return fields(
        topic=message.topic,
        session=message.session,
        seq=message.seq if isinstance(message, Update) else None,
        error=_first_line(error),
    )


def _first_line(error: DBAPIError) -> str:
    # PostgreSQL's further lines (DETAIL) quote the row.
    return f"{type(error.orig).__name__}: {error.orig}".partition("\n")[0]
