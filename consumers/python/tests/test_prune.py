"""`prune`: what is old and accounted for goes, is counted, and nothing else changes."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from conftest import OTHER_RELAY, RELAY, SESSION
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atomwire.storage import prune as pruning
from atomwire.storage.books import as_text
from atomwire.storage.database import connect
from atomwire.storage.prune import prune

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Database as Outside

    from atomwire.storage.database import Database

DAY = timedelta(days=1)
OLD = datetime(2026, 1, 1, tzinfo=timezone.utc)
OTHER = "f" * 32
A, B = "a" * 16, "b" * 16


@dataclass
class Books:
    """Rows and losses written by hand: the old ones before the young."""

    database: Database

    def relay(self, ordinal: int, relay: str, ended: str | None, *, old: bool = True) -> Books:
        """Write a relay with a gap and a topic."""
        when = self._when(0, old=old)
        self._write(
            f"INSERT INTO atomwire_relays VALUES ({_marks(8)})",
            [("rows", ordinal, relay, "t", 0, ended, None, when)],
        )
        self._write(
            f"INSERT INTO atomwire_gaps VALUES ({_marks(7)})", [("rows", relay, "t", 3, 4, "gone", when)]
        )
        return self._write(
            f"INSERT INTO atomwire_topics VALUES ({_marks(5)})", [("rows", relay, "t", 9, when)]
        )

    def rows(self, *seqs: int, session: str = SESSION, relay: str = RELAY, old: bool = True) -> Books:
        rows = [
            (session, seq, "k", self._when(0, old=old), "0" * 32, "t", relay, seq, self._when(0, old=old))
            for seq in seqs
        ]
        columns = "(session, seq, key, time, trace_id, topic, relay_id, relay_seq, stored_at)"
        return self._write(f"INSERT INTO atomwire_updates {columns} VALUES ({_marks(9)})", rows)

    def lost(self, first: int, last: int, reason: str, at: int = 0, *, old: bool = True) -> Books:
        row = (SESSION, first, last, "browser", reason, self._when(at, old=old))
        return self._write(f"INSERT INTO atomwire_losses VALUES ({_marks(6)}) ON CONFLICT DO NOTHING", [row])

    def session(self, next_seq: int, end_reason: str | None = None) -> Books:
        row = (SESSION, next_seq, end_reason, RELAY, self._when(0, old=True))
        columns = "(session, next_seq, end_reason, relay_id, stored_at)"
        return self._write(f"INSERT INTO atomwire_sessions {columns} VALUES ({_marks(5)})", [row])

    def started(self, *numbers: int) -> Books:
        rows = [(SESSION, RELAY, number, self._when(0, old=True)) for number in numbers]
        return self._write(f"INSERT INTO atomwire_session_starts VALUES ({_marks(4)})", rows)

    def read(self, statement: str) -> list[tuple[Any, ...]]:
        with self.database.transaction() as transaction:
            return transaction.rows(statement)

    def left(self) -> list[int]:
        return [seq for (seq,) in self.read("SELECT seq FROM atomwire_updates ORDER BY session, seq")]

    def floor(self) -> int:
        rows = self.read(f"SELECT floor FROM atomwire_sessions WHERE session = '{SESSION}'")
        return rows[0][0] if rows else 0

    def clear(self) -> Books:
        for table in ("updates", "losses", "sessions", "session_starts", "pruned"):
            self._write(f"DELETE FROM atomwire_{table}", [()])
        return self

    @staticmethod
    def _when(at: int, *, old: bool) -> str:
        return as_text((OLD if old else datetime.now(timezone.utc)) + timedelta(seconds=at))

    def _write(self, statement: str, rows: list[tuple[Any, ...]]) -> Books:
        with self.database.transaction() as transaction:
            transaction.execute_many(statement, rows)
        return self


def _marks(count: int) -> str:
    return ", ".join(["%s"] * count)


@pytest.fixture
def books(database: Outside) -> Iterator[Books]:
    with closing(connect(database.url)) as store:
        yield Books(store)


def test_a_session_that_has_ended_goes_as_a_whole(books: Books) -> None:
    books.rows(0, 1, 2, 5).lost(3, 4, "queue_full").session(6, "closed").started(0, 3, 6)
    books.rows(0, 1, session=OTHER, old=False)
    assert prune(books.database, DAY) == {("row", ""): 4, ("browser", "queue_full"): 2}
    assert books.left() == [0, 1]
    assert books.floor() == 6
    assert books.read("SELECT place, reason, updates FROM atomwire_pruned ORDER BY updates") == [
        ("browser", "queue_full", 2),
        ("row", "", 4),
    ]
    for table in ("losses", "session_starts"):
        assert books.read(f"SELECT count(*) FROM atomwire_{table}") == [(0,)]
    assert prune(books.database, DAY) == {}


def test_the_newest_row_of_a_session_that_goes_on_stays(books: Books) -> None:
    books.rows(*range(5))
    assert prune(books.database, DAY) == {("row", ""): 4}
    assert books.left() == [4]
    assert books.floor() == 4
    books.rows(5, 6)
    assert prune(books.database, DAY) == {("row", ""): 2}
    assert books.read("SELECT place, reason, updates FROM atomwire_pruned") == [("row", "", 6)]


def test_what_is_unexplained_stays_with_the_row_before_it(books: Books) -> None:
    books.rows(0, 1, 2, 4, 5).session(6, "closed").started(1, 2, 3)
    assert prune(books.database, DAY) == {("row", ""): 2}
    assert books.left() == [2, 4, 5]
    assert books.read("SELECT next_seq FROM atomwire_session_starts") == [(3,)]


def test_an_end_that_nobody_has_the_last_of_is_unexplained(books: Books) -> None:
    books.rows(0, 1).session(3, "closed")
    assert prune(books.database, DAY) == {("row", ""): 1}
    assert books.left() == [1]


def test_what_is_young_stays(books: Books) -> None:
    books.rows(0, 1, 2).rows(3, 4, old=False).session(5, "closed")
    assert prune(books.database, DAY) == {("row", ""): 2}
    assert books.left() == [2, 3, 4]
    assert prune(books.database, timedelta(seconds=-60)) == {("row", ""): 3}


def test_many_rows_go_in_many_steps(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "STEP", 10)
    books.rows(*range(95)).session(95, "forgotten")
    assert prune(books.database, DAY) == {("row", ""): 95}
    assert books.left() == []
    assert books.floor() == 95


def test_two_that_prune_at_once_count_once(
    books: Books, database: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "STEP", 10)
    books.rows(*range(200)).session(200, "closed")
    counts: list[Counter[tuple[str, str]]] = []

    def run() -> None:
        with closing(connect(database.url)) as other:
            counts.append(prune(other, DAY))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts, Counter()) == {("row", ""): 200}
    assert books.read("SELECT updates FROM atomwire_pruned") == [(200,)]
    assert books.floor() == 200


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ([], [B]),  # nobody has a row: what the last relay tells is all that may be wanted
        ([A], [A, B]),
        ([B], [B]),
        ([B, A], [A, B]),
        ([OTHER_RELAY], [A, B]),  # of a relay of another consumer's
    ],
)
def test_gaps_of_relays_that_nobody_needs_go(left: list[str], expected: list[str], books: Books) -> None:
    for ordinal, (relay, ended) in enumerate([(A, "drained"), (B, None)], 1):
        books.relay(ordinal, relay, ended)
    for at, relay in enumerate(left):
        books.rows(0, session=f"{at:032x}", relay=relay)
    prune(books.database, DAY)
    for table in ("gaps", "topics"):
        assert books.read(f"SELECT relay_id FROM atomwire_{table} ORDER BY relay_id") == [
            (relay,) for relay in expected
        ]


def test_what_may_explain_a_hole_stays(books: Books) -> None:
    books.relay(1, A, "vanished").relay(2, B, None).rows(3, relay=B)
    prune(books.database, DAY)
    assert books.read("SELECT count(*) FROM atomwire_gaps") == [(2,)]
    books.clear().session(3, "closed")
    prune(books.database, DAY)
    assert books.read("SELECT count(*) FROM atomwire_gaps") == [(2,)]
    books.rows(0, 1, 2, relay=B)
    prune(books.database, DAY)
    assert books.read("SELECT relay_id FROM atomwire_gaps") == [(B,)]


def test_a_young_gap_stays(books: Books) -> None:
    books.relay(1, A, "drained", old=False).relay(2, B, None)
    prune(books.database, DAY)
    assert books.read("SELECT count(*) FROM atomwire_gaps") == [(2,)]


def test_a_consumer_writes_meanwhile(
    books: Books, database: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "STEP", 5)
    books.rows(*range(100))

    def write() -> None:
        with closing(connect(database.url)) as other:
            for seq in range(100, 160):
                Books(other).rows(seq)

    writer = threading.Thread(target=write)
    writer.start()
    pruned = prune(books.database, DAY)["row", ""]
    writer.join()
    pruned += prune(books.database, DAY)["row", ""]
    assert pruned == books.floor() == 159
    assert books.left() == [159]


NUMBERS = st.integers(0, 12)


@given(
    rows=st.dictionaries(NUMBERS, st.booleans()),
    losses=st.lists(st.tuples(NUMBERS, st.integers(0, 4), st.sampled_from("abc"), st.booleans()), max_size=5),
    end=st.none() | st.tuples(NUMBERS, st.booleans()),
    step=st.integers(2, 5),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_as_one_would_number_by_number(
    books: Books,
    rows: dict[int, bool],
    losses: list[tuple[int, int, str, bool]],
    end: tuple[int, bool] | None,
    step: int,
) -> None:
    books.clear()
    books.rows(*(seq for seq, old in rows.items() if old))
    books.rows(*(seq for seq, old in rows.items() if not old), old=False)
    written = {}
    for at, (first, more, reason, old) in enumerate(losses):
        if (first, first + more) not in written:
            written[first, first + more] = (not old, at, reason)
            books.lost(first, first + more, reason, at, old=old)
    if end is not None:
        books.session(end[0], "closed" if end[1] else None)

    def why(seq: int) -> str | None:
        """Return what an old number is, the first loss's reason for one that is lost."""
        if seq in rows:
            return "row" if rows[seq] else None
        calls = [loss for (first, last), loss in written.items() if first <= seq <= last]
        young, _, reason = min(calls, default=(True, 0, ""))
        return None if young else reason

    reached = next(seq for seq in range(100) if why(seq) is None)
    known = max([end[0] if end else 0, *(seq + 1 for seq in rows), *(last + 1 for _, last in written)])
    before = [seq for seq in rows if seq < reached]
    floor = max(before) if before and not (end and end[1] and reached >= known) else reached

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(pruning, "STEP", step)
        counts = prune(books.database, DAY)
    expected = Counter(("row", "") if seq in rows else ("browser", str(why(seq))) for seq in range(floor))
    assert counts == expected
    assert books.floor() == floor
    assert books.left() == sorted(seq for seq in rows if seq >= floor)
    assert sorted(books.read("SELECT first_seq, last_seq FROM atomwire_losses")) == sorted(
        (first, last) for first, last in written if last >= floor
    )
