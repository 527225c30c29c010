"""`python -m atomwire`: a real process between a real socket and a real database."""

from __future__ import annotations

import itertools
import json
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from conftest import (
    OTHER_RELAY,
    PARENT_ID,
    RELAY,
    SESSION,
    TRACE_ID,
    Database,
    bus_lost,
    eventually,
    ledger,
    start,
    update,
)

from atomwire import LEDGER_TOPIC

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Cluster, Collector, Process, Relay


RFC_3339 = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
"""What the bus has, to PostgreSQL."""


@pytest.fixture
def consumer(run: Callable[..., Process], relay: Relay, database: Database) -> Process:
    return start(run, relay, database)


def await_ledger(database: Database, count: int) -> None:
    """Wait for so many messages of the ledger: an update that came after them may be stored before."""
    position = f"SELECT next_seq FROM atomwire_topics WHERE topic = '{LEDGER_TOPIC}'"
    eventually(lambda: database.rows(position) == [(count,)])


def test_an_update_becomes_a_row(relay: Relay, consumer: Process, database: Database) -> None:
    value = '{"b":1.10,  "a":"\\u0000\\ud800 é", "b":null}'
    relay.publish(json.dumps(update(key="c", value="HERE")).replace('"HERE"', value).encode())
    relay.publish(update(1, value=None))
    relay.publish(update(2, value=..., error="TypeError"))
    eventually(lambda: database.count() == 3)
    assert consumer.stop()["updates"]["stored"] == 3
    assert database.rows(
        "SELECT session, seq, key, CAST(value AS TEXT), error, trace_id, topic, relay_id, relay_seq"
        " FROM atomwire_updates ORDER BY seq"
    ) == [
        (SESSION, 0, "c", value, None, TRACE_ID, "atom-updates", "0123456789abcdef", 0),
        (SESSION, 1, "cart", "null", None, TRACE_ID, "atom-updates", "0123456789abcdef", 1),
        (SESSION, 2, "cart", None, "TypeError", TRACE_ID, "atom-updates", "0123456789abcdef", 2),
    ]
    utc = "time" if "sqlite" in database.url else f"to_char(time AT TIME ZONE 'UTC', '{RFC_3339}')"
    times = database.rows(f"SELECT DISTINCT {utc}, stored_at IS NULL FROM atomwire_updates")
    assert times == [("2026-11-21T02:30:44.123456Z", False)]


def test_an_update_that_comes_twice_makes_one_row(
    relay: Relay, consumer: Process, database: Database
) -> None:
    for relay_seq, seq in enumerate([0, 0, 1, 0, 1]):
        relay.publish(update(seq, value=relay_seq, relay={"id": OTHER_RELAY, "seq": relay_seq}))
    relay.publish(update(9, relay={"id": OTHER_RELAY, "seq": 5}))
    eventually(lambda: database.count() == 3)
    totals = consumer.stop()
    assert totals["updates"] == {"received": 6, "stored": 3, "duplicates": 3, "refused": 0, "unstored": 0}
    assert bus_lost(totals) == 0
    assert database.rows(
        "SELECT seq, CAST(value AS TEXT) FROM atomwire_updates WHERE seq < 2 ORDER BY seq"
    ) == [
        (0, "0"),
        (1, "2"),
    ]


def test_the_ledger_becomes_rows(relay: Relay, consumer: Process, database: Database) -> None:
    seqs = itertools.count()

    def publish(**members: Any) -> None:
        relay.publish(ledger(next(seqs), **members), LEDGER_TOPIC)

    lost = [{"first": 3, "last": 9, "reason": "queue_full"}, {"first": 11, "last": 11, "reason": "too_large"}]
    publish(lost=lost)
    publish(lost=lost)
    publish(lost=[{"first": 8, "last": 12, "reason": "page_closed"}], place="browser")  # 10 and 12 are new
    publish(lost=[{"first": 20, "last": 21, "reason": "invalid_json"}], place="relay")
    publish(start=True, next_seq=7)
    for next_seq in (10, 42, 42, 7):
        publish(end=True, next_seq=next_seq, reason=f"at {next_seq}")
    relay.publish(update())
    eventually(database.count)
    totals = consumer.stop()
    assert totals["ledger"] == {"received": 9, "stored": 6, "duplicates": 3, "refused": 0, "unstored": 0}
    assert totals["browser_lost"] == 10
    assert bus_lost(totals) == 0
    assert database.rows(
        "SELECT session, first_seq, last_seq, place, reason FROM atomwire_losses ORDER BY first_seq"
    ) == [
        (SESSION, 3, 9, "browser", "queue_full"),
        (SESSION, 10, 10, "browser", "page_closed"),
        (SESSION, 11, 11, "browser", "too_large"),
        (SESSION, 12, 12, "browser", "page_closed"),
        (SESSION, 20, 21, "relay", "invalid_json"),
    ]
    assert database.rows("SELECT session, next_seq, end_reason FROM atomwire_sessions") == [
        (SESSION, 42, "at 42")
    ]
    assert database.rows("SELECT session, relay_id, next_seq FROM atomwire_session_starts") == [
        (SESSION, RELAY, 7)
    ]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"end": True, "reason": "forgotten"}, {"start": True}], None),
        (
            [{"end": True, "reason": "forgotten"}, {"start": True}, {"end": True, "reason": "closed"}],
            "closed",
        ),
        ([{"end": True, "reason": "forgotten"}, {"end": True, "reason": "closed"}], "closed"),
        ([{"end": True, "reason": "closed"}, {"end": True, "reason": "forgotten"}], "closed"),
    ],
)
def test_a_session_may_come_back_after_its_end(
    messages: list[dict[str, Any]],
    expected: str | None,
    relay: Relay,
    run: Callable[..., Process],
    sqlite: Database,
) -> None:
    consumer = start(run, relay, sqlite)
    for relay_seq, message in enumerate(messages):
        relay.publish(ledger(relay_seq, next_seq=42, **message), LEDGER_TOPIC)
    await_ledger(sqlite, len(messages))
    consumer.stop()
    assert sqlite.rows("SELECT next_seq, end_reason FROM atomwire_sessions") == [(42, expected)]


START = {"start": True}
CLOSED, FORGOTTEN = ({"end": True, "reason": reason} for reason in ("closed", "forgotten"))


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        # The next page closes what an earlier one had closed, or knows less of, or more.
        ([(CLOSED, 42), (CLOSED, 42)], (42, "closed")),
        ([(CLOSED, 42), (START, 40), (CLOSED, 41)], (42, "closed")),
        ([(CLOSED, 42), (START, 40), (CLOSED, 45)], (45, "closed")),
        ([(FORGOTTEN, 42), (START, 40), (CLOSED, 41)], (42, "closed")),
        ([(START, 42), (START, 40), (CLOSED, 41)], (42, "closed")),
        # A last request that comes after that, and a relay that remembers it for as long as it may.
        ([(CLOSED, 42), (START, 40)], (42, "closed")),
        ([(CLOSED, 42), (START, 40), (FORGOTTEN, 41)], (42, "closed")),
        # What a relay forgets that another one has gone on with.
        ([(START, 42), (FORGOTTEN, 41)], (42, None)),
    ],
)
def test_the_end_of_a_session_is_told_by_the_furthest_word_and_the_clients_own(
    messages: list[tuple[dict[str, Any], int]],
    expected: tuple[int, str | None],
    relay: Relay,
    run: Callable[..., Process],
    database: Database,
) -> None:
    consumer = start(run, relay, database)
    for relay_seq, (message, next_seq) in enumerate(messages):
        relay.publish(ledger(relay_seq, next_seq=next_seq, **message), LEDGER_TOPIC)
    await_ledger(database, len(messages))
    consumer.stop()
    assert database.rows("SELECT next_seq, end_reason FROM atomwire_sessions") == [expected]


def test_gaps_become_rows(relay: Relay, run: Callable[..., Process], database: Database) -> None:
    consumer = start(run, relay, database)
    seqs = itertools.count()

    def publish(relay_id: str, relay_seq: int, topic: str = "atom-updates") -> None:
        relay.publish(update(next(seqs), relay={"id": relay_id, "seq": relay_seq}), topic)

    publish(RELAY, 100)  # published since long before this consumer: no loss
    publish(RELAY, 101)
    publish(RELAY, 103)
    publish(RELAY, 110)
    publish(RELAY, 50, "atom-updates.cart")  # nor this, for the same reason
    eventually(lambda: database.count() == 5)
    publish(OTHER_RELAY, 2)  # but this relay started after the consumer
    publish(OTHER_RELAY, 3)
    publish(OTHER_RELAY, 1, "atom-updates.cart")
    eventually(lambda: database.count() == 8)
    assert bus_lost(consumer.stop()) == 10
    assert database.rows(
        "SELECT relay_id, topic, first_seq, last_seq, reason FROM atomwire_gaps"
        " ORDER BY relay_id, topic, first_seq"
    ) == [
        (RELAY, "atom-updates", 0, 99, "before"),
        (RELAY, "atom-updates", 102, 102, "gone"),
        (RELAY, "atom-updates", 104, 109, "gone"),
        (RELAY, "atom-updates.cart", 0, 49, "before"),
        (OTHER_RELAY, "atom-updates", 0, 1, "gone"),
        (OTHER_RELAY, "atom-updates.cart", 0, 0, "gone"),
    ]
    assert database.rows(
        "SELECT consumer, ordinal, relay_id, topic, position, ended, silent_since FROM atomwire_relays"
        " ORDER BY ordinal"
    ) == [
        ("rows", 1, RELAY, "atom-updates", 5, "vanished", None),
        ("rows", 2, OTHER_RELAY, "atom-updates", 3, None, None),
    ]
    assert database.rows(
        "SELECT relay_id, topic, next_seq FROM atomwire_topics ORDER BY relay_id, topic"
    ) == [
        (RELAY, "atom-updates", 111),
        (RELAY, "atom-updates.cart", 51),
        (OTHER_RELAY, "atom-updates", 4),
        (OTHER_RELAY, "atom-updates.cart", 2),
    ]


def test_bad_messages_are_skipped(relay: Relay, consumer: Process, database: Database) -> None:
    relay.publish(b"\xff\xff")
    relay.publish(update(1, key="\n\x1b[2J" * 1000))
    relay.publish(update(2))
    eventually(database.count)
    totals = consumer.stop()
    assert totals["bad"] == {"payload: not UTF-8": 1, "key: longer than 4096 bytes": 1}
    assert totals["updates"]["stored"] == 1
    # Every line is JSON of one line, whatever was in the messages.
    assert [json.loads(line)["message"] for line in consumer.lines if "bad message" in line] == [
        "bad message skipped: payload: not UTF-8",
        "bad message skipped: key: longer than 4096 bytes",
    ]
    assert database.rows("SELECT first_seq, last_seq, reason FROM atomwire_gaps") == [(0, 0, "malformed")]
    # Of the other it can be read which update it was.
    assert totals["updates"]["refused"] == 1
    assert database.rows("SELECT first_seq, last_seq, reason FROM atomwire_losses") == [(1, 1, "refused")]


def test_client_strings_are_escaped_in_the_log(relay: Relay, consumer: Process, database: Database) -> None:
    topic = "atom-updates.\n\x1b[2J{}\u202e"
    for relay_seq in (0, 2):
        relay.publish(update(relay_seq), topic)
    eventually(lambda: database.count() == 2)
    gap = consumer.await_line("bus gap")
    assert gap.rstrip("\n").isprintable()
    assert gap.isascii()
    assert json.loads(gap)["topic"] == topic
    consumer.stop()


def test_a_database_that_is_away_costs_nothing(relay: Relay, consumer: Process, database: Database) -> None:
    relay.publish(update(0))
    eventually(lambda: database.count() == 1)
    with database.away():
        for seq in range(1, 50):
            relay.publish(update(seq))
        consumer.await_log("database unavailable, retrying")
    eventually(lambda: database.count() == 50)
    totals = consumer.stop()
    assert totals["updates"]["stored"] + totals["updates"]["duplicates"] == 50
    assert sum("database unavailable" in line for line in consumer.lines) == 1


def test_a_stop_while_the_database_is_away_says_what_is_unstored(
    relay: Relay, consumer: Process, database: Database
) -> None:
    relay.publish(update(0))
    eventually(lambda: database.count() == 1)
    with database.away():
        relay.publish(update(7))
        consumer.await_log("database unavailable, retrying")
        consumer.signal()
        failure = consumer.await_log("stopped with a message unstored")
        assert consumer.wait() == 1
    assert (failure["session"], failure["seq"]) == (SESSION, 7)
    assert json.loads(consumer.lines[-1])["updates"]["unstored"] == 1


def test_a_database_that_is_away_at_the_start_is_awaited(
    run: Callable[..., Process], relay: Relay, database: Database
) -> None:
    with database.away():
        process = run("-m", "atomwire", ATOMWIRE_REPLAY=relay.endpoint, DATABASE_URL=database.url)
        process.await_log("database unavailable, retrying")
    process.await_log("reading")
    process.stop()


def test_a_stop_is_not_held_up_by_a_database_that_blocks(
    relay: Relay, run: Callable[..., Process], cluster: Cluster
) -> None:
    database = cluster.database("blocking")
    url = f"{database.url}?options=-c%20lock_timeout%3D0%20-c%20statement_timeout%3D0"
    consumer = start(run, relay, database, DATABASE_URL=url)
    with closing(database.connect()) as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE atomwire_updates IN ACCESS EXCLUSIVE MODE")
        relay.publish(update(7))
        eventually(lambda: other.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall())
        consumer.signal()
        assert consumer.await_log("stopped with a message unstored")["seq"] == 7
        assert consumer.wait() == 1


def test_a_database_that_is_no_use_ends_it_with_a_sentence(
    run: Callable[..., Process], relay: Relay, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"no database " * 1000)
    consumer = run(
        "-m", "atomwire", ATOMWIRE_REPLAY=relay.endpoint, DATABASE_URL=f"sqlite:///{tmp_path}/file"
    )
    assert consumer.await_log("database unusable")["error"] == "DatabaseError: file is not a database"
    assert consumer.wait() == 1


REFUSALS = {
    "sqlite": [
        (
            "CREATE TRIGGER refuse BEFORE INSERT ON atomwire_updates WHEN NEW.key = 'refuse me'"
            " BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    ],
    "postgresql": [
        (
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RAISE 'no' USING ERRCODE = 'statement_too_complex'; END $$"
        ),
        (
            "CREATE TRIGGER refuse BEFORE INSERT ON atomwire_updates FOR EACH ROW"
            " WHEN (NEW.key = 'refuse me') EXECUTE FUNCTION refuse()"
        ),
    ],
}


def test_what_the_database_refuses_is_accounted_for_and_blocks_nothing(
    relay: Relay, consumer: Process, database: Database
) -> None:
    for statement in REFUSALS[database.url.partition(":")[0]]:
        database.execute(statement)
    relay.publish_all(update(seq, key="refuse me" if seq == 3 else "cart") for seq in range(6))
    eventually(lambda: database.count() == 5)
    totals = consumer.stop()
    assert totals["updates"] == {"received": 6, "stored": 5, "duplicates": 0, "refused": 1, "unstored": 0}
    assert database.rows("SELECT session, first_seq, last_seq, place, reason FROM atomwire_losses") == [
        (SESSION, 3, 3, "consumer", "refused")
    ]
    assert database.rows("SELECT next_seq FROM atomwire_topics WHERE topic = 'atom-updates'") == [(6,)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(
    number: signal.Signals, relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, relay, sqlite)
    consumer.signal(number)
    assert consumer.wait() == 0
    assert json.loads(consumer.lines[-1])["message"] == "stopped"


def test_a_stop_amid_a_flood_leaves_whole_books(
    relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, relay, sqlite)
    relay.publish_all(update(seq) for seq in range(5_000))
    eventually(sqlite.count)
    updates = consumer.stop()["updates"]
    assert updates["received"] == updates["stored"] == sqlite.count()
    assert sqlite.rows("SELECT max(seq) + 1 FROM atomwire_updates") == [(updates["stored"],)]


def test_sqlite_can_be_read_meanwhile(relay: Relay, run: Callable[..., Process], tmp_path: Path) -> None:
    path = tmp_path / "atomwire.sqlite"
    consumer = start(run, relay, Database(f"sqlite:///{path}"))
    with sqlite3.connect(path) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM atomwire_updates").fetchone() == (0,)
        relay.publish(update())
        eventually(Database(f"sqlite:///{path}").count)
    reader.close()
    consumer.stop()


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_the_statement_is_a_child_of_the_update(
    protocol: str, relay: Relay, run: Callable[..., Process], database: Database, collector: Collector
) -> None:
    consumer = start(
        run,
        relay,
        database,
        OTEL_TRACES_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoints[protocol],
    )
    relay.publish(ledger(end=True, next_seq=3, reason="closed"), LEDGER_TOPIC)
    relay.publish(update(0))
    relay.publish(update(1, traceparent=f"00-{TRACE_ID}-{PARENT_ID}-00"))
    eventually(lambda: len(collector.spans()) == 2)
    consumer.stop()
    # Of all statements only the sampled update's: one trace, one root, no orphan.
    process, statement = sorted(collector.spans(), key=lambda span: span.start_time_unix_nano)
    assert (process.name, process.kind) == ("process atom-updates", process.SPAN_KIND_CONSUMER)
    assert process.trace_id.hex() == statement.trace_id.hex() == TRACE_ID
    assert process.parent_span_id.hex() == PARENT_ID
    assert statement.parent_span_id == process.span_id
    assert statement.kind == statement.SPAN_KIND_CLIENT
    attributes = {attribute.key: attribute.value.string_value for attribute in statement.attributes}
    assert statement.name == attributes["db.query.summary"] == "INSERT atomwire_updates"
    assert attributes["db.collection.name"] == "atomwire_updates"
    system, _, rest = database.url.partition("://")
    assert attributes["db.system.name"] == system
    if system == "sqlite":
        assert attributes["db.namespace"] == rest.removeprefix("/")
    else:
        assert attributes["db.namespace"] == rest.rpartition("/")[2]
        assert attributes["server.address"] == "127.0.0.1"
        (port,) = (each.value.int_value for each in statement.attributes if each.key == "server.port")
        assert f":{port}/" in rest
    assert collector.services() == {"atomwire-consumer"}


def test_updates_of_one_transaction_stay_in_their_own_traces(
    relay: Relay, run: Callable[..., Process], sqlite: Database, collector: Collector
) -> None:
    consumer = start(
        run,
        relay,
        sqlite,
        OTEL_TRACES_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoints["http/protobuf"],
    )
    relay.publish_all(update(seq, traceparent=f"00-{seq + 1:032x}-{PARENT_ID}-03") for seq in range(20))
    eventually(lambda: len(collector.spans()) == 40)
    consumer.stop()
    spans = {span.span_id: span for span in collector.spans()}
    statements = [span for span in spans.values() if span.kind == span.SPAN_KIND_CLIENT]
    assert len(statements) == 20
    sizes: Counter[int] = Counter()
    for statement in statements:
        attributes = {attribute.key: attribute.value for attribute in statement.attributes}
        size = (
            attributes["db.operation.batch.size"].int_value if "db.operation.batch.size" in attributes else 1
        )
        assert attributes["db.operation.name"].string_value == ("BATCH INSERT" if size > 1 else "INSERT")
        sizes[size] += 1
    assert max(sizes) > 1
    assert all(statements % size == 0 for size, statements in sizes.items())
    for statement in statements:
        parent = spans[statement.parent_span_id]
        assert parent.trace_id == statement.trace_id
        assert parent.start_time_unix_nano <= statement.start_time_unix_nano
        assert statement.end_time_unix_nano <= parent.end_time_unix_nano
    assert {int.from_bytes(statement.trace_id, "big") for statement in statements} == set(range(1, 21))


def test_the_service_can_be_named(
    relay: Relay, run: Callable[..., Process], sqlite: Database, collector: Collector
) -> None:
    consumer = start(
        run,
        relay,
        sqlite,
        OTEL_TRACES_EXPORTER="otlp",
        OTEL_SERVICE_NAME="orders",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoints["http/protobuf"],
    )
    relay.publish(update())
    eventually(sqlite.count)
    consumer.stop()
    assert collector.services() == {"orders"}  # flushed on the way out


def test_without_a_collector_it_consumes_and_ends(
    relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    with_nobody = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    consumer = start(run, relay, sqlite, **with_nobody)
    relay.publish(update())
    eventually(sqlite.count)
    assert consumer.stop()["updates"]["stored"] == 1


def test_the_password_is_not_logged(relay: Relay, consumer: Process, database: Database) -> None:
    relay.publish(update())
    eventually(database.count)
    consumer.stop()
    reading: dict[str, Any] = json.loads(consumer.lines[0])
    assert reading["endpoint"] == relay.endpoint
    assert (reading["consumer"], reading["topic"]) == ("rows", "atom-updates")
    assert "a-password" not in "".join(consumer.lines)


def test_flags_win_over_variables_and_the_default_is_a_local_file(
    relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    environ = {
        "ATOMWIRE_REPLAY": "tcp://127.0.0.1:1",
        "ATOMWIRE_CONSUMER": "nobody",
        "ATOMWIRE_TOPIC": "nothing",
        "DATABASE_URL": "",
    }
    flags = ["--replay", relay.endpoint, "--consumer", "Orders-2.eu_west", "--topic", "orders"]
    process = run("-m", "atomwire", "consume", *flags, **environ)
    assert process.await_log("started")["database"] == "sqlite:///atomwire.sqlite"
    process.await_log("reading")
    relay.publish(update(), "orders")
    eventually(sqlite.count)
    process.stop()
    assert relay.requests[0] == {"consumer": "Orders-2.eu_west", "topics": ["orders", LEDGER_TOPIC]}
    assert sqlite.rows("SELECT consumer FROM atomwire_relays") == [("Orders-2.eu_west",)]


def test_all_that_is_wrong_with_the_configuration_is_said_at_once(run: Callable[..., Process]) -> None:
    process = run(
        "-m",
        "atomwire",
        "--bus=tcp://127.0.0.1:5555",
        "--database-ulr=mysql://user:a-password@host/db",
        ATOMWIRE_REPLAY="tcp://nobody",
        ATOMWIRE_CONSUMER="all rows",
        ATOMWIRE_TOPIC="t" * 257,
        DATABASE_URL="mysql://user:a-password@host/db",
        OTEL_TRACES_EXPORTER="zipkin",
        OTEL_EXPORTER_OTLP_PROTOCOL="http/json",
    )
    assert process.wait() == 64
    assert process.lines == [
        "atomwire-consumer: unknown argument --bus\n",
        "atomwire-consumer: unknown argument --database-ulr\n",
        "atomwire-consumer: --replay (ATOMWIRE_REPLAY): not tcp://host:port (1 to 65535) or ipc://path\n",
        "atomwire-consumer: --consumer (ATOMWIRE_CONSUMER): not 1 to 64 letters, digits, '.', '_' and '-'\n",
        "atomwire-consumer: --topic (ATOMWIRE_TOPIC): longer than 256 bytes\n",
        "atomwire-consumer: --database-url (DATABASE_URL): neither sqlite:// nor postgresql://\n",
        "atomwire-consumer: OTEL_TRACES_EXPORTER: not one of otlp, none\n",
        "atomwire-consumer: OTEL_EXPORTER_OTLP_PROTOCOL: not one of http/protobuf, grpc\n",
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--replay"], "argument --replay: expected one argument"),
        (["--replay", ""], "--replay (ATOMWIRE_REPLAY): not tcp://host:port (1 to 65535) or ipc://path"),
        (
            ["--replay", "tcp://127.0.0.1:65536"],
            "--replay (ATOMWIRE_REPLAY): not tcp://host:port (1 to 65535) or ipc://path",
        ),
        (["--replay", "tcp://*:5556"], "--replay (ATOMWIRE_REPLAY): Invalid argument (addr='tcp://*:5556')"),
        (["--consumer", ""], "--consumer (ATOMWIRE_CONSUMER): not 1 to 64 letters, digits, '.', '_' and '-'"),
        (
            ["--consumer", "r" * 65],
            "--consumer (ATOMWIRE_CONSUMER): not 1 to 64 letters, digits, '.', '_' and '-'",
        ),
        (["--database-url", "nonsense"], "--database-url (DATABASE_URL): not a database URL"),
        (["--database-url", "sqlite://"], "--database-url (DATABASE_URL): names no SQLite file"),
        (
            ["--database-url", "sqlite:////nowhere/at/all.sqlite"],
            "--database-url (DATABASE_URL): the SQLite file's directory does not exist",
        ),
    ],
)
def test_a_wrong_flag_is_named(arguments: list[str], problem: str, run: Callable[..., Process]) -> None:
    process = run("-m", "atomwire", *arguments)
    assert process.wait() == 64
    assert process.lines[-1] == f"atomwire-consumer: {problem}\n"


def test_help_and_version(run: Callable[..., Process]) -> None:
    for arguments, expected in (
        (["--help"], "consume"),
        (["consume", "--help"], "ATOMWIRE_CONSUMER"),
        (["account", "--help"], "DATABASE_URL"),
    ):
        process = run("-m", "atomwire", *arguments)
        assert process.wait() == 0
        assert expected in "".join(process.lines)
    version = run("-m", "atomwire", "--version")
    version.await_line("0.1.0")
    assert version.wait() == 0
