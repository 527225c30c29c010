"""`python -m atomwire account`: every number known to exist is a row, a loss, or unexplained."""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from books import ONE, TWO, A, B, Books, C, outcome
from conftest import OTHER_RELAY, Database, eventually, ledger, relay_end, start, update

from atomwire import LEDGER_TOPIC
from atomwire.account.books import NoBooksError, reading
from atomwire.account.query import SESSIONS, STEPS, read_account
from atomwire.account.report import as_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Cluster, Process, Relay

NO_RELAYS = {"known": 0, "drained": 0, "vanished": 0, "silent": 0, "disputed": 0}
EMPTY = "'[]'"
"""A JSON array, as SQL has it."""


@pytest.fixture
def books(sqlite: Database) -> Books:
    return Books(sqlite.url)


def test_an_empty_account_is_balanced(books: Books) -> None:
    assert books.read() == {
        "balanced": True,
        "sessions": {"known": 0, "ended": 0, "open": 0},
        "updates": 0,
        "rows": 0,
        "pruned": 0,
        "pruned_as": [],
        "lost": [],
        "unexplained": 0,
        "holes": [],
        "relays": NO_RELAYS,
        "bus": {"messages_lost": 0, "unclaimed": 0},
    }


def test_an_account_of_everything(database: Database) -> None:
    books = Books(database.url)
    books.relay(A, "drained").relay(B, "vanished").relay(C)
    books.rows(ONE, range(10)).rows(ONE, [13, 14], first=12).lost(ONE, 15, 16, "browser", "queue_full")
    books.lost(ONE, 17, 17, "relay", "invalid_json").ended(ONE, 18)
    books.gap(A, 10, 11).gap(A, 0, 3, "malformed", LEDGER_TOPIC).gap(C, 0, 99, "before")
    books.rows(TWO, [0, 4], relay=C, first=100)
    assert books.read() == {
        "balanced": False,
        "sessions": {"known": 2, "ended": 1, "open": 1},
        "updates": 23,
        "rows": 14,
        "pruned": 0,
        "pruned_as": [],
        "lost": [
            {"place": "browser", "reason": "queue_full", "updates": 2},
            {"place": "bus", "reason": "gone", "updates": 2},
            {"place": "bus", "reason": "malformed", "updates": 1},
            {"place": "relay", "reason": "invalid_json", "updates": 1},
        ],
        "unexplained": 3,
        "holes": [{"session": TWO, "first": 1, "last": 3}],
        "relays": NO_RELAYS | {"known": 3, "drained": 1, "vanished": 1},
        "bus": {"messages_lost": 6, "unclaimed": 0},
    }


def test_a_relay_that_two_consumers_read_is_one(database: Database) -> None:
    books = Books(database.url)
    books.relay(A, "vanished").relay(A, "drained", consumer="others").relay(B).relay(B, consumer="others")
    assert books.read()["relays"] == NO_RELAYS | {"known": 2, "drained": 1}


@pytest.mark.parametrize("place", ["browser", "relay", "consumer"])
def test_a_loss_is_named_by_place_and_reason(place: str, books: Books) -> None:
    books.relay(A).rows(ONE, [0, 4]).lost(ONE, 1, 3, place, "why")
    assert outcome(books.read()) == ({f"{place} why": 3}, [])


def test_a_row_wins_over_a_loss_and_a_loss_over_a_hole(books: Books) -> None:
    books.relay(A).rows(ONE, [0, 1, 2, 5]).lost(ONE, 1, 3, reason="overlaps").ended(ONE, 6)
    assert outcome(books.read()) == ({"browser overlaps": 1}, [(4, 4)])


def test_what_a_note_calls_lost_may_be_a_row_of_an_earlier_relay(database: Database) -> None:
    # The page knew 5 to be settled and had made 12; 10 had come. The relay that hears so knows nothing of it.
    books = Books(database.url).relay(A, "drained").relay(B)
    books.rows(ONE, [0, 1, 2]).gap(A, 3, 3).rows(ONE, [4, 5, 6, 8, 9], first=4)
    books.started(ONE, 5, relay=B).lost(ONE, 5, 11, reason="page_killed").ended(ONE, 12, relay=B)
    assert outcome(books.read()) == ({"browser page_killed": 3, "bus gone": 1}, [])


def test_a_note_of_a_session_that_went_on_takes_nothing_away(database: Database) -> None:
    books = Books(database.url).relay(A).rows(ONE, range(20)).ended(ONE, 20)
    books.started(ONE, 5).lost(ONE, 5, 11, reason="page_killed")
    assert outcome(books.read()) == ({}, [])
    assert books.rows(TWO, [0, 3], first=20).read()["holes"] == [{"session": TWO, "first": 1, "last": 2}]


def test_a_note_that_is_told_twice_counts_once_for_the_first(books: Books) -> None:
    books.relay(A).rows(ONE, range(5)).lost(ONE, 5, 11, reason="page_closed").ended(ONE, 12)
    books.started(ONE, 5).lost(ONE, 5, 13, reason="page_killed")
    assert outcome(books.read()) == ({"browser page_closed": 7, "browser page_killed": 2}, [])


def test_overlapping_losses_count_once_for_the_first_recorded(database: Database) -> None:
    books = Books(database.url)
    books.relay(A).rows(ONE, [0, 20])
    books.lost(ONE, 5, 9, reason="first").lost(ONE, 1, 6, reason="second").lost(ONE, 4, 12, reason="third")
    books.lost(ONE, 5, 9, "relay", "fourth").lost(ONE, 2, 19, reason="last")
    lost = {"browser first": 5, "browser second": 4, "browser third": 3, "browser last": 7}
    assert outcome(books.read()) == (lost, [])


def test_losses_beyond_the_last_row_are_known_to_exist(books: Books) -> None:
    books.relay(A).rows(ONE, [0]).lost(ONE, 3, 4).lost(TWO, 0, 2**53 - 1)
    assert outcome(books.read()) == ({"browser r": 2**53 + 2}, [(1, 2)])


def test_an_end_says_what_is_missing_behind_the_last_row(books: Books) -> None:
    books.relay(A).rows(ONE, [0, 1]).ended(ONE, 5)
    assert outcome(books.read()) == ({}, [(2, 4)])


def test_a_session_of_which_nothing_came_is_missing_as_a_whole(database: Database) -> None:
    books = Books(database.url)
    books.relay(A).ended(ONE, 5).gap(A, 0, 3)
    assert outcome(books.read()) == ({"bus gone": 4}, [(4, 4)])


def test_a_gap_explains_no_more_than_it_has_messages(books: Books) -> None:
    books.relay(A).rows(ONE, [0]).gap(A, 1, 2, "malformed").rows(ONE, [6], first=3)
    assert outcome(books.read()) == ({"bus malformed": 2}, [(3, 5)])


def test_two_sessions_share_a_gap(books: Books) -> None:
    books.relay(A).rows(ONE, [0]).rows(TWO, [0], first=1).gap(A, 2, 4)
    books.rows(ONE, [3], first=5).rows(TWO, [3], first=6)
    assert outcome(books.read()) == ({"bus gone": 3}, [(2, 2)])


@pytest.mark.parametrize(("first", "last"), [(0, 4), (11, 20)])
def test_a_gap_elsewhere_explains_nothing(first: int, last: int, books: Books) -> None:
    books.relay(A).relay(B).gap(A, first, last).gap(B, 0, 9)
    books.rows(ONE, [0], first=5).rows(ONE, [3], first=6)
    assert outcome(books.read()) == ({}, [(1, 2)])


def test_a_gap_serves_first_who_has_no_other(books: Books) -> None:
    # The first session may use either gap, the second one only the earlier.
    books.relay(A).rows(ONE, [0]).rows(TWO, [0], first=1).gap(A, 2, 2, "early").rows(TWO, [2], first=3)
    books.gap(A, 4, 4, "late").rows(ONE, [2], first=5)
    assert outcome(books.read()) == ({"bus early": 1, "bus late": 1}, [])


def test_a_gap_may_lie_in_any_topic_that_the_key_makes(books: Books) -> None:
    books.relay(A).rows(ONE, [0], topic="u.a").rows(ONE, [3], topic="u.b", first=7)
    books.gap(A, 0, 0, topic="u.c").gap(A, 9, 9, topic="u.b").gap(A, 3, 3, topic="u.b")
    assert outcome(books.read()) == ({"bus gone": 2}, [])


def test_a_lost_message_of_the_ledger_explains_anything_in_one_session(books: Books) -> None:
    books.relay(A).rows(ONE, [0, 100, 200]).rows(TWO, [0, 10], first=3).gap(A, 0, 0, "gone", LEDGER_TOPIC)
    assert outcome(books.read()) == ({"bus gone": 198}, [(1, 9)])


def test_a_lost_message_of_the_ledger_leaves_the_gaps_of_updates_to_others(books: Books) -> None:
    books.relay(A).rows(ONE, [0]).rows(TWO, [0], first=1).gap(A, 2, 5, "gone")
    books.gap(A, 0, 0, "malformed", LEDGER_TOPIC).rows(ONE, [1000], first=6).rows(TWO, [4], first=7)
    assert outcome(books.read()) == ({"bus gone": 4, "bus malformed": 998}, [])


def test_a_lost_message_of_the_ledger_goes_to_who_has_no_gap_of_updates(books: Books) -> None:
    books.relay(A).rows(ONE, [0]).gap(A, 1, 5).rows(ONE, [6], first=6).gap(A, 0, 0, topic=LEDGER_TOPIC)
    books.rows(TWO, [0, 2], first=7)
    assert outcome(books.read()) == ({"bus gone": 6}, [])


def test_lost_messages_that_no_hole_needs_are_told(books: Books) -> None:
    books.relay(A).rows(ONE, [0]).gap(A, 1, 5).rows(ONE, [3], first=6)
    books.gap(A, 7, 9).gap(A, 0, 1, topic=LEDGER_TOPIC)
    account = books.read()
    assert outcome(account) == ({"bus gone": 2}, [])
    assert account["bus"] == {"messages_lost": 10, "unclaimed": 6}
    shown = as_text(read_account(books.url))
    assert "bus messages lost  10  6 of no known update: repeats, or ends of open sessions" in shown


def test_a_relay_that_vanished_explains_what_is_missing_across_it(books: Books) -> None:
    books.relay(A, "vanished").relay(B).rows(ONE, [0, 1, 3]).rows(ONE, [6], relay=B)
    # What is missing between two rows of one relay did not vanish with it.
    assert outcome(books.read()) == ({"bus relay_vanished": 2}, [(2, 2)])


def test_a_relay_that_vanished_explains_no_tail_of_its_own(books: Books) -> None:
    books.relay(A, "vanished").relay(B).rows(ONE, [0]).ended(ONE, 3, relay=A)
    books.rows(TWO, [0], first=1).ended(TWO, 3, relay=B)
    assert outcome(books.read()) == ({"bus relay_vanished": 2}, [(1, 2)])


def test_a_relay_that_drained_explains_nothing(books: Books) -> None:
    books.relay(A, "drained").relay(B).rows(ONE, [0]).rows(ONE, [3], relay=B)
    assert outcome(books.read()) == ({}, [(1, 2)])


def test_a_tail_that_a_relay_took_along_is_lost_on_the_bus(books: Books) -> None:
    books.relay(A, "drained").relay(B).rows(ONE, [0]).gap(A, 1, 2, "relay_ended").rows(ONE, [3], relay=B)
    assert outcome(books.read()) == ({"bus relay_ended": 2}, [])


def test_what_only_a_client_claims_is_no_hole(books: Books) -> None:
    books.relay(A).started(ONE, 2**53).ended(ONE, 2**53)
    assert outcome(books.read()) == ({"browser claimed": 2**53}, [])


def test_a_claim_covers_only_what_lies_below_it(books: Books) -> None:
    books.relay(A).started(ONE, 5).rows(ONE, [7])
    assert outcome(books.read()) == ({"browser claimed": 5}, [(5, 6)])


def test_a_claim_covers_nothing_that_came_before_it(books: Books) -> None:
    books.relay(A, "drained").relay(B).rows(ONE, [2, 4]).started(ONE, 9, relay=B).rows(ONE, [9], relay=B)
    assert outcome(books.read()) == ({"browser claimed": 4}, [(0, 1), (3, 3)])


def test_a_claim_of_who_comes_back_covers_what_was_made_elsewhere(books: Books) -> None:
    books.relay(A).rows(ONE, [0, 3]).started(ONE, 9).rows(ONE, [9], first=2)
    assert outcome(books.read()) == ({"browser claimed": 5}, [(1, 2)])


def test_a_claim_takes_no_gap_from_those_that_need_it(books: Books) -> None:
    books.relay(A).started(ONE, 1000).rows(ONE, [1000], first=4).rows(TWO, [0]).gap(A, 1, 3)
    books.rows(TWO, [4], first=5)
    assert outcome(books.read()) == ({"browser claimed": 1000, "bus gone": 3}, [])


def test_a_claim_after_a_relay_that_vanished_is_what_vanished(books: Books) -> None:
    books.relay(A, "vanished").relay(B).started(ONE, 3, relay=B).rows(ONE, [3], relay=B)
    # But a session that began with the next relay has lost nothing to the one before.
    books.rows(TWO, [2], relay=B, first=1)
    assert outcome(books.read()) == ({"bus relay_vanished": 3}, [(0, 1)])


def test_only_so_many_holes_are_named(books: Books) -> None:
    account = books.relay(A).rows(ONE, range(0, 600, 2)).read()
    assert account["unexplained"] == 299
    assert len(account["holes"]) == 100
    assert account["holes"][-1] == {"session": ONE, "first": 199, "last": 199}


def test_the_text_is_for_people(books: Books) -> None:
    books.relay(A, "drained").relay(B).rows(ONE, range(1200)).lost(ONE, 1200, 1209, "browser", "queue_full")
    books.lost(ONE, 1210, 1210, "relay", "\x1b[31m").ended(ONE, 1211).rows(TWO, [1235])
    assert as_text(read_account(books.url)).splitlines() == [
        "updates                               2,447",
        "  rows                                1,201",
        "  pruned                                  0",
        "  lost                                   11",
        "    browser  queue_full                  10",
        "    relay    \\u001b[31m                   1",
        "  unexplained                         1,235",
        "    22222222222222222222222222222222  1,235  0 to 1,234",
        "sessions                                  2  1 ended, 1 open",
        "relays                                    2  1 drained, 0 vanished, 0 silent",
        "bus messages lost                         0",
        "",
        "NOT balanced: 1,235 updates unexplained",
    ]


def test_the_command_says_by_its_exit_status_whether_it_balances(
    database: Database, run: Callable[..., Process]
) -> None:
    books = Books(database.url).relay(A).rows(ONE, [0, 1, 2])
    process = run("-m", "atomwire", "account", "--database-url", books.url)
    assert process.wait() == 0
    assert process.lines[-1] == "balanced: every update is accounted for\n"
    books.ended(ONE, 4)
    process = run("-m", "atomwire", "account", "--json", DATABASE_URL=books.url)
    assert process.wait() == 1
    (line,) = process.lines
    assert json.loads(line)["holes"] == [{"session": ONE, "first": 3, "last": 3}]


def test_a_consumers_books_balance(relay: Relay, run: Callable[..., Process], database: Database) -> None:
    consumer = start(run, relay, database)
    for seq in range(5):
        relay.publish(update(seq))
    relay.publish(ledger(lost=[{"first": 5, "last": 6, "reason": "queue_full"}]), LEDGER_TOPIC)
    relay.publish(
        ledger(1, lost=[{"first": 7, "last": 7, "reason": "too_large"}], place="relay"), LEDGER_TOPIC
    )
    relay.publish(ledger(2, end=True, next_seq=8, reason="closed"), LEDGER_TOPIC)
    relay.publish(relay_end(3, atom_updates=5), LEDGER_TOPIC)
    eventually(lambda: database.rows("SELECT ended FROM atomwire_relays") == [("drained",)])
    # While the consumer has the database open.
    process = run("-m", "atomwire", "account", "--json", DATABASE_URL=database.url)
    assert process.wait() == 0, process.lines
    account = json.loads(process.lines[0])
    assert outcome(account) == ({"browser queue_full": 2, "relay too_large": 1}, [])
    assert account["relays"] == NO_RELAYS | {"known": 1, "drained": 1}
    consumer.stop()


def test_a_row_beats_a_loss_whichever_comes_first(
    relay: Relay, run: Callable[..., Process], database: Database
) -> None:
    consumer = start(run, relay, database)

    seqs = itertools.count()

    def tell(**members: Any) -> None:
        place = {"id": OTHER_RELAY, "seq": next(seqs)}
        relay.publish(ledger(**members) | {"relay": place}, LEDGER_TOPIC)

    def speak_for_the_dead() -> None:
        tell(start=True, next_seq=5)
        tell(lost=[{"first": 5, "last": 11, "reason": "page_killed"}])
        tell(end=True, next_seq=12, reason="closed")

    for seq in range(7):
        relay.publish(update(seq))
    relay.publish(relay_end(0, atom_updates=7), LEDGER_TOPIC)
    eventually(lambda: database.rows("SELECT ended FROM atomwire_relays") == [("drained",)])
    speak_for_the_dead()
    # The next page did not live to hear that it was heard; and the dead one's last request was on its way.
    speak_for_the_dead()
    tell(start=True, next_seq=5)
    for relay_seq, seq in enumerate(range(5, 10)):
        relay.publish(update(seq, relay={"id": OTHER_RELAY, "seq": relay_seq}))
    tell(end=True, next_seq=10, reason="forgotten")
    eventually(lambda: database.count("atomwire_updates") == 10)
    eventually(lambda: (8,) in database.rows("SELECT next_seq FROM atomwire_topics"))
    consumer.stop()
    process = run("-m", "atomwire", "account", "--json", DATABASE_URL=database.url)
    assert process.wait() == 0, process.lines
    account = json.loads(process.lines[0])
    assert (account["updates"], account["rows"]) == (12, 10)
    assert outcome(account) == ({"browser page_killed": 2}, [])
    assert account["sessions"] == {"known": 1, "ended": 1, "open": 0}


def test_a_database_that_does_not_exist_is_not_made(run: Callable[..., Process], sqlite: Database) -> None:
    process = run("-m", "atomwire", "account", DATABASE_URL=sqlite.url)
    assert process.wait() == 64
    assert process.lines == [
        "atomwire-consumer: --database-url (DATABASE_URL): the SQLite file does not exist\n"
    ]
    assert not Path(sqlite.url.removeprefix("sqlite:///")).exists()


def test_a_database_without_books_is_left_alone(database: Database, run: Callable[..., Process]) -> None:
    database.execute("CREATE TABLE atomwire_updates (session TEXT)")
    process = run("-m", "atomwire", "account", DATABASE_URL=database.url)
    assert process.wait() == 1
    assert process.lines == ["atomwire-consumer: the database has no books: no consumer has written to it\n"]
    assert database.count("atomwire_updates") == 0


def test_a_database_that_cannot_be_read_is_said(
    database: Database, run: Callable[..., Process], sqlite: Database
) -> None:
    if "sqlite" in database.url:
        with sqlite3.connect(":memory:"), open(sqlite.url.removeprefix("sqlite:///"), "wb") as file:  # noqa: PTH123
            file.write(b"no database " * 1000)
        url = sqlite.url
    else:
        url = f"{database.url}_elsewhere"
    process = run("-m", "atomwire", "account", DATABASE_URL=url)
    assert process.wait() == 1
    (line,) = process.lines
    assert line.startswith("atomwire-consumer: the database cannot be read: ")
    assert "a-password" not in line


def test_unknown_arguments_are_named(run: Callable[..., Process]) -> None:
    process = run("-m", "atomwire", "account", "--replay=x", DATABASE_URL="mysql://user:a-password@host/db")
    assert process.wait() == 64
    assert process.lines == [
        "atomwire-consumer: unknown argument --replay\n",
        "atomwire-consumer: --database-url (DATABASE_URL): neither sqlite:// nor postgresql://\n",
    ]


def test_a_hundred_thousand_rows_are_counted_in_the_order_of_their_key(sqlite: Database) -> None:
    books = Books(sqlite.url)
    books.relay(A).rows(ONE, range(50_000)).rows(TWO, range(50_001), first=50_000).ended(TWO, 50_002)
    assert books.read()["unexplained"] == 1
    plan = [detail for *_, detail in sqlite.rows(f"EXPLAIN QUERY PLAN {SESSIONS}")]
    # Of all rows there is one pass, over their key alone.
    of_rows = [step for step in plan if re.match("SCAN atomwire_updates", step)]
    assert of_rows == ["SCAN atomwire_updates USING COVERING INDEX sqlite_autoindex_atomwire_updates_1"]
    # And what follows looks single ones up.
    plan = [detail for *_, detail in sqlite.rows(f"EXPLAIN QUERY PLAN {STEPS.replace('?', EMPTY)}")]
    assert not [step for step in plan if re.match("SCAN (atomwire|stored|earlier|later)", step)]
    looked_up = [step for step in plan if re.match("SEARCH (atomwire|stored|earlier|later)", step)]
    assert len(looked_up) >= 5
    assert all("session=?" in step for step in looked_up)


def test_a_relay_that_is_silent_explains_what_a_client_claims(database: Database) -> None:
    books = Books(database.url).relay(A, silent=True).relay(B, consumer="others")
    books.rows(ONE, [0]).started(ONE, 3, relay=B).rows(ONE, [3], relay=B)
    account = books.read()
    assert outcome(account) == ({"bus relay_silent": 2}, [])
    assert account["relays"] == NO_RELAYS | {"known": 2, "silent": 1}


@pytest.mark.parametrize("ended", ["drained", "vanished"])
def test_a_relay_that_has_ended_is_not_silent(ended: str, books: Books) -> None:
    books.relay(A, ended, silent=True).relay(B)
    books.rows(ONE, [0]).started(ONE, 3, relay=B).rows(ONE, [3], relay=B)
    account = books.read()
    reason = {"drained": "browser claimed", "vanished": "bus relay_vanished"}[ended]
    assert outcome(account) == ({reason: 2}, [])
    assert account["relays"]["silent"] == 0


def test_the_relay_that_went_on_explains_nothing_by_its_silence(books: Books) -> None:
    books.relay(A, "drained").relay(B, silent=True).rows(ONE, [0]).rows(ONE, [3], relay=B)
    assert outcome(books.read()) == ({}, [(1, 2)])


def test_what_another_consumer_has_is_not_lost(database: Database) -> None:
    books = Books(database.url).relay(A).relay(A, consumer="others")
    books.rows(ONE, range(10)).gap(A, 2, 7).reached("rows", A, 10).reached("others", A, 10)
    account = books.read()
    assert outcome(account) == ({}, [])
    assert account["bus"] == {"messages_lost": 0, "unclaimed": 0}


def test_deleted_rows_are_not_balanced_by_the_gap_of_another_consumer(books: Books) -> None:
    books.relay(A).relay(A, consumer="others").reached("rows", A, 10).reached("others", A, 10)
    books.rows(ONE, [0, 1, 8, 9]).gap(A, 2, 7)
    assert outcome(books.read()) == ({}, [(2, 7)])


def test_only_what_all_consumers_lack_is_lost(database: Database) -> None:
    books = Books(database.url).relay(A).relay(A, consumer="others")
    books.reached("rows", A, 20).reached("others", A, 6)
    # One has 2 and 3, and nobody has 4, 5; of 6 to 8 the other may hear yet, but has not.
    books.gap(A, 2, 8, "before").gap(A, 4, 5, "gone", consumer="others")
    books.rows(ONE, [0, 1, 2, 3]).rows(ONE, [9], first=9)
    account = books.read()
    assert outcome(account) == ({"bus gone": 2, "bus before": 3}, [])
    assert account["bus"] == {"messages_lost": 2, "unclaimed": 0}


def test_a_gap_of_another_relay_or_topic_is_nobody_elses(books: Books) -> None:
    books.relay(A).relay(A, consumer="others").relay(B, consumer="others")
    books.reached("others", B, 10).reached("others", A, 10, "u.b")
    books.rows(ONE, [0]).gap(A, 1, 2).rows(ONE, [3], first=3)
    assert outcome(books.read()) == ({"bus gone": 2}, [])


def test_relays_are_in_the_order_in_which_they_were_read(books: Books) -> None:
    # By name, and by when they were stored, they are in other ones.
    books.relay(C).relay(A).relay(B).gap(B, 0, 1).rows(ONE, [0], relay=C).rows(ONE, [3], relay=A)
    assert outcome(books.read()) == ({}, [(1, 2)])
    assert outcome(books.gap(C, 4, 5).read()) == ({"bus gone": 2}, [])


def test_consumers_orders_make_one(books: Books) -> None:
    # One says A, B; the other B, C: what was lost with C is no explanation between A and B.
    books.relay(A).relay(B).relay(B, consumer="others").relay(C, consumer="others")
    books.rows(ONE, [0]).gap(C, 0, 1, consumer="others").rows(ONE, [3], relay=B)
    assert outcome(books.read()) == ({}, [(1, 2)])
    assert outcome(books.rows(TWO, [0]).rows(TWO, [3], relay=C, first=2).read())[0] == {"bus gone": 2}


def test_relays_beside_each_other_may_both_have_had_a_session(books: Books) -> None:
    books.relay(A).relay(B).relay(C, consumer="others").gap(C, 0, 1, consumer="others")
    books.rows(ONE, [0]).rows(ONE, [3], relay=B)
    assert outcome(books.read()) == ({"bus gone": 2}, [])
    # What is missing between two rows of one relay was nowhere else.
    assert outcome(books.rows(TWO, [0, 3], first=5).read())[1] == [(1, 2)]


def test_consumers_that_contradict_each_other_are_told(books: Books) -> None:
    books.relay(A).relay(B).relay(C).relay(B, consumer="others").relay(A, consumer="others")
    books.gap(C, 0, 0).gap(B, 5, 5).rows(ONE, [0]).rows(ONE, [3], relay=C, first=1)
    account = books.read()
    assert outcome(account) == ({"bus gone": 2}, [])
    assert account["relays"] == NO_RELAYS | {"known": 3, "disputed": 2}
    assert "  in dispute       2  consumers read them in opposite orders" in as_text(read_account(books.url))


def test_what_was_pruned_was_accounted_for(database: Database) -> None:
    books = Books(database.url).relay(A).rows(ONE, [5, 6, 9]).lost(ONE, 7, 7).ended(ONE, 10, floor=5)
    books.ended(TWO, 3, floor=3).pruned("row", "", 7).pruned("browser", "r", 1)
    account = books.read()
    assert outcome(account) == ({"browser r": 1}, [(8, 8)])
    assert (account["updates"], account["rows"], account["pruned"]) == (13, 3, 8)
    assert account["pruned_as"] == [
        {"place": "browser", "reason": "r", "updates": 1},
        {"place": "row", "reason": "", "updates": 7},
    ]
    assert account["sessions"]["known"] == 2
    shown = as_text(read_account(books.url)).splitlines()
    assert shown[1:5] == [
        "  rows                                 3",
        "  pruned                               8",
        "    browser  r                         1",
        "    row                                7",
    ]


def test_a_repeat_of_what_was_pruned_is_no_row_more(books: Books) -> None:
    books.relay(A).rows(ONE, [3, 5, 6]).lost(ONE, 2, 3).ended(ONE, 9, floor=5)
    account = books.read()
    assert outcome(account) == ({}, [(7, 8)])
    assert (account["updates"], account["rows"], account["pruned"]) == (9, 2, 5)


def test_a_hole_keeps_its_explanation_when_what_came_before_it_is_pruned(books: Books) -> None:
    books.relay(A, "vanished").relay(B).rows(ONE, [0, 5], relay=B).ended(ONE, 6, relay=B, floor=3)
    assert outcome(books.read()) == ({"bus relay_vanished": 2}, [])


def test_sparse_sessions_of_any_length_are_walked(database: Database) -> None:
    books = (
        Books(database.url)
        .relay(A)
        .rows(ONE, [0, 2**53 - 1])
        .rows(TWO, [*range(100), *range(101, 200)], first=2)
    )
    assert outcome(books.read())[1] == [(1, 2**53 - 2), (100, 100)]


def test_a_hole_is_found_wherever_it_lies(books: Books) -> None:
    books.relay(A)
    sessions = [(length, missing) for length in (1, 31, 32, 33, 64, 65) for missing in range(length)]
    for at, (length, missing) in enumerate(sessions):
        session = f"{at:032x}"
        books.rows(session, [seq for seq in range(length) if seq != missing]).ended(session, length)
    account = books.read()
    assert account["unexplained"] == len(sessions)
    assert [(hole["first"], hole["last"]) for hole in account["holes"]] == [
        (missing, missing) for _, missing in sessions[:100]
    ]
    assert account["rows"] == sum(length - 1 for length, _ in sessions)


def test_text_is_compared_by_its_bytes(cluster: Cluster) -> None:
    # In Danish "aa" comes behind "z", and so does what begins with it.
    books = Books(cluster.database("danish", "LOCALE_PROVIDER icu ICU_LOCALE 'da' TEMPLATE template0").url)
    aa, ab, z = "aa" * 16, "ab" * 16, "f" * 32
    for at, session in enumerate([z, aa, ab]):
        books.rows(session, [0], first=at).lost(session, 1, 2).ended(session, 4)
    books.relay(A).gap(A, 3, 5)
    assert outcome(books.read()) == ({"browser r": 6, "bus gone": 3}, [])


def test_an_account_is_of_one_moment_beside_a_writer(database: Database) -> None:
    books = Books(database.url).relay(A).rows(ONE, range(3))
    with reading(books.url) as rows:
        before = list(rows(SESSIONS))
        books.rows(ONE, [5]).ended(TWO, 9)
        assert books.url
        assert list(rows(SESSIONS)) == before
    assert books.read()["unexplained"] == 11


def test_an_account_cannot_write(database: Database) -> None:
    with pytest.raises(NoBooksError, match=r"read.?only"), reading(Books(database.url).url) as rows:
        rows("DELETE FROM atomwire_updates")


def test_books_of_a_later_version_are_left_alone(database: Database) -> None:
    books = Books(database.url)
    assert books.url
    database.execute("UPDATE atomwire_schema SET version = 2")
    with pytest.raises(NoBooksError, match="the books have version 2; this program reads version 1"):
        books.read()


def test_a_url_that_cannot_be_read_is_not_quoted() -> None:
    with pytest.raises(NoBooksError, match=r"^the database cannot be read: not a database URL$"):
        read_account("postgresql://user:a-pass%zzword@127.0.0.1/db")
