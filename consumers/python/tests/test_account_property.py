"""The account of any small books is that of a naive one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from books import ONE, TWO, A, B, Books, C, outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive import NaiveAccount, NaiveBooks

from atomwire import LEDGER_TOPIC

if TYPE_CHECKING:
    from conftest import Database

SESSIONS, RELAYS, CONSUMERS, TOPICS = (ONE, TWO), (A, B, C), ("rows", "others"), ("t.a", "t.b")
REASONS = ("gone", "relay_ended", "before")
NUMBERS = st.integers(0, 9)


def ranges(*names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Make tuples of names, then a first and a last number."""
    return st.tuples(*names, NUMBERS, st.integers(0, 3)).map(lambda one: (*one[:-1], one[-2] + one[-1]))


sessions, relays = st.sampled_from(SESSIONS), st.sampled_from(RELAYS)
consumers, topics = st.sampled_from(CONSUMERS), st.sampled_from(TOPICS)
small_books = st.builds(
    NaiveBooks,
    readings=st.fixed_dictionaries(
        {"rows": st.lists(relays, min_size=1, unique=True)},
        optional={"others": st.lists(relays, min_size=1, unique=True)},
    ),
    ended=st.fixed_dictionaries(
        {relay: st.sampled_from([None, None, "drained", "vanished"]) for relay in RELAYS}
    ),
    silent=st.sets(relays),
    rows=st.dictionaries(st.tuples(sessions, NUMBERS), st.tuples(relays, topics, NUMBERS), max_size=12),
    losses=st.lists(
        ranges(sessions, st.sampled_from(["browser", "relay"]), st.sampled_from(["x", "y"])).map(
            lambda one: (one[0], *one[3:], *one[1:3])
        ),
        max_size=4,
        unique_by=lambda one: one[:4],
    ),
    sessions=st.dictionaries(
        sessions, st.tuples(st.integers(0, 12), st.sampled_from([None, "closed"]), relays, st.integers(0, 3))
    ),
    starts=st.sets(st.tuples(sessions, relays, NUMBERS), max_size=3),
    gaps=st.dictionaries(
        ranges(consumers, relays, topics | st.just(LEDGER_TOPIC)), st.sampled_from(REASONS), max_size=8
    ),
    reached=st.dictionaries(st.tuples(consumers, relays, topics), NUMBERS, max_size=6),
)


@pytest.fixture
def empty(database: Database) -> Books:
    return Books(database.url)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(small=small_books)
def test_an_account_is_that_of_a_naive_one(small: NaiveBooks, empty: Books) -> None:
    # A message that is a row is not lost.
    lost_messages = NaiveAccount(small).messages
    small.rows = {number: place for number, place in small.rows.items() if place not in lost_messages}
    books = write(small, empty.clear())
    naive = NaiveAccount(small)
    account = books.read()
    lost, _ = outcome(account)
    assert lost == naive.explained
    unexplained = {
        (hole["session"], number)
        for hole in account["holes"]
        for number in range(hole["first"], hole["last"] + 1)
    }
    assert unexplained == naive.unexplained
    assert account["unexplained"] == len(naive.unexplained)
    owed = [place for place, reason in naive.free.items() if reason != "before" and place[1] != LEDGER_TOPIC]
    assert account["bus"]["unclaimed"] == len(owed)


def write(small: NaiveBooks, books: Books) -> Books:
    for consumer, order in small.readings.items():
        for relay in order:
            books.relay(relay, small.ended[relay], consumer, silent=relay in small.silent)
    for (session, seq), (relay, topic, relay_seq) in small.rows.items():
        books.rows(session, [seq], relay, relay_seq, topic)
    for loss in small.losses:
        books.lost(*loss)
    for session, (next_seq, reason, relay, floor) in small.sessions.items():
        books.ended(session, next_seq, relay, reason, floor)
    for session, relay, next_seq in small.starts:
        books.started(session, next_seq, relay)
    for (consumer, relay, topic, first, last), reason in small.gaps.items():
        books.gap(relay, first, last, reason, topic, consumer)
    for (consumer, relay, topic), next_seq in small.reached.items():
        books.reached(consumer, relay, next_seq, topic)
    return books
