"""The public engine in an event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from atomwire.bus.reader import DEFAULT_REPLAY
from atomwire.bus.subscription import DEFAULT_TOPIC
from atomwire.bus.waker import Waker
from atomwire.ingest.run import STATEMENT_LIMIT, open_engine
from atomwire.storage.database import connect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from atomwire.ingest.totals import Totals

_T = TypeVar("_T")


class AsyncConnection:
    """The connection of a transaction, for a coroutine: what it calls runs in the engine's thread."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[Any], Any]] | None] = SimpleQueue()

    async def run(self, call: Callable[[Any], _T]) -> _T:
        """Call a function with the driver's own connection, and return what it returns."""
        future: Future[_T] = Future()
        self._calls.put((future, call))
        return await asyncio.wrap_future(future)

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement, in the driver's own SQL, and return its rows; none where it has none."""

        def execute(connection: Any) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement, parameters)
            return list(cursor.fetchall()) if cursor.description else []

        return await self.run(execute)

    async def execute_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each row."""
        await self.run(lambda connection: connection.cursor().executemany(statement, rows))

    async def _serve_during(self, handled: Awaitable[object]) -> None:
        try:
            await handled
        finally:
            self._calls.put(None)

    def _serve(self) -> None:
        while (task := self._calls.get()) is not None:
            future, call = task
            try:
                future.set_result(call(self._connection))
            except Exception as error:  # noqa: BLE001 - it is the coroutine's
                future.set_exception(error)

    def serve(self, handled: Awaitable[object], loop: asyncio.AbstractEventLoop) -> None:
        """Await `handled` in `loop`, and call here what it asks for meanwhile."""
        done = asyncio.run_coroutine_threadsafe(self._serve_during(handled), loop)
        self._serve()
        done.result()


async def run_async(
    handler: Callable[..., Awaitable[object]],
    *,
    consumer: str,
    replay: str = DEFAULT_REPLAY,
    topic: str = DEFAULT_TOPIC,
    database: str | None = None,
) -> Totals:
    """Do as `run` with a coroutine function, until cancelled.

    The handler runs in the event loop, the engine in a thread beside it; with a database,
    `handler(updates, connection)` gets an `AsyncConnection`.
    """
    loop = asyncio.get_running_loop()
    opened = None if database is None else connect(database)

    def handle(updates: Any, connection: Any = None) -> None:
        own = AsyncConnection(connection)
        own.serve(handler(updates) if opened is None else handler(updates, own), loop)

    with Waker() as waker:
        engine = open_engine(handle, consumer, replay, topic, opened, waker)
        running = asyncio.ensure_future(asyncio.to_thread(engine.run))
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            waker.stop()
            while not running.done():
                await asyncio.wait([running], timeout=STATEMENT_LIMIT)
                if opened is not None and not running.done():
                    opened.interrupt()
            raise
        return engine.totals
