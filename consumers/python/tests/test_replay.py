"""What the bus lost comes from the replay window, and what stays missing is said."""

from __future__ import annotations

import json
import random
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from conftest import OTHER_RELAY, RELAY, Bus, Database, eventually, ledger, relay_end, start, update

from atomwire import LEDGER_TOPIC

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Process


def seqs(database: Database) -> list[int]:
    return [seq for (seq,) in database.rows("SELECT seq FROM atom_updates ORDER BY seq")]


def gaps(database: Database) -> list[tuple[Any, ...]]:
    return database.rows(
        "SELECT topic, first_seq, last_seq, reason FROM bus_gaps ORDER BY relay_id, topic, first_seq"
    )


def relays(database: Database) -> list[tuple[Any, ...]]:
    return database.rows("SELECT relay_id, ended FROM relays ORDER BY stored_at")


def by(relay: str, relay_seq: int, **changes: Any) -> dict[str, Any]:
    return update(relay_seq, **{"relay": {"id": relay, "seq": relay_seq}, **changes})


def test_a_gap_is_filled_before_the_message_that_shows_it(
    bus: Bus, run: Callable[..., Process], database: Database
) -> None:
    bus.replay.answer_bytes = 700  # so that it takes several requests
    consumer = start(run, bus, database)
    bus.publish(update(0))
    for seq in range(1, 20):
        bus.lose(update(seq))
    bus.publish(update(20))
    eventually(lambda: database.count() == 21)
    totals = consumer.stop()
    assert seqs(database) == list(range(21))
    assert gaps(database) == []
    assert (totals["updates"]["received"], totals["bus_lost"]) == (21, 0)
    assert len(bus.replay.requests) > 7
    times = [time for (time,) in database.rows("SELECT stored_at FROM atom_updates ORDER BY seq")]
    assert times == sorted(times)


def test_a_gap_of_the_ledger_is_filled(bus: Bus, run: Callable[..., Process], sqlite: Database) -> None:
    consumer = start(run, bus, sqlite)
    bus.publish(update(0))
    bus.lose(ledger(0, lost=[{"first": 1, "last": 4, "reason": "queue_full"}]), LEDGER_TOPIC)
    bus.publish(ledger(1, end=True, next_seq=5, reason="closed"), LEDGER_TOPIC)
    eventually(lambda: sqlite.count("sessions"))
    assert consumer.stop()["browser_lost"] == 4
    assert sqlite.rows("SELECT first_seq, last_seq FROM losses") == [(1, 4)]


def test_what_is_past_the_window_is_a_gap(bus: Bus, run: Callable[..., Process], sqlite: Database) -> None:
    consumer = start(run, bus, sqlite)
    bus.publish(update(0))
    eventually(sqlite.count)
    for seq in range(1, 6):
        bus.lose(update(seq))
    bus.replay.forget(below=4)
    bus.publish(update(6))
    eventually(lambda: sqlite.count() == 4)
    assert consumer.stop()["bus_lost"] == 3
    assert seqs(sqlite) == [0, 4, 5, 6]
    assert gaps(sqlite) == [("atom-updates", 1, 3, "gone")]


def test_a_silent_replay_is_waited_for_once(bus: Bus, run: Callable[..., Process], sqlite: Database) -> None:
    consumer = start(run, bus, sqlite)
    bus.publish(update(0))
    eventually(sqlite.count)
    bus.replay.be_silent()
    before = len(bus.replay.requests)
    for seq in range(2, 40, 2):
        bus.lose(update(seq - 1))
        bus.publish(update(seq))
    eventually(lambda: sqlite.count() == 20)
    assert consumer.stop()["bus_lost"] == 19
    assert gaps(sqlite) == [("atom-updates", seq, seq, "unreachable") for seq in range(1, 38, 2)]
    assert len(bus.replay.requests) == before + 1
    assert sum("no replay" in line for line in consumer.lines) == 1


def head(**changes: Any) -> bytes:
    return json.dumps({"relay": RELAY, "first": 1, "oldest": 0, "next": 3} | changes).encode()


def payload(relay_seq: int, **changes: Any) -> bytes:
    return json.dumps(update(relay_seq, **changes)).encode()


TOPIC = b"atom-updates"
LIES: dict[str, list[bytes]] = {
    "another topic": [b"atom-updates.cart", head(), payload(1), payload(2)],
    "an error": [b"", b'{"error":"no"}'],
    "no head": [TOPIC],
    "garbage": [TOPIC, b"\xff\xfe", payload(1)],
    "a head that is a list": [TOPIC, b"[]", payload(1)],
    "a head without numbers": [TOPIC, b'{"relay":"0123456789abcdef"}', payload(1)],
    "a wild number": [TOPIC, head(next=2**60), payload(1)],
    "another number than asked for": [TOPIC, head(first=2), payload(2)],
    "numbers in disorder": [TOPIC, head(oldest=5, first=5), payload(1)],
    "more payloads than next allows": [TOPIC, head(), payload(1), payload(2), payload(3)],
    "a hole": [TOPIC, head(next=9), payload(2), payload(3)],
    "a payload of another relay": [TOPIC, head(), payload(1, relay={"id": OTHER_RELAY, "seq": 1})],
    "nothing": [TOPIC, head(first=1)],
    "nothing, and no more": [TOPIC, head(first=1, next=1)],
    "many parts": [TOPIC, head(next=2**53), *([b"{}"] * 20_000)],
    "large parts": [TOPIC, head(next=2**53), *([b"{" + b" " * 1024 * 1024] * 5)],
    "a part beyond all bounds": [TOPIC, head(), b" " * (5 * 1024 * 1024)],
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_no_answer(lie: str, bus: Bus, run: Callable[..., Process], sqlite: Database) -> None:
    consumer = start(run, bus, sqlite)
    bus.publish(update(0))
    eventually(sqlite.count)
    bus.replay.twist = lambda answer: [LIES[lie] if answer[0] == TOPIC else answer]
    bus.lose(update(1))
    bus.publish(update(2))
    eventually(lambda: sqlite.count() == 2)
    bus.publish(update(3))
    eventually(lambda: sqlite.count() == 3)
    consumer.stop()
    assert seqs(sqlite) == [0, 2, 3]
    assert gaps(sqlite) == [("atom-updates", 1, 1, "unreachable")]


def test_another_relay_that_answers_has_nothing_of_this_one(
    bus: Bus, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, bus, sqlite)
    bus.publish(update(0))
    eventually(sqlite.count)
    bus.replay.twist = lambda answer: [[answer[0], answer[1].replace(RELAY.encode(), OTHER_RELAY.encode())]]
    bus.lose(update(1))
    bus.publish(update(2))
    eventually(lambda: sqlite.count() == 2)
    consumer.stop()
    assert gaps(sqlite) == [("atom-updates", 1, 1, "gone")]


def test_a_replay_socket_of_another_bus_is_told_by_the_relay_that_goes_on(
    bus: Bus, run: Callable[..., Process], sqlite: Database
) -> None:
    elsewhere = Bus()
    try:
        elsewhere.publish(by(OTHER_RELAY, 0, seq=100))
        consumer = start(run, bus, sqlite, ATOMWIRE_REPLAY=elsewhere.replay.endpoint)
        consumer.await_log("relay appeared")  # for that nothing speaks against it yet
        bus.publish(update(0))
        eventually(sqlite.count)
        before = len(elsewhere.replay.requests)
        eventually(lambda: len(elsewhere.replay.requests) > before + 2)
        consumer.stop()
        assert relays(sqlite) == [(OTHER_RELAY, "vanished"), (RELAY, None)]
    finally:
        elsewhere.close()


def test_what_breaks_the_contract_costs_only_itself(
    bus: Bus, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, bus, sqlite)
    bus.publish(update(0))
    for relay_seq in range(1, 4):
        bus.lose(update(relay_seq, key=... if relay_seq == 2 else "cart"))
    bus.publish(update(4))
    eventually(lambda: sqlite.count() == 4)
    consumer.stop()
    assert seqs(sqlite) == [0, 1, 3, 4]
    assert gaps(sqlite) == [("atom-updates", 2, 2, "malformed")]


def test_a_message_that_no_other_follows_is_found(
    bus: Bus, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, bus, sqlite)
    bus.publish(update(0))
    eventually(sqlite.count)
    lost = bus.lose(update(1))
    eventually(lambda: sqlite.count() == 2)
    # The bus is late and brings it all the same.
    bus.send(lost)
    bus.publish(update(2))
    eventually(lambda: sqlite.count() == 3)
    assert consumer.stop()["updates"] == {
        "received": 3,
        "stored": 3,
        "duplicates": 0,
        "refused": 0,
        "unstored": 0,
    }


def test_a_restart_goes_on_where_the_books_end(
    bus: Bus, run: Callable[..., Process], database: Database
) -> None:
    consumer = start(run, bus, database)
    for seq in range(5):
        bus.publish(update(seq))
    eventually(lambda: database.count() == 5)
    consumer.stop()
    for seq in range(5, 10):
        bus.publish(update(seq))  # nobody listens
    bus.publish(ledger(lost=[{"first": 10, "last": 12, "reason": "queue_full"}]), LEDGER_TOPIC)
    consumer = start(run, bus, database)
    eventually(lambda: database.count("losses"))
    totals = consumer.stop()
    assert seqs(database) == list(range(10))
    assert totals["updates"] == {"received": 5, "stored": 5, "duplicates": 0, "refused": 0, "unstored": 0}
    assert gaps(database) == []
    assert relays(database) == [(RELAY, None)]


def test_a_relay_that_restarted_meanwhile_is_owed_from_the_beginning(
    bus: Bus, run: Callable[..., Process], database: Database
) -> None:
    consumer = start(run, bus, database)
    bus.publish(update(0))
    eventually(database.count)
    consumer.stop()
    for relay_seq in range(6):
        bus.publish(by(OTHER_RELAY, relay_seq, seq=relay_seq + 1))
    bus.replay.forget(below=2)
    consumer = start(run, bus, database)
    eventually(lambda: database.count() == 5)
    assert consumer.stop()["bus_lost"] == 2
    assert seqs(database) == [0, 3, 4, 5, 6]
    assert gaps(database) == [("atom-updates", 0, 1, "gone")]
    assert relays(database) == [(RELAY, "vanished"), (OTHER_RELAY, None)]


def test_a_relay_that_restarts_is_asked_for_what_it_said_before_anyone_listened(
    bus: Bus, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, bus, sqlite)
    bus.publish(update(0))
    eventually(sqlite.count)
    bus.lose(by(OTHER_RELAY, 0, seq=1))
    bus.lose({**ledger(0, start=True, next_seq=1), "relay": {"id": OTHER_RELAY, "seq": 0}}, LEDGER_TOPIC)
    bus.publish(by(OTHER_RELAY, 1, seq=2))
    eventually(lambda: sqlite.count("session_starts"))
    consumer.stop()
    assert seqs(sqlite) == [0, 1, 2]
    assert gaps(sqlite) == []
    assert relays(sqlite) == [(RELAY, "vanished"), (OTHER_RELAY, None)]


def test_a_relay_that_drains_has_not_vanished(
    bus: Bus, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, bus, sqlite)
    bus.publish(update(0))
    bus.lose(update(1))
    bus.publish(relay_end(atom_updates=2), LEDGER_TOPIC)
    eventually(lambda: relays(sqlite) == [(RELAY, "drained")])
    bus.publish(by(OTHER_RELAY, 0, seq=2))
    eventually(lambda: sqlite.count() == 3)
    consumer.stop()
    assert gaps(sqlite) == []
    assert relays(sqlite) == [(RELAY, "drained"), (OTHER_RELAY, None)]


def test_the_tail_that_a_relay_took_along_is_a_gap(
    bus: Bus, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, bus, sqlite)
    bus.publish(update(0))
    eventually(sqlite.count)
    bus.replay.be_silent()
    for seq in range(1, 4):
        bus.lose(update(seq))
    bus.publish(relay_end(atom_updates=4, orders=7), LEDGER_TOPIC)  # the one is no topic of this consumer
    eventually(lambda: relays(sqlite) == [(RELAY, "drained")])
    assert consumer.stop()["bus_lost"] == 3
    assert gaps(sqlite) == [("atom-updates", 1, 3, "relay_ended")]


def test_an_empty_database_takes_what_the_window_has(
    bus: Bus, run: Callable[..., Process], database: Database
) -> None:
    for seq in range(10):
        bus.publish(update(seq))
    bus.publish(ledger(lost=[{"first": 10, "last": 12, "reason": "queue_full"}]), LEDGER_TOPIC)
    bus.replay.forget(below=3)
    consumer = start(run, bus, database)
    eventually(lambda: database.count() == 7 and database.count("losses"))
    assert consumer.stop()["bus_lost"] == 0
    assert gaps(database) == [("atom-updates", 0, 2, "before")]
    # It stays so after a restart, for a topic that comes later.
    bus.publish(update(0, session="a" * 32, relay={"id": RELAY, "seq": 100}), "atom-updates.cart")
    consumer = start(run, bus, database)
    bus.publish(update(1, session="a" * 32, relay={"id": RELAY, "seq": 101}), "atom-updates.cart")
    eventually(lambda: database.count() == 9)
    consumer.stop()
    assert gaps(database)[1:] == [("atom-updates.cart", 0, 99, "before")]


def test_every_topic_has_its_own_count(bus: Bus, run: Callable[..., Process], sqlite: Database) -> None:
    consumer = start(run, bus, sqlite)
    sessions = {"atom-updates.cart": "a" * 32, "atom-updates.user": "b" * 32}
    for topic, session in sessions.items():
        bus.publish(update(0, session=session), topic)
    eventually(lambda: sqlite.count() == 2)
    consumer.stop()
    for topic, session in sessions.items():
        bus.publish(update(1, session=session), topic)  # nobody listens
    consumer = start(run, bus, sqlite)
    for topic, session in sessions.items():
        bus.lose(update(2, session=session), topic)
        bus.publish(update(3, session=session), topic)
    eventually(lambda: sqlite.count() == 8)
    consumer.stop()
    assert gaps(sqlite) == []


def test_a_topic_that_the_relay_forgot_counts_anew(
    bus: Bus, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, bus, sqlite)
    for seq in range(5):
        bus.publish(update(seq))
    eventually(lambda: sqlite.count() == 5)
    bus.lose(update(5, relay={"id": RELAY, "seq": 0}))
    bus.publish(update(6, relay={"id": RELAY, "seq": 1}))
    eventually(lambda: sqlite.count() == 7)
    consumer.stop()
    bus.publish(update(7, relay={"id": RELAY, "seq": 0}))
    start(run, bus, sqlite)
    eventually(lambda: sqlite.count() == 8)
    assert seqs(sqlite) == list(range(8))
    assert gaps(sqlite) == []


def test_a_stop_amid_a_wait_leaves_the_rest_for_the_next_start(
    bus: Bus, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, bus, sqlite)
    bus.publish(update(0))
    eventually(sqlite.count)
    bus.replay.be_silent()
    before = len(bus.replay.requests)
    bus.lose(update(1))
    bus.publish(update(2))
    eventually(lambda: len(bus.replay.requests) > before)
    consumer.stop()
    bus.replay.twist = lambda answer: [answer]
    consumer = start(run, bus, sqlite)
    eventually(lambda: sqlite.count() == 3)
    consumer.stop()
    assert gaps(sqlite) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_at_any_time_loses_nothing(
    seed: int, bus: Bus, run: Callable[..., Process], sqlite: Database
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    published = 0
    for _ in range(5):
        consumer = start(run, bus, sqlite)
        for _ in range(chance.randrange(1, 40)):
            for _ in range(chance.randrange(1, 200)):
                message = update(published)
                bus.lose(message) if chance.random() < 0.01 else bus.publish(message)
                published += 1
            # Somewhere amid what that made it do.
            if chance.random() < 0.1:
                break
        some = chance.randrange(published)
        eventually(partial(lambda some: sqlite.count() > some, some))
        consumer.signal(signal.SIGKILL)
        consumer.wait()
    consumer = start(run, bus, sqlite)
    eventually(lambda: sqlite.count() == published)
    consumer.stop()
    assert seqs(sqlite) == list(range(published))
    assert gaps(sqlite) == []
    assert sqlite.rows("SELECT next_seq FROM bus_positions WHERE topic = 'atom-updates'") == [(published,)]
