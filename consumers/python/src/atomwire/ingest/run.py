"""The public engine: anybody's handler between a relay and a database, exactly once."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from atomwire.bus.reader import DEFAULT_REPLAY
from atomwire.bus.subscription import DEFAULT_TOPIC
from atomwire.bus.waker import Waker
from atomwire.ingest.engine import Engine
from atomwire.ingest.sinks import DatabaseSink, HandlerSink
from atomwire.otel.spans import open_spans
from atomwire.storage.database import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from atomwire.ingest.totals import Totals
    from atomwire.storage.database import Database

STATEMENT_LIMIT = 2.0
"""Seconds that a statement may take once stopped: the one that runs, and a last attempt."""


def run(
    handler: Callable[..., object],
    *,
    consumer: str,
    replay: str = DEFAULT_REPLAY,
    topic: str = DEFAULT_TOPIC,
    database: str | None = None,
) -> Totals:
    """Hand a relay's updates to `handler`, until SIGTERM or SIGINT, and return what was done.

    With a `database`, `handler(updates, connection)` is called with a sequence of `Update` and the driver's
    connection (`sqlite3.Connection` or `psycopg.Connection`), whose transaction is open: what it writes is
    committed together with the position behind the updates, both or neither. It may be called again with
    updates whose transaction was undone, and must not commit. Without one, `handler(updates)` is called: to
    return is to be done with them, and a process that starts anew begins with the first that the relay has.

    `consumer` names the position, and this reader at the relay (1 to 64 letters, digits, `.`, `_`, `-`): one
    process at a time. `topic` is a prefix.

    A database that is away is waited for. Updates that it refuses for ever, by a constraint for instance,
    are found, undone, and booked as lost (`consumer / refused`); a handler refuses updates by raising
    `Refused`. Any other exception of the handler ends this and is raised here; nothing of the group is
    committed then. Raises `Unusable` where a database needs somebody to look after it, `UrlError` for a
    URL that names none, `zmq.ZMQError` for a malformed endpoint.

    Spans `process {topic}` continue the updates' traces with the OpenTelemetry SDK that the program has set
    up, if it has one.
    """
    with Waker() as waker:
        opened = None if database is None else connect(database)
        engine = open_engine(handler, consumer, replay, topic, opened, waker)
        with stopped_by_signals(waker, opened):
            engine.run()
        return engine.totals


def open_engine(  # noqa: PLR0913, PLR0917 - what `run` is given
    handler: Callable[..., object],
    consumer: str,
    replay: str,
    topic: str,
    database: Database | None,
    waker: Waker,
) -> Engine:
    """Make the engine that `run` runs."""
    sink = HandlerSink(handler) if database is None else DatabaseSink(database, consumer, topic, handler)
    return Engine(replay, consumer, topic, sink, open_spans(None), waker)


@contextmanager
def stopped_by_signals(waker: Waker, database: Database | None) -> Generator[None, None, None]:
    """Stop at SIGTERM and SIGINT; a second one kills. A database that blocks holds nothing up."""
    ended = threading.Event()

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        waker.stop()
        threading.Thread(target=hurry, daemon=True).start()

    def hurry() -> None:
        while database is not None and not ended.wait(STATEMENT_LIMIT):
            database.interrupt()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        ended.set()
        for number, handler in before.items():
            signal.signal(number, handler)
