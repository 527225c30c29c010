"""`atomwire.storage`: what is stored together, once, and what a database's errors mean."""

from __future__ import annotations

import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from conftest import DEADLINE, OTHER_RELAY, RELAY, SESSION, Database, eventually, update
from msgspec.structs import replace

from atomwire import Update
from atomwire.bus.codec import decode
from atomwire.storage import database as storage
from atomwire.storage import schema
from atomwire.storage.books import Books
from atomwire.storage.database import connect
from atomwire.storage.entries import Gap, Known, Position
from atomwire.storage.errors import Refused, StorageError, Unavailable, Unusable
from atomwire.storage.rows import set_apart, write_updates
from atomwire.storage.url import UrlError, parse_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from conftest import Cluster, ClusterDatabase


def an_update(seq: int = 0, value: str = "null", **changes: Any) -> Update:
    payload = json.dumps(update(seq, value="HERE", **changes)).replace('"HERE"', value)
    decoded = decode([b"atom-updates", payload.encode()])
    assert isinstance(decoded, Update)
    return decoded


def write(database: storage.Database, *updates: Update) -> int:
    with database.transaction() as transaction:
        return write_updates(transaction, updates)


@pytest.fixture
def store(database: Database) -> Iterator[storage.Database]:
    with closing(connect(database.url)) as store:
        yield store


@pytest.fixture
def server(cluster: Cluster) -> ClusterDatabase:
    return cluster.database(f"test_{os.urandom(8).hex()}")


def test_an_update_is_stored_once(store: storage.Database, database: Database) -> None:
    first, second = an_update(0, "0"), an_update(1, "1")
    assert write(store, first, second, first) == 2
    assert write(store, replace(first, value_json="2"), second) == 0
    assert write(store, second, an_update(2, "2"), replace(first, session="f" * 32)) == 2
    assert database.rows(
        "SELECT session, seq, CAST(value AS TEXT) FROM atomwire_updates ORDER BY session, seq"
    ) == [(SESSION, 0, "0"), (SESSION, 1, "1"), (SESSION, 2, "2"), ("f" * 32, 0, "0")]


@pytest.mark.parametrize(
    "value",
    [
        '"\\u0000"',
        '"\\ud800 \\\\ud800"',
        "1" * 4000,
        "-0.10E+400",
        '{"b":1,  "a":[NULL],"b":"\\"{},\\\\"}'.replace("NULL", "null"),
        '"naïve 寿司 \U0001f363 \u2028"',
        '"' + "x" * 250_000 + '"',
        "[" * 500 + "]" * 500,
    ],
)
def test_a_value_is_kept_as_it_is(value: str, store: storage.Database, database: Database) -> None:
    assert write(store, an_update(0, value), an_update(1)) == 2
    assert database.rows("SELECT CAST(value AS TEXT) FROM atomwire_updates WHERE seq = 0") == [(value,)]


def test_a_transaction_is_stored_as_a_whole_or_not_at_all(
    store: storage.Database, database: Database
) -> None:
    def attempt(*, fails: bool) -> None:
        with store.transaction() as transaction:
            books = Books(transaction, "mine")
            books.add_relay(RELAY, "atom-updates")
            write_updates(transaction, [an_update()])
            books.move(Position(RELAY, 0, 7, {"atom-updates": 1, "atom-updates.cart": 5}))
            if fails:
                raise KeyError

    def counts() -> list[int]:
        return [database.count(f"atomwire_{table}") for table in ("updates", "relays", "topics")]

    with pytest.raises(KeyError):
        attempt(fails=True)
    assert counts() == [0, 0, 0]
    attempt(fails=False)
    assert counts() == [1, 1, 2]
    assert database.rows("SELECT position FROM atomwire_relays") == [(7,)]


def test_a_handler_has_the_connection_of_the_driver(store: storage.Database, database: Database) -> None:
    database.execute("CREATE TABLE sums (sum INTEGER)")
    with pytest.raises(KeyError), store.transaction() as transaction:  # noqa: PT012 - all of it
        transaction.connection.execute("INSERT INTO sums VALUES (1)")
        raise KeyError
    with store.transaction() as transaction:
        Books(transaction, "mine").add_relay(RELAY, "atom-updates")
        assert transaction.connection.execute("SELECT count(*) FROM atomwire_relays").fetchone() == (1,)
        transaction.connection.execute("INSERT INTO sums VALUES (2)")
        Books(transaction, "mine").move(Position(RELAY, 0, 1, {}))
    assert database.rows("SELECT sum, position FROM sums, atomwire_relays") == [(2, 1)]


def test_a_handler_may_copy(server: ClusterDatabase) -> None:
    server.execute("CREATE TABLE sums (sum INTEGER)")
    with closing(connect(server.url)) as store, store.transaction() as transaction:
        Books(transaction, "mine").add_relay(RELAY, "atom-updates")
        with transaction.connection.cursor().copy("COPY sums FROM STDIN") as copy:
            copy.write_row((3,))
    assert server.rows("SELECT sum FROM sums") == [(3,)]


def test_an_error_that_a_handler_keeps_to_itself_undoes_all(server: ClusterDatabase) -> None:
    with closing(connect(server.url)) as store:
        with pytest.raises(Unavailable), store.transaction() as transaction:  # noqa: PT012 - all of it
            write_updates(transaction, [an_update()])
            with pytest.raises(Exception, match="nowhere"):
                transaction.connection.execute("SELECT * FROM nowhere")
        assert server.count() == 0
        assert write(store, an_update()) == 1


REFUSE = {
    "sqlite": [
        (
            "CREATE TRIGGER refuse BEFORE INSERT ON atomwire_updates WHEN NEW.key = 'no'"
            " BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    ],
    "postgresql": [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$",
        (
            "CREATE TRIGGER refuse BEFORE INSERT ON atomwire_updates FOR EACH ROW"
            " WHEN (NEW.key = 'no') EXECUTE FUNCTION refuse()"
        ),
    ],
}


@pytest.mark.parametrize("refused", [[], [0], [299], [7, 8, 200], range(300)])
def test_what_is_refused_is_found_by_halving(
    refused: Sequence[int], store: storage.Database, database: Database
) -> None:
    with store.transaction():
        pass
    for statement in REFUSE[database.url.partition(":")[0]]:
        database.execute(statement)
    updates = [an_update(seq, key="no" if seq in refused else "yes") for seq in range(300)]
    sizes = []
    with store.transaction() as transaction:
        new = 0

        def handle(some: Sequence[Update]) -> None:
            nonlocal new
            sizes.append(len(some))
            new += write_updates(transaction, some)

        apart = set_apart(store.savepoint, updates, handle)
        for one, _ in apart:
            Books(transaction, "mine").refuse(one.session, one.seq)
    assert [one.seq for one, _ in apart] == list(refused)
    assert all("no" in str(refusal) for _, refusal in apart)
    assert new == database.count() == 300 - len(refused)
    assert len(sizes) <= 1 + 2 * 9 * len(refused)  # 2^9 is more than 300
    assert database.rows(
        "SELECT first_seq, last_seq, place, reason FROM atomwire_losses ORDER BY first_seq"
    ) == [(seq, seq, "consumer", "refused") for seq in refused]


def test_two_that_start_at_once_both_come_up(database: Database) -> None:
    at_once = threading.Barrier(4)

    def start(seq: int) -> int:
        at_once.wait()
        with closing(connect(database.url)) as store:
            return write(store, an_update(seq))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(start, range(4))) == [1, 1, 1, 1]
    assert database.count() == 4
    assert database.rows("SELECT version FROM atomwire_schema") == [(len(schema.MIGRATIONS),)]


def test_an_earlier_schema_is_brought_up_to_date(
    store: storage.Database, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, an_update())
    store.close()
    later = ("ALTER TABLE atomwire_updates ADD COLUMN colour {text}",)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, later))
    with store.transaction():
        pass
    assert database.rows("SELECT seq, colour FROM atomwire_updates") == [(0, None)]
    assert database.rows("SELECT version FROM atomwire_schema") == [(2,)]


def test_a_migration_that_fails_leaves_the_schema_as_it_was(
    store: storage.Database, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, an_update())
    store.close()
    later = ("ALTER TABLE atomwire_updates ADD COLUMN colour {text}", "nonsense")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, later))
    for _ in range(2):
        with pytest.raises(Unusable, match="nonsense"), store.transaction():
            pass
    assert database.rows("SELECT version FROM atomwire_schema") == [(1,)]


def test_a_later_schema_is_left_alone(store: storage.Database, database: Database) -> None:
    write(store, an_update())
    store.close()
    database.execute("UPDATE atomwire_schema SET version = 7")
    with pytest.raises(Unusable, match=r"has version 7, and this program knows 1"):
        write(store, an_update(1))
    assert database.count() == 1


def test_an_applications_own_tables_are_no_matter(store: storage.Database, database: Database) -> None:
    for table in ("sessions", "relays", "losses"):
        database.execute(f"CREATE TABLE {table} (id INTEGER)")
    assert write(store, an_update()) == 1


def test_text_is_in_the_order_of_its_bytes(cluster: Cluster) -> None:
    danish = cluster.database(
        "danish_storage", "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'da' LOCALE 'C.UTF-8'"
    )
    topics = ["B", "aa", "b", "z", "å"]
    assert danish.rows(f"SELECT t FROM unnest(ARRAY{topics}) AS t ORDER BY t") != [(t,) for t in topics]
    with closing(connect(danish.url)) as store, store.transaction() as transaction:
        books = Books(transaction, "mine")
        for topic in reversed(topics):
            books.add_gap(Gap(RELAY, topic, 0, 0, "gone"))
    assert danish.rows("SELECT topic FROM atomwire_gaps ORDER BY topic") == [(topic,) for topic in topics]
    columns = danish.rows(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_name LIKE 'atomwire%' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"
    )
    assert columns == []


def test_the_books_say_where_to_go_on(store: storage.Database, database: Database) -> None:
    def known(consumer: str = "mine") -> Known:
        with store.transaction() as transaction:
            return Books(transaction, consumer).known()

    assert known() == Known()
    with store.transaction() as transaction:
        books = Books(transaction, "mine")
        assert books.add_relay(RELAY, "atom-updates") == 1
        assert books.add_relay(RELAY, "atom-updates") == 0
        assert books.move(Position(RELAY, 0, 5, {"atom-updates": 3, "atomwire.ledger": 2})) == 1
    assert known("others") == Known()
    topics = known().topics
    assert known() == Known(RELAY, 5, is_first=True, topics=topics)
    assert sorted(topics) == [("atom-updates", 3), ("atomwire.ledger", 2)]
    with store.transaction() as transaction:
        books = Books(transaction, "mine")
        assert books.vanished(RELAY) == 1
        assert books.vanished(RELAY) == 0
        assert books.add_relay(OTHER_RELAY, "atom-updates") == 1
        Books(transaction, "others").add_relay(RELAY, "")
    assert known() == Known(OTHER_RELAY, 0, is_first=False)
    with store.transaction() as transaction:  # the first answers again
        books = Books(transaction, "mine")
        books.vanished(OTHER_RELAY)
        assert books.add_relay(RELAY, "atom-updates") == 1
    assert known() == Known(RELAY, 0, is_first=False, topics=topics)
    with store.transaction() as transaction:
        assert Books(transaction, "mine").drained(RELAY) == 1
    assert database.rows(
        "SELECT consumer, ordinal, relay_id, topic, ended FROM atomwire_relays ORDER BY consumer, ordinal"
    ) == [
        ("mine", 1, RELAY, "atom-updates", "drained"),
        ("mine", 2, OTHER_RELAY, "atom-updates", "vanished"),
        ("others", 1, RELAY, "", None),
    ]


def test_who_was_overtaken_by_another_moves_nothing(store: storage.Database) -> None:
    with store.transaction() as transaction:
        books = Books(transaction, "mine")
        books.add_relay(RELAY, "")
        assert books.move(Position(RELAY, 0, 5, {})) == 1
    with store.transaction() as transaction:
        assert Books(transaction, "mine").move(Position(RELAY, 0, 3, {})) == 0
    with store.transaction() as transaction:
        books = Books(transaction, "mine")
        assert books.known() == Known(RELAY, 5, is_first=True)
        assert books.move(Position(RELAY, 5, 6, {})) == 1


def test_a_relay_that_is_back_is_read_from_its_beginning(store: storage.Database) -> None:
    with store.transaction() as transaction:
        books = Books(transaction, "mine")
        books.add_relay(RELAY, "")
        books.move(Position(RELAY, 0, 5, {}))
        books.vanished(RELAY)
        assert books.add_relay(RELAY, "") == 1
        assert books.known() == Known(RELAY, 0, is_first=True)
        assert books.move(Position(RELAY, 0, 3, {})) == 1


def test_a_silence_is_noted_and_over(store: storage.Database, database: Database) -> None:
    silent = "SELECT consumer FROM atomwire_relays WHERE silent_since IS NOT NULL"
    with store.transaction() as transaction:
        for consumer in ("mine", "others"):
            Books(transaction, consumer).add_relay(RELAY, "")
        Books(transaction, "mine").silent(RELAY, is_silent=True)
    assert database.rows(silent) == [("mine",)]
    with store.transaction() as transaction:
        Books(transaction, "mine").silent(RELAY, is_silent=False)
    assert database.rows(silent) == []


def test_what_is_locked_is_unavailable(store: storage.Database, database: Database) -> None:
    write(store, an_update())
    with closing(database.connect()) as other:
        if "sqlite" in database.url:
            other.execute("BEGIN EXCLUSIVE")
        else:
            other.execute("BEGIN")
            other.execute("LOCK TABLE atomwire_updates IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Unavailable, match="lock"):
            write(store, an_update(1))
        other.execute("ROLLBACK")
    assert write(store, an_update(1)) == 1


def test_a_server_that_is_away_is_unavailable(server: ClusterDatabase) -> None:
    with closing(connect(server.url)) as store:
        write(store, an_update())
        with server.away(), pytest.raises(Unavailable):
            write(store, an_update(1))
        assert write(store, an_update(1)) == 1


def test_a_server_that_is_killed_amid_a_transaction_has_stored_none_of_it(server: ClusterDatabase) -> None:
    with closing(connect(server.url)) as store:
        with pytest.raises(Unavailable), store.transaction() as transaction:  # noqa: PT012 - all of it
            write_updates(transaction, [an_update()])
            ((process,),) = transaction.rows("SELECT pg_backend_pid()")
            server.execute(f"SELECT pg_terminate_backend({process})")
            Books(transaction, "mine").move(Position(RELAY, 0, 1, {}))
        assert server.count() == 0
        assert write(store, an_update()) == 1


def test_a_server_that_stands_still_is_unavailable(server: ClusterDatabase) -> None:
    with closing(connect(server.url)) as store:
        with store.transaction() as transaction:
            ((process,),) = transaction.rows("SELECT pg_backend_pid()")
        os.kill(process, signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable):
                write(store, an_update())
        finally:
            os.kill(process, signal.SIGCONT)
        assert write(store, an_update()) == 1


def test_a_statement_of_a_handler_may_not_take_for_ever(server: ClusterDatabase) -> None:
    with (
        closing(connect(server.url)) as store,
        pytest.raises(Unavailable, match="statement timeout"),
        store.transaction() as transaction,
    ):
        transaction.connection.execute("SELECT pg_sleep(60)")


def test_what_the_url_says_wins(server: ClusterDatabase) -> None:
    url = f"{server.url}?options=-c%20statement_timeout%3D61s"
    with closing(connect(url)) as store, store.transaction() as transaction:
        assert transaction.rows("SHOW statement_timeout") == [("61s",)]
        assert transaction.rows("SHOW lock_timeout") == [("4s",)]


def test_what_waits_for_a_lock_can_be_interrupted(server: ClusterDatabase) -> None:
    patient = f"{server.url}?options=-c%20lock_timeout%3D0%20-c%20statement_timeout%3D0"
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
    with (
        closing(connect(patient)) as store,
        closing(server.connect()) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        write(store, an_update())
        other.execute("BEGIN")
        other.execute("LOCK TABLE atomwire_updates IN ACCESS EXCLUSIVE MODE")
        blocked = pool.submit(write, store, an_update(1))
        try:
            eventually(lambda: server.rows(waiting))
            store.interrupt()
            with pytest.raises(Unavailable):
                blocked.result(DEADLINE)
        finally:
            other.execute("ROLLBACK")
        assert write(store, an_update(1)) == 1


def test_sqlite_can_be_interrupted(sqlite: Database) -> None:
    endless = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n"
    with closing(connect(sqlite.url)) as store, ThreadPoolExecutor(1) as pool:

        def run() -> None:
            with store.transaction() as transaction:
                transaction.rows(endless)

        running = pool.submit(run)

        def interrupted() -> bool:
            store.interrupt()
            return running.done()

        eventually(interrupted)
        with pytest.raises(Unavailable, match="interrupted"):
            running.result()
        assert write(store, an_update()) == 1


def test_an_interrupt_of_nothing_is_nothing(store: storage.Database) -> None:
    store.interrupt()
    write(store, an_update())
    store.close()
    store.interrupt()
    assert write(store, an_update(1)) == 1


@pytest.mark.parametrize(
    ("meaning", "states"),
    [
        (Unavailable, ["40001", "40P01", "53100", "53300", "55P03", "57014", "57P01", "57P03", "58030"]),
        (Unavailable, ["08006", "25006"]),
        (Refused, ["22P02", "22P05", "23502", "23505", "23514", "44000", "54001", "P0001"]),
        (Unusable, ["0A000", "28000", "28P01", "3D000", "3F000", "42501", "42P01", "42703"]),
    ],
)
def test_an_sqlstate_says_what_to_do(
    meaning: type[StorageError], states: list[str], server: ClusterDatabase
) -> None:
    with closing(connect(server.url)) as store:
        for state in states:
            with pytest.raises(meaning, match="the reason"), store.transaction() as transaction:
                transaction.execute(
                    f"DO $$ BEGIN RAISE 'the reason' USING ERRCODE = '{state}', DETAIL = 'values'; END $$"
                )


def test_a_refusal_tells_no_values(store: storage.Database, database: Database) -> None:
    with pytest.raises(Refused) as refusal, store.transaction() as transaction:
        transaction.execute("INSERT INTO atomwire_pruned VALUES ('row', 'secret', NULL)")
    assert "updates" in str(refusal.value)
    assert "secret" not in str(refusal.value)
    assert database.count("atomwire_pruned") == 0


@pytest.mark.parametrize("content", [b"no database " * 1000, None])
def test_a_file_that_is_no_database_is_unusable(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with closing(connect(f"sqlite:///{path}")) as store, pytest.raises(Unusable), store.transaction():
        pass


def test_a_table_that_is_gone_is_unusable(store: storage.Database, database: Database) -> None:
    write(store, an_update())
    database.execute("DROP TABLE atomwire_updates")
    with pytest.raises(Unusable, match="atomwire_updates"):
        write(store, an_update(1))


def test_a_server_that_lets_nobody_in_is_told_from_one_that_is_away(server: ClusterDatabase) -> None:
    server.execute("CREATE ROLE guest LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    guest = server.url.replace("postgres:", "guest:")
    name = server.url.rpartition("/")[2]

    def problem(url: str) -> StorageError:
        with closing(connect(url)) as store, pytest.raises(StorageError) as raised, store.transaction():
            pass
        assert "a-password" not in str(raised.value)
        assert "\n" not in str(raised.value)
        return raised.value

    assert isinstance(problem(f"{server.url}_elsewhere"), Unusable)
    assert isinstance(problem(server.url.replace("postgres:", "nobody:")), Unusable)
    assert isinstance(problem(guest), Unusable)  # may not create tables
    server.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    assert isinstance(problem(guest), Unavailable)
    assert isinstance(problem("postgresql://postgres:a-password@127.0.0.1:1/db"), Unavailable)
    assert isinstance(problem("postgresql://postgres:a-password@127.0.0.1:1,127.0.0.1:2/db"), Unavailable)


def test_a_role_needs_no_right_to_create_what_is_there(server: ClusterDatabase) -> None:
    with closing(connect(server.url)) as store:
        write(store, an_update())
    server.execute(
        "CREATE ROLE writer LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC;"
        " GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO writer"
    )
    with closing(connect(server.url.replace("postgres:", "writer:"))) as store:
        assert write(store, an_update(1)) == 1


def test_a_database_that_cannot_hold_any_text_is_unusable(cluster: Cluster) -> None:
    latin = cluster.database("latin", "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with closing(connect(latin.url)) as store, pytest.raises(Unusable, match="UTF8"), store.transaction():
        pass


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "postgresql://user:a-password@host:5432/db?sslmode=require&password=x",
            "postgresql://user@host:5432/db",
        ),
        ("postgres://host", "postgresql://host/"),
        ("postgresql:///db?host=/run/postgresql", "postgresql:///db"),
        ("postgresql://user:a%40b@[::1]:5432,other/db", "postgresql://user@[::1]:5432,other/db"),
        ("sqlite:///file.sqlite", "sqlite:///file.sqlite"),
    ],
)
def test_a_url_is_shown_without_its_password(text: str, shown: str) -> None:
    url = parse_url(text)
    assert str(url) == shown
    assert "password" not in repr(url)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://user:a-password@host/db", "neither sqlite:// nor postgresql://"),
        ("postgresql+psycopg://user@host/db", "neither sqlite:// nor postgresql://"),
        ("postgresql://user:a/password@host/db", "not a database URL"),
        ("postgresql://user:a@password@host/db", "not a database URL"),
        ("postgresql://user:a#password@host/db", "not a database URL"),
        ("postgresql://user:a?password@host/db", "not a database URL"),
        ("postgresql://host:port/db", "not a database URL"),
        ("postgresql://host/db?nonsense=1", "not a database URL"),
        ("postgresql://host/%zz", "not a database URL"),
        ("sqlite://file", "not a database URL"),
        ("sqlite:///file?mode=ro", "not a database URL"),
        ("sqlite:///", "names no SQLite file"),
        ("sqlite://", "names no SQLite file"),
        ("sqlite:///:memory:", "names no SQLite file"),
        ("sqlite:////nowhere/at/all", "the SQLite file's directory does not exist"),
    ],
)
def test_a_url_that_names_no_database_is_not_quoted(text: str, problem: str) -> None:
    with pytest.raises(UrlError) as raised:
        parse_url(text)
    assert str(raised.value) == problem
