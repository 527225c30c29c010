"""`atomwire.run`: anybody's handler, exactly once, between a relay and a database."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from conftest import OTHER_RELAY, SESSION, eventually, update

import atomwire
from atomwire import Refused, run, run_async
from atomwire.bus.waker import Waker
from atomwire.ingest.run import open_engine
from atomwire.storage.database import connect
from atomwire.storage.postgresql import PostgreSql
from atomwire.storage.sqlite import Sqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conftest import Database, Process, Relay
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from atomwire import AsyncConnection, Totals, Update

MINE = "CREATE TABLE mine (place INTEGER PRIMARY KEY, key TEXT NOT NULL CHECK (key <> 'no'))"


@contextmanager
def running(
    handler: Callable[..., object], relay: Relay, database: str | None = None
) -> Iterator[list[Totals]]:
    """Run an engine beside the test; what it did is in the list afterwards."""
    done: list[Totals] = []
    waker = Waker()
    opened = None if database is None else connect(database)
    engine = open_engine(handler, "mine", relay.endpoint, "atom-updates", opened, waker)

    def work() -> None:
        engine.run()
        done.append(engine.totals)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        waker.close()
        thread.join()


def store(updates: Sequence[Update], connection: Any) -> None:
    """Write what no ON CONFLICT protects: a second time would fail."""
    mark = "%s" if isinstance(connection, psycopg.Connection) else "?"
    statement = f"INSERT INTO mine VALUES ({mark}, {mark})"
    connection.cursor().executemany(statement, [(each.seq, each.key) for each in updates])


def places(database: Database) -> list[int]:
    return [place for (place,) in database.rows("SELECT place FROM mine ORDER BY place")]


def position(database: Database) -> int:
    ((found,),) = database.rows("SELECT position FROM atomwire_relays WHERE consumer = 'mine'")
    return int(found)


def test_what_a_handler_writes_is_committed_with_the_position(relay: Relay, database: Database) -> None:
    database.execute(MINE)
    relay.answer_bytes = 700
    relay.publish_all(update(seq) for seq in range(20))
    with running(store, relay, database.url) as done:
        eventually(lambda: len(places(database)) == 20)
    with running(store, relay, database.url):
        relay.publish(update(20))
        eventually(lambda: len(places(database)) == 21)
    assert places(database) == list(range(21))
    assert position(database) == 21
    assert (done[0].updates.received, done[0].updates.stored) == (20, 20)
    assert database.count("atomwire_updates") == 0  # these are the row writer's


def test_what_a_handler_raises_ends_it_and_commits_nothing(relay: Relay, database: Database) -> None:
    database.execute(MINE)
    calls = []

    def fail(updates: Sequence[Update], connection: Any) -> None:
        calls.append([each.seq for each in updates])
        store(updates, connection)
        raise LookupError("no such dish")

    relay.publish_all(update(seq) for seq in range(3))
    with pytest.raises(LookupError, match="no such dish"):
        run(fail, consumer="mine", replay=relay.endpoint, database=database.url)
    assert calls == [[0, 1, 2]]
    assert places(database) == []
    assert database.count("atomwire_relays") == 0
    assert relay.requests[-1].get("from") is None
    # The next start has them again.
    with running(store, relay, database.url):
        eventually(lambda: places(database) == [0, 1, 2])


@pytest.mark.parametrize("by", ["database", "handler"])
def test_what_is_refused_costs_only_itself(by: str, relay: Relay, database: Database) -> None:
    database.execute(MINE)

    def refuse(updates: Sequence[Update], connection: Any) -> None:
        store([each for each in updates if each.key != "no" or by == "database"], connection)
        if by == "handler" and any(each.key == "no" for each in updates):
            raise Refused("not on the menu")

    relay.publish_all(update(seq, key="no" if seq in (3, 40) else "yes") for seq in range(64))
    with running(refuse, relay, database.url) as done:
        eventually(lambda: len(places(database)) == 62)
    assert set(range(64)) - set(places(database)) == {3, 40}
    losses = "SELECT session, first_seq, last_seq, place, reason FROM atomwire_losses ORDER BY first_seq"
    assert database.rows(losses) == [(SESSION, seq, seq, "consumer", "refused") for seq in (3, 40)]
    assert (done[0].updates.stored, done[0].updates.refused) == (62, 2)
    assert position(database) == 64


def test_two_readers_of_one_name_store_once(relay: Relay, database: Database) -> None:
    database.execute(MINE)
    relay.answer_bytes = 700
    with running(store, relay, database.url), running(store, relay, database.url):
        for seq in range(60):
            relay.publish(update(seq))
            if seq % 10 == 9:
                eventually(lambda: len(places(database)) == seq + 1)  # noqa: B023 - called here
    assert places(database) == list(range(60))
    assert position(database) == 60


def test_a_commit_whose_answer_is_lost_took_effect_once(
    relay: Relay, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(MINE)
    driver = Sqlite if "sqlite" in database.url else PostgreSql
    commit = driver.commit
    lost: list[bool] = []

    def commit_and_die(self: Sqlite | PostgreSql) -> None:
        commit(self)  # type: ignore[arg-type]
        if not lost and self.rows("SELECT 1 FROM atomwire_relays WHERE position > 0"):
            lost.append(True)
            self.interrupt()
            raise sqlite3.OperationalError("interrupted") if driver is Sqlite else psycopg.OperationalError()

    monkeypatch.setattr(driver, "commit", commit_and_die)
    relay.publish_all(update(seq) for seq in range(3))
    with running(store, relay, database.url) as done:
        eventually(lambda: len(places(database)) == 3)
        relay.publish(update(3))
        eventually(lambda: len(places(database)) == 4)
    assert lost
    assert places(database) == [0, 1, 2, 3]
    assert position(database) == 4
    assert (done[0].updates.received, done[0].updates.stored, done[0].updates.duplicates) == (4, 1, 3)


def test_without_a_database_to_return_is_to_be_done(relay: Relay) -> None:
    seen: list[int] = []
    relay.publish_all(update(seq) for seq in range(3))
    with running(lambda updates: seen.extend(each.seq for each in updates), relay) as done:
        eventually(lambda: len(seen) == 3)
        relay.await_request(**{"from": 3})
        relay.publish(update(4))
        eventually(lambda: len(seen) == 4)
        relay.publish(update(0, relay={"id": OTHER_RELAY, "seq": 0}))
        eventually(lambda: len(seen) == 5)
    assert seen == [0, 1, 2, 4, 0]
    assert done[0].updates.stored == 5
    assert done[0].gaps == {"gone": 1}


def test_a_handler_without_a_database_refuses_by_halves(relay: Relay) -> None:
    seen: list[int] = []

    def refuse(updates: Sequence[Update]) -> None:
        if any(each.seq == 2 for each in updates):
            raise Refused("not on the menu")
        seen.extend(each.seq for each in updates)

    relay.publish_all(update(seq) for seq in range(5))
    with running(refuse, relay) as done:
        eventually(lambda: len(seen) == 4)
    assert seen == [0, 1, 3, 4]
    assert done[0].updates.refused == 1


def test_updates_of_a_handler_have_a_span_each(relay: Relay, spans: InMemorySpanExporter) -> None:
    seen: list[int] = []
    relay.publish_all(update(seq) for seq in range(3))
    with running(lambda updates: seen.extend(each.seq for each in updates), relay):
        eventually(lambda: len(spans.get_finished_spans()) == 3)
    assert {span.name for span in spans.get_finished_spans()} == {"process atom-updates"}


PROGRAM = """
import sys, atomwire
def handle(updates, connection):
    connection.executemany("INSERT INTO mine VALUES (?, ?)", [(each.seq, each.key) for each in updates])
totals = atomwire.run(handle, consumer="mine", replay=sys.argv[1], database=sys.argv[2])
print("stored", totals.updates.stored)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_program(
    number: signal.Signals, relay: Relay, sqlite: Database, run: Callable[..., Process]
) -> None:
    sqlite.execute(MINE)
    relay.publish_all(update(seq) for seq in range(3))
    process = run("-c", PROGRAM, relay.endpoint, sqlite.url)
    eventually(lambda: places(sqlite) == [0, 1, 2])
    process.signal(number)
    assert process.wait() == 0
    assert process.lines == ["stored 3\n"]
    relay.await_request(**{"from": 3})


def test_a_program_that_is_killed_stores_the_rest_once(
    relay: Relay, database: Database, run: Callable[..., Process]
) -> None:
    database.execute(MINE)
    relay.answer_bytes = 700
    relay.publish_all(update(seq) for seq in range(200))
    program = PROGRAM.replace("connection.executemany", "connection.cursor().executemany")
    if "sqlite" not in database.url:
        program = program.replace("(?, ?)", "(%s, %s)")
    while len(places(database)) < 200:
        before = len(places(database))
        process = run("-c", program, relay.endpoint, database.url)
        eventually(lambda: len(places(database)) > before)  # noqa: B023 - called here
        process.kill()
    assert places(database) == list(range(200))


def test_an_async_handler_has_the_transaction_too(relay: Relay, database: Database) -> None:
    database.execute(MINE)
    mark = "?" if "sqlite" in database.url else "%s"

    def look_up(_driver: object) -> None:
        raise LookupError("no such dish")

    async def handle(updates: Sequence[Update], connection: AsyncConnection) -> None:
        rows = [(each.seq, each.key) for each in updates]
        await connection.execute_many(f"INSERT INTO mine VALUES ({mark}, {mark})", rows)
        await asyncio.sleep(0)
        counted = await connection.execute("SELECT COUNT(*) FROM mine")
        assert counted[0][0] >= len(rows)
        with pytest.raises(LookupError, match="no such dish"):
            await connection.run(look_up)

    async def work() -> None:
        task = asyncio.create_task(
            run_async(handle, consumer="mine", replay=relay.endpoint, database=database.url)
        )
        while len(places(database)) < 3:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    relay.publish_all(update(seq) for seq in range(3))
    asyncio.run(work())
    assert places(database) == [0, 1, 2]
    assert position(database) == 3


def test_what_an_async_handler_raises_is_raised(relay: Relay) -> None:
    async def fail(_updates: Sequence[Update]) -> None:
        await asyncio.sleep(0)
        raise LookupError("no such dish")

    relay.publish(update())
    with pytest.raises(LookupError, match="no such dish"):
        asyncio.run(run_async(fail, consumer="mine", replay=relay.endpoint))


def test_an_async_handler_without_a_database(relay: Relay) -> None:
    seen: list[int] = []

    async def handle(updates: Sequence[Update]) -> None:
        await asyncio.sleep(0)
        seen.extend(each.seq for each in updates)

    async def work() -> None:
        task = asyncio.create_task(run_async(handle, consumer="mine", replay=relay.endpoint))
        while len(seen) < 3:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    relay.publish_all(update(seq) for seq in range(3))
    asyncio.run(work())
    assert seen == [0, 1, 2]


def test_what_cannot_be_is_said_before_anything_starts(relay: Relay) -> None:
    with pytest.raises(atomwire.UrlError, match="neither sqlite:// nor postgresql://"):
        run(store, consumer="mine", replay=relay.endpoint, database="mysql://host/db")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
