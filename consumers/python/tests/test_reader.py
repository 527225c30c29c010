"""What the relay has is read to the end, once, and what stays missing is said."""

from __future__ import annotations

import json
import random
import signal
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from conftest import (
    OTHER_RELAY,
    RELAY,
    SESSION,
    Database,
    Relay,
    bus_lost,
    eventually,
    ledger,
    message,
    relay_end,
    start,
    update,
)

from atomwire import LEDGER_TOPIC

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Process


def seqs(database: Database) -> list[int]:
    return [seq for (seq,) in database.rows("SELECT seq FROM atomwire_updates ORDER BY seq")]


def gaps(database: Database) -> list[tuple[Any, ...]]:
    return database.rows(
        "SELECT topic, first_seq, last_seq, reason FROM atomwire_gaps ORDER BY relay_id, topic, first_seq"
    )


def relays(database: Database) -> list[tuple[Any, ...]]:
    return database.rows("SELECT relay_id, ended FROM atomwire_relays ORDER BY ordinal")


def by(relay: str, relay_seq: int, **changes: Any) -> dict[str, Any]:
    return update(relay_seq, **{"relay": {"id": relay, "seq": relay_seq}, **changes})


def positions(relay: Relay) -> list[int | None]:
    """Return what was asked for, each once."""
    asked = [request.get("from") for request in relay.requests]
    return [position for at, position in enumerate(asked) if [position] != asked[at - 1 : at]]


def test_what_is_there_comes_in_answers_and_in_order(
    relay: Relay, run: Callable[..., Process], database: Database
) -> None:
    relay.answer_bytes = 700
    relay.publish_all(update(seq) for seq in range(20))
    consumer = start(run, relay, database)
    relay.publish(update(20))
    eventually(lambda: database.count() == 21)
    totals = consumer.stop()
    assert seqs(database) == list(range(21))
    assert gaps(database) == []
    assert (totals["updates"]["received"], bus_lost(totals)) == (21, 0)
    assert len(positions(relay)) > 7
    times = [time for (time,) in database.rows("SELECT stored_at FROM atomwire_updates ORDER BY seq")]
    assert times == sorted(times)


def test_an_answer_is_one_transaction(relay: Relay, run: Callable[..., Process], database: Database) -> None:
    relay.publish_all(update(seq) for seq in range(500))
    consumer = start(run, relay, database)
    eventually(lambda: database.count() == 500)
    consumer.stop()
    assert len(database.rows("SELECT DISTINCT stored_at FROM atomwire_updates")) == 1
    assert positions(relay) == [None, 500]
    assert database.rows("SELECT position FROM atomwire_relays") == [(500,)]


def test_messages_of_other_topics_are_passed_over(
    relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, relay, sqlite)
    relay.publish(update(0))
    relay.await_request(**{"from": 1})
    relay.publish(update(0), "orders")
    relay.await_request(**{"from": 2})
    consumer.stop()
    assert sqlite.rows("SELECT position FROM atomwire_relays") == [(2,)]
    assert sqlite.rows("SELECT topic, next_seq FROM atomwire_topics") == [("atom-updates", 1)]


def test_what_is_overwritten_is_a_gap_and_the_ledger_comes_first(
    relay: Relay, run: Callable[..., Process], database: Database
) -> None:
    consumer = start(run, relay, database)
    relay.publish(update(0))
    eventually(database.count)
    consumer.stop()
    relay.publish_all(update(seq) for seq in range(1, 6))
    relay.publish(ledger(0, lost=[{"first": 90, "last": 93, "reason": "queue_full"}]), LEDGER_TOPIC)
    relay.publish_all(update(seq) for seq in range(6, 9))
    relay.publish(ledger(1, lost=[{"first": 94, "last": 95, "reason": "queue_full"}]), LEDGER_TOPIC)
    relay.forget(below=8)
    consumer = start(run, relay, database)
    eventually(lambda: database.count("atomwire_losses") == 2)
    totals = consumer.stop()
    assert (bus_lost(totals), totals["browser_lost"]) == (6, 6)
    assert seqs(database) == [0, 7, 8]
    assert gaps(database) == [("atom-updates", 1, 6, "gone")]


def head(**changes: Any) -> list[bytes]:
    return [json.dumps({"relay": RELAY, "from": 1, "next": 3, "missed": 0, "messages": 2} | changes).encode()]


def published(relay_seq: int, topic: str = "atom-updates", **changes: Any) -> list[bytes]:
    return message(update(relay_seq, **changes), topic)


ONE, TWO = published(1), published(2)
LIES: dict[str, list[list[bytes]]] = {
    "an error": [[b'{"error":"another connection reads as rows"}']],
    "an error that is none": [[b'{"error":["no"]}']],
    "a head of two parts": [[*head(), b""], ONE, TWO],
    "garbage": [[b"\xff\xfe"], ONE, TWO],
    "a head that is a list": [[b"[]"], ONE, TWO],
    "a head without numbers": [[b'{"relay":"0123456789abcdef"}'], ONE, TWO],
    "a huge head": [[head()[0] + b" " * 4096], ONE, TWO],
    "no relay's id": [head(relay="x"), ONE, TWO],
    "a wild number": [head(next=2**60), ONE, TWO],
    "a position behind the one asked for": [head(**{"from": 0}), ONE, TWO],
    "a position beyond the one asked for": [head(**{"from": 2}, messages=1), TWO],
    "a next below from": [head(next=0, messages=0)],
    "more messages than positions": [head(next=2), ONE, TWO],
    "more missed than positions": [head(missed=1), ONE, TWO],
    "messages without end": [head(next=2**53, messages=4097), *[ONE] * 4097],
    "fewer messages than the head says": [head(), ONE],
    "more messages than the head says": [head(), ONE, TWO, published(3)],
    "a message of one part": [head(), ONE[:1], TWO],
    "a message of many parts": [head(), ONE * 5_000, TWO],
    "a payload of another relay": [head(), ONE, published(2, relay={"id": OTHER_RELAY, "seq": 2})],
    "a topic that nobody asked for": [head(), ONE, published(2, "orders")],
    "large messages": [head(next=4, messages=3), *[[ONE[0], b"{" + b" " * 1024 * 1024]] * 3],
    "a part beyond all bounds": [head(), [ONE[0], b" " * (5 * 1024 * 1024)]],
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_no_answer(lie: str, relay: Relay, run: Callable[..., Process], sqlite: Database) -> None:
    consumer = start(run, relay, sqlite)
    relay.publish(update(0))
    eventually(sqlite.count)
    lies = [LIES[lie]]
    relay.twist = lambda answer: lies.pop() if lies else answer
    relay.publish_all(update(seq) for seq in (1, 2))
    eventually(lambda: sqlite.count() == 3)
    consumer.await_log("no answer")  # what is too much is noticed behind the last row
    consumer.stop()
    assert seqs(sqlite) == [0, 1, 2]
    assert gaps(sqlite) == []
    assert positions(relay) == [None, 1, 3]
    assert sum('"no answer"' in line for line in consumer.lines) == 1


def test_who_lies_on_is_told_of_once(relay: Relay, run: Callable[..., Process], sqlite: Database) -> None:
    lies = LIES["an error"] * 3
    relay.twist = lambda answer: [lies.pop()] if lies else answer
    relay.publish(update(0))
    consumer = start(run, relay, sqlite)
    eventually(sqlite.count)
    consumer.stop()
    (line,) = [json.loads(line) for line in consumer.lines if '"no answer"' in line]
    assert (line["endpoint"], line["problem"]) == (relay.endpoint, "another connection reads as rows")


def test_a_silent_relay_is_asked_again(relay: Relay, run: Callable[..., Process], sqlite: Database) -> None:
    consumer = start(run, relay, sqlite)
    relay.publish(update(0))
    eventually(sqlite.count)
    relay.be_silent()
    relay.publish(update(1))
    assert consumer.await_log("no answer")["problem"] == "nothing for 5.0 s"
    relay.speak()
    eventually(lambda: sqlite.count() == 2)
    consumer.stop()
    assert positions(relay) == [None, 1, 2]


def test_a_relay_that_comes_later_is_found(
    relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    relay.close()  # its port is known, but nobody is there yet
    consumer = start(run, relay, sqlite)
    with closing(Relay(relay.endpoint)) as later:
        later.publish(update(0))
        eventually(sqlite.count)
        consumer.stop()


def test_a_relay_that_is_back_is_asked_at_once(
    relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, relay, sqlite)
    relay.publish(update(0))
    relay.await_request(**{"from": 1})
    relay.close()
    with closing(Relay(relay.endpoint)) as back:
        back.publish(by(OTHER_RELAY, 0, seq=1))
        eventually(lambda: sqlite.count() == 2)
        assert back.requests[0]["from"] == 1
        consumer.stop()
    assert "no answer" not in "".join(consumer.lines)  # as it is when it has to wait for one in vain
    assert relays(sqlite) == [(RELAY, "vanished"), (OTHER_RELAY, None)]


def test_an_answer_that_breaks_off_is_asked_for_again(
    relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, relay, sqlite)
    relay.publish(update(0))
    eventually(sqlite.count)
    relay.twist = lambda answer: answer[:2]
    relay.publish_all(update(seq) for seq in (1, 2))
    eventually(lambda: relay.answers > 1)
    relay.close()
    with closing(Relay(relay.endpoint)) as back:
        back.publish_all(update(seq) for seq in range(3))
        eventually(lambda: sqlite.count() == 3)
        assert back.requests[0] == relay.requests[-1]
        assert consumer.stop()["updates"]["received"] == 3


def test_what_breaks_the_contract_costs_only_itself(
    relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, relay, sqlite)
    relay.publish_all(update(seq, key=... if seq in (2, 5) else "cart") for seq in range(6))
    relay.publish(update(6, session=...))
    relay.publish(b"{}", "atom-updates.\0")  # of a topic that no database has
    relay.publish(b"{}", LEDGER_TOPIC)
    relay.publish(ledger(1, start=True, next_seq=6), LEDGER_TOPIC)
    eventually(lambda: sqlite.count("atomwire_session_starts"))
    totals = consumer.stop()
    assert seqs(sqlite) == [0, 1, 3, 4]
    # Of the one, nobody can say whose it was.
    assert gaps(sqlite) == [("atom-updates", 6, 6, "malformed"), (LEDGER_TOPIC, 0, 0, "malformed")]
    refused = "SELECT session, first_seq, last_seq, place, reason FROM atomwire_losses ORDER BY first_seq"
    assert sqlite.rows(refused) == [(SESSION, seq, seq, "consumer", "refused") for seq in (2, 5)]
    assert totals["updates"]["refused"] == 2
    assert totals["bad"] == {
        "key: not a string": 2,
        "session: not a string": 1,
        "topic: holds U+0000, which no PostgreSQL text can": 1,
        "payload: not a JSON object": 1,
    }
    assert bus_lost(totals) == 2


def test_nothing_is_confirmed_that_is_not_committed(
    relay: Relay, run: Callable[..., Process], database: Database
) -> None:
    consumer = start(run, relay, database)
    relay.publish(update(0))
    relay.await_request(**{"from": 1})
    with database.away():
        relay.publish(update(1))
        consumer.await_log("database unavailable, retrying")
        relay.publish(update(2))
        assert positions(relay) == [None, 1]
    eventually(lambda: database.count() == 3)
    relay.await_request(**{"from": 3})
    consumer.stop()


def test_a_database_that_refuses_the_position_ends_it(
    relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, relay, sqlite)
    sqlite.execute(
        "CREATE TRIGGER refuse BEFORE UPDATE ON atomwire_relays BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    relay.publish(update(0))
    assert consumer.wait() == 1
    assert positions(relay) == [None]


def test_a_stop_confirms_what_it_has_committed(
    relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, relay, sqlite)
    relay.publish(update(0))
    relay.await_request(**{"from": 1})
    relay.be_silent()  # what it says afterwards is not waited for
    with sqlite.away():
        relay.speak()
        relay.publish(update(1))
        consumer.await_log("database unavailable, retrying")
        relay.be_silent()
        consumer.signal()
    assert consumer.wait() == 0
    relay.await_request(**{"from": 2})
    assert sqlite.rows("SELECT position FROM atomwire_relays") == [(2,)]


def test_a_stop_confirms_nothing_that_is_unstored(
    relay: Relay, run: Callable[..., Process], database: Database
) -> None:
    consumer = start(run, relay, database)
    relay.publish(update(0))
    relay.await_request(**{"from": 1})
    with database.away():
        relay.publish(update(1))
        consumer.await_log("database unavailable, retrying")
        consumer.signal()
        assert consumer.wait() == 1
    assert positions(relay) == [None, 1]
    consumer = start(run, relay, database)
    eventually(lambda: database.count() == 2)
    consumer.stop()


def test_a_stop_amid_a_wait_leaves_the_rest_for_the_next_start(
    relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, relay, sqlite)
    relay.publish(update(0))
    relay.await_request(**{"from": 1})
    relay.twist = lambda answer: answer[:2]
    relay.publish_all(update(seq) for seq in (1, 2))
    eventually(lambda: relay.answers > 1)
    consumer.stop()
    assert seqs(sqlite) == [0]
    relay.speak()
    consumer = start(run, relay, sqlite)
    eventually(lambda: sqlite.count() == 3)
    consumer.stop()
    assert gaps(sqlite) == []


def test_a_restart_goes_on_where_the_books_end(
    relay: Relay, run: Callable[..., Process], database: Database
) -> None:
    consumer = start(run, relay, database)
    relay.publish_all(update(seq) for seq in range(5))
    eventually(lambda: database.count() == 5)
    consumer.stop()
    relay.publish_all(update(seq) for seq in range(5, 10))
    relay.publish(ledger(lost=[{"first": 10, "last": 12, "reason": "queue_full"}]), LEDGER_TOPIC)
    relay.requests.clear()
    consumer = start(run, relay, database)
    eventually(lambda: database.count("atomwire_losses"))
    totals = consumer.stop()
    assert relay.requests[0] == {
        "consumer": "rows",
        "relay": RELAY,
        "from": 5,
        "topics": ["atom-updates", LEDGER_TOPIC],
    }
    assert seqs(database) == list(range(10))
    assert totals["updates"] == {"received": 5, "stored": 5, "duplicates": 0, "refused": 0, "unstored": 0}
    assert gaps(database) == []
    assert relays(database) == [(RELAY, None)]


def test_a_relay_that_restarted_meanwhile_is_owed_from_the_beginning(
    relay: Relay, run: Callable[..., Process], database: Database
) -> None:
    consumer = start(run, relay, database)
    relay.publish(update(0))
    eventually(database.count)
    consumer.stop()
    relay.publish_all(by(OTHER_RELAY, relay_seq, seq=relay_seq + 1) for relay_seq in range(6))
    relay.forget(below=2)
    consumer = start(run, relay, database)
    eventually(lambda: database.count() == 5)
    assert bus_lost(consumer.stop()) == 2
    assert seqs(database) == [0, 3, 4, 5, 6]
    assert gaps(database) == [("atom-updates", 0, 1, "gone")]
    assert relays(database) == [(RELAY, "vanished"), (OTHER_RELAY, None)]


def test_a_relay_that_has_less_than_the_books_is_read_from_its_end(
    relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, relay, sqlite)
    relay.publish_all(update(seq) for seq in range(5))
    eventually(lambda: sqlite.count() == 5)
    consumer.stop()
    with closing(Relay()) as other:
        other.publish_all(update(seq) for seq in range(3))
        consumer = start(run, other, sqlite)
        other.await_request(**{"from": 3})
        other.publish(update(5))
        eventually(lambda: sqlite.count() == 6)
        consumer.stop()
        assert positions(other) == [5, 3, 4]


def test_a_relay_that_drains_has_not_vanished(
    relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, relay, sqlite)
    relay.publish_all(update(seq) for seq in range(2))
    relay.publish(relay_end(atom_updates=2), LEDGER_TOPIC)
    eventually(lambda: relays(sqlite) == [(RELAY, "drained")])
    relay.publish(by(OTHER_RELAY, 0, seq=2))
    eventually(lambda: sqlite.count() == 3)
    consumer.stop()
    assert "relay vanished" not in "".join(consumer.lines)
    assert gaps(sqlite) == []
    assert relays(sqlite) == [(RELAY, "drained"), (OTHER_RELAY, None)]


def test_the_tail_that_a_relay_took_along_is_a_gap(
    relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, relay, sqlite)
    relay.publish(update(0))
    relay.publish(relay_end(atom_updates=4, orders=7), LEDGER_TOPIC)  # the one is no topic of this consumer
    eventually(lambda: relays(sqlite) == [(RELAY, "drained")])
    assert bus_lost(consumer.stop()) == 3
    assert gaps(sqlite) == [("atom-updates", 1, 3, "relay_ended")]


def test_an_empty_database_takes_what_the_window_has(
    relay: Relay, run: Callable[..., Process], database: Database
) -> None:
    relay.publish_all(update(seq) for seq in range(10))
    relay.publish(ledger(lost=[{"first": 10, "last": 12, "reason": "queue_full"}]), LEDGER_TOPIC)
    relay.forget(below=3)
    consumer = start(run, relay, database)
    eventually(lambda: database.count() == 7 and database.count("atomwire_losses"))
    assert bus_lost(consumer.stop()) == 0
    assert gaps(database) == [("atom-updates", 0, 2, "before")]
    # It stays so after a restart, for a topic that comes later.
    consumer = start(run, relay, database)
    for seq in range(2):
        place = {"id": RELAY, "seq": 100 + seq}
        relay.publish(update(seq, session="a" * 32, relay=place), "atom-updates.cart")
    eventually(lambda: database.count() == 9)
    consumer.stop()
    assert gaps(database)[1:] == [("atom-updates.cart", 0, 99, "before")]


def test_every_topic_has_its_own_count(relay: Relay, run: Callable[..., Process], sqlite: Database) -> None:
    sessions = {"atom-updates.cart": "a" * 32, "atom-updates.user": "b" * 32}
    for seq in range(3):
        consumer = start(run, relay, sqlite)
        for topic, session in sessions.items():
            relay.publish(update(seq, session=session), topic)
        eventually(partial(lambda count: sqlite.count() == count, 2 * seq + 2))
        consumer.stop()
    assert gaps(sqlite) == []


def test_a_topic_that_the_relay_forgot_counts_anew(
    relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    consumer = start(run, relay, sqlite)
    relay.publish_all(update(seq) for seq in range(5))
    for seq in (5, 6):
        relay.publish(update(seq, relay={"id": RELAY, "seq": seq - 5}))
    eventually(lambda: sqlite.count() == 7)
    consumer.stop()
    relay.publish(update(7, relay={"id": RELAY, "seq": 0}))
    consumer = start(run, relay, sqlite)
    eventually(lambda: sqlite.count() == 8)
    consumer.stop()
    assert seqs(sqlite) == list(range(8))
    assert gaps(sqlite) == []


def test_two_consumers_of_one_database_go_each_its_way(
    relay: Relay, run: Callable[..., Process], database: Database
) -> None:
    rows = start(run, relay, database)
    orders = start(run, relay, database, ATOMWIRE_CONSUMER="orders", ATOMWIRE_TOPIC="orders")
    relay.publish(update(0))
    eventually(database.count)
    orders.stop()
    relay.publish(ledger(0, start=True, next_seq=0), LEDGER_TOPIC)
    relay.publish(update(0, session="a" * 32), "orders")
    eventually(lambda: database.count("atomwire_session_starts"))
    rows.stop()
    relay.publish(ledger(1, end=True, next_seq=1, reason="closed"), LEDGER_TOPIC)
    orders = start(run, relay, database, ATOMWIRE_CONSUMER="orders", ATOMWIRE_TOPIC="orders")
    eventually(lambda: database.count() == 2 and database.count("atomwire_sessions"))
    orders.stop()
    for relay_seq in (2, 3):
        rows = start(run, relay, database)
        lost = [{"first": relay_seq, "last": relay_seq, "reason": "too_large"}]
        relay.publish(ledger(relay_seq, lost=lost), LEDGER_TOPIC)
        eventually(partial(lambda count: database.count("atomwire_losses") == count, relay_seq - 1))
        rows.stop()
    assert gaps(database) == []
    assert database.rows("SELECT consumer, position FROM atomwire_relays ORDER BY consumer") == [
        ("orders", 4),
        ("rows", 6),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_at_any_time_loses_nothing(
    seed: int, relay: Relay, run: Callable[..., Process], sqlite: Database
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    relay.answer_bytes = 4096
    count = 0
    for _ in range(5):
        consumer = start(run, relay, sqlite)
        for _ in range(chance.randrange(1, 40)):
            more = chance.randrange(1, 200)
            relay.publish_all(update(seq) for seq in range(count, count + more))
            count += more
        some = chance.randrange(count)
        eventually(partial(lambda some: sqlite.count() > some, some))
        consumer.signal(signal.SIGKILL)
        consumer.wait()
        # What was committed is neither asked for again nor left out.
        relay.requests.clear()
        stored = sqlite.rows("SELECT position FROM atomwire_relays")
        assert stored == [(sqlite.count(),)]
    consumer = start(run, relay, sqlite)
    relay.await_request(**{"from": stored[0][0]})
    eventually(lambda: sqlite.count() == count)
    assert consumer.stop()["updates"]["duplicates"] == 0
    assert seqs(sqlite) == list(range(count))
    assert gaps(sqlite) == []
    assert sqlite.rows("SELECT next_seq FROM atomwire_topics WHERE topic = 'atom-updates'") == [(count,)]
