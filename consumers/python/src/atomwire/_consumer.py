"""The runnable consumer: what the feed brings becomes rows, a group in one transaction."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from opentelemetry import trace
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from atomwire._feed import Gap, Position, Relay
from atomwire._log import fields
from atomwire._message import Ledger, Message, Update
from atomwire._tracing import mark_failed, start_span

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomwire._feed import Feed, Item, Known
    from atomwire._store import Store, Transaction

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
    """In hand when stopped while the database was away. The next start asks for them again."""


@dataclass(slots=True)
class Totals:
    """What a consumer did."""

    updates: Tally = field(default_factory=Tally)
    ledger: Tally = field(default_factory=Tally)
    browser_lost: int = 0
    """Updates that browsers reported lost, each once."""
    bus_lost: int = 0
    """Messages missing by the relay's count, since the first that this database has."""


class Consumer:
    """Stores what a feed brings, and waits for a database that is away."""

    def __init__(self, store: Store, wait: Callable[[float], bool]) -> None:
        """`wait` sleeps between two attempts at the database; it answers True, at once, when stopped."""
        self.totals = Totals()
        self._store = store
        self._wait = wait

    def open(self) -> Known | None:
        """Reach the database, and read where to go on; None when stopped before that."""
        try:
            return self._insist(self._store.known)
        except DBAPIError as error:
            if _is_refusal(error):
                raise
            return None

    def run(self, feed: Feed) -> None:
        """Store what comes until the feed ends."""
        for group in feed.groups():
            work = [_Work(item) for item in group]
            stored = self._store_all(work)
            for each in work:
                each.end()
            if not stored:
                return  # nothing further may be stored over what is not, or confirmed

    def _store_all(self, work: list[_Work]) -> bool:
        """Store a group; False when stopped before that."""
        try:
            new = self._insist(lambda: self._attempt(work))
        except DBAPIError as error:
            if not _is_refusal(error):
                self._give_up(work, error)
                return False
            if len(work) > 1:  # one of them is to blame
                return all(self._store_all([each]) for each in work)
            return self._refuse(work[0], error)
        for each, count in zip(work, new, strict=True):
            self._count(each.item, count)
        return True

    def _attempt(self, work: list[_Work]) -> list[int]:
        with self._store.transaction() as transaction:
            return [each.add_to(transaction) for each in work]

    def _refuse(self, work: _Work, error: DBAPIError) -> bool:
        item = work.item
        if isinstance(item, Position):
            raise error  # what no restart could go on from must not be confirmed
        work.fail(error)
        if isinstance(item, Update):
            try:
                self._insist(lambda: self._attempt_refusal(item))
            except DBAPIError as failure:
                if not _is_refusal(failure):
                    self._give_up([work], failure)
                    return False
        if isinstance(item, Message):
            tally = self._tally(item)
            tally.received += 1
            tally.refused += 1
        _log.error("refused by the database", extra=_failure(item, error))
        return True

    def _attempt_refusal(self, item: Update) -> None:
        with self._store.transaction() as transaction:
            transaction.refuse(item)

    def _give_up(self, work: list[_Work], error: DBAPIError) -> None:
        for each in work:
            each.fail(error)
            if isinstance(each.item, Message):
                tally = self._tally(each.item)
                tally.received += 1
                tally.unstored += 1
                _log.error("stopped with a message unstored", extra=_failure(each.item, error))

    def _count(self, item: Item, new: int) -> None:
        if isinstance(item, Message):
            tally = self._tally(item)
            tally.received += 1
            tally.stored += new > 0
            tally.duplicates += not new
        if isinstance(item, Ledger) and item.place == "browser":
            self.totals.browser_lost += new
        elif isinstance(item, Gap) and new:
            if item.reason != "before":
                self.totals.bus_lost += new
            _log.warning(
                "bus gap",
                extra=fields(
                    relay=item.relay_id,
                    topic=item.topic,
                    first=item.first,
                    last=item.last,
                    reason=item.reason,
                ),
            )
        elif isinstance(item, Relay) and new:
            _log.info(
                "relay vanished" if item.vanished else "relay appeared", extra=fields(relay=item.relay_id)
            )

    def _tally(self, message: Message) -> Tally:
        return self.totals.updates if isinstance(message, Update) else self.totals.ledger

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
                stopped = self._wait(delay * random.uniform(0.5, 1))  # noqa: S311 - no secret
                delay = min(2 * delay, LAST_RETRY)
            else:
                if attempts:
                    _log.info("database is back", extra=fields(attempts=attempts))
                return result


class _Work:
    """An item and, where it is an update, its span: from being taken in hand to being stored."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self._span = start_span(item) if isinstance(item, Update) else None

    def add_to(self, transaction: Transaction) -> int:
        if self._span is None:
            return transaction.add(self.item)
        with trace.use_span(self._span, record_exception=False, set_status_on_exception=False):
            return transaction.add(self.item)

    def fail(self, error: Exception) -> None:
        if self._span is not None:
            mark_failed(self._span, error)

    def end(self) -> None:
        if self._span is not None:
            self._span.end()


def _is_refusal(error: DBAPIError) -> bool:
    """Whether the database will say the same to the same statement for ever."""
    # Class 54, program limit exceeded (nested too deeply, say), comes as an OperationalError.
    sqlstate = getattr(error.orig, "sqlstate", None) or ""
    return isinstance(error, (DataError, IntegrityError)) or sqlstate.startswith("54")


def _failure(item: Item, error: DBAPIError) -> dict[str, object]:
    return fields(
        topic=getattr(item, "topic", None),
        session=getattr(item, "session", None),
        seq=item.seq if isinstance(item, Update) else None,
        error=_first_line(error),
    )


def _first_line(error: DBAPIError) -> str:
    # PostgreSQL's further lines (DETAIL) quote the row.
    return f"{type(error.orig).__name__}: {error.orig}".partition("\n")[0]
