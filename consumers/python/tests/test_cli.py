"""`atomwire-consumer`: its settings, its commands, and what it tells operators."""

from __future__ import annotations

import json
import re
import socket
import urllib.error
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from conftest import SESSION, eventually, ledger, start, update

from atomwire import LEDGER_TOPIC

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Database, Process, Relay


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with closing(error):
            return error.code, error.read().decode()


def metrics(port: int) -> dict[str, float]:
    lines = [line for line in get(port, "/metrics")[1].splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.fixture
def port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


def test_a_file_has_settings_too(
    relay: Relay, run: Callable[..., Process], sqlite: Database, tmp_path: Path
) -> None:
    path = tmp_path / "consumer.toml"
    path.write_text(f'replay = "{relay.endpoint}"\nconsumer = "file"\ntopic = "orders"\n')
    environ = {"ATOMWIRE_CONFIG": str(path), "DATABASE_URL": sqlite.url, "ATOMWIRE_TOPIC": "menu"}
    process = run("-m", "atomwire", "--consumer", "flag", **environ)
    process.await_log("reading")
    relay.await_request(consumer="flag", topics=["menu", LEDGER_TOPIC])
    process.stop()


def test_all_that_is_wrong_with_a_file_is_said_at_once(run: Callable[..., Process], tmp_path: Path) -> None:
    path = tmp_path / "consumer.toml"
    path.write_text('consumer = 1\npassword = "sesame"\nadmin = "nowhere"\n')
    process = run("-m", "atomwire", "check", "--config", str(path))
    assert process.wait() == 64
    assert process.lines == [
        "atomwire-consumer: --config: unknown key password\n",
        "atomwire-consumer: --consumer (ATOMWIRE_CONSUMER): not a string\n",
        "atomwire-consumer: --admin (ATOMWIRE_ADMIN): not host:port (0 to 65535)\n",
    ]
    for text, problem in (("a = = sesame", "not TOML"), (None, "No such file or directory")):
        path.unlink()
        if text is not None:
            path.write_text(text)
        process = run("-m", "atomwire", "check", "--config", str(path))
        assert process.wait() == 64
        assert process.lines == [f"atomwire-consumer: --config: {problem}\n"]
        path.touch()


def test_a_check_says_what_it_would_run_with_and_touches_nothing(
    run: Callable[..., Process], sqlite: Database
) -> None:
    process = run("-m", "atomwire", "check", "--admin", "[::1]:9465", DATABASE_URL=sqlite.url)
    assert process.wait() == 0
    assert json.loads("".join(process.lines)) == {
        "endpoint": "tcp://127.0.0.1:5556",
        "consumer": "rows",
        "topic": "atom-updates",
        "database": sqlite.url,
        "admin": "::1:9465",
    }
    process = run("-m", "atomwire", "account", DATABASE_URL=sqlite.url)
    assert process.wait() == 64  # there is no such file


def test_migrate_makes_the_tables(run: Callable[..., Process], database: Database) -> None:
    for _ in range(2):
        process = run("-m", "atomwire", "migrate", DATABASE_URL=database.url)
        assert process.wait() == 0
        assert process.lines == ["the tables have version 1\n"]
    assert database.count() == 0


def test_prune_removes_what_is_old(relay: Relay, run: Callable[..., Process], database: Database) -> None:
    consumer = start(run, relay, database)
    relay.publish_all(update(seq) for seq in range(4))
    relay.publish(ledger(end=True, next_seq=4, reason="closed"), LEDGER_TOPIC)
    eventually(lambda: database.rows("SELECT end_reason FROM atomwire_sessions"))
    consumer.stop()
    for age, told, left in (("1h", "pruned 0 updates\n", 4), ("0s", "pruned 4 updates\n", 0)):
        process = run("-m", "atomwire", "prune", "--older-than", age, DATABASE_URL=database.url)
        assert process.wait() == 0
        assert process.lines == [told]
        assert database.count() == left
    process = run("-m", "atomwire", "account", DATABASE_URL=database.url)
    assert process.wait() == 0
    for wrong, problem in (
        (["--older-than", "a week"], "not a number followed by s, m, h or d"),
        ([], "is missing"),
    ):
        process = run("-m", "atomwire", "prune", *wrong, DATABASE_URL=database.url)
        assert process.wait() == 64
        assert process.lines == [f"atomwire-consumer: --older-than (ATOMWIRE_OLDER_THAN): {problem}\n"]


def test_operators_are_told(relay: Relay, run: Callable[..., Process], database: Database, port: int) -> None:
    consumer = start(run, relay, database, ATOMWIRE_ADMIN=f"127.0.0.1:{port}")
    eventually(lambda: get(port, "/ready")[0] == 200)
    relay.publish_all([update(0), update(0), update(3, value=None), b"{}"])
    relay.publish(ledger(lost=[{"first": 1, "last": 2, "reason": "queue_full"}]), LEDGER_TOPIC)
    eventually(lambda: metrics(port)["atomwire_consumer_browser_lost_total"] == 2)
    found = metrics(port)
    expected = {
        'updates_total{outcome="stored"}': 2,
        'updates_total{outcome="duplicates"}': 1,
        'updates_total{outcome="refused"}': 0,
        'ledger_total{outcome="stored"}': 1,
        'gaps_total{reason="before"}': 0,
        'gaps_total{reason="gone"}': 2,
        'gaps_total{reason="malformed"}': 1,
        "retries_total": 0,
        "lag_messages": 0,
        "lag_seconds": 0,
        "ready": 1,
    }
    assert {name: found[f"atomwire_consumer_{name}"] for name in expected} == expected
    assert found["atomwire_consumer_last_commit_seconds"] >= found["atomwire_consumer_start_time_seconds"] > 0
    assert get(port, "/health") == (200, "ok\n")
    assert get(port, "/ready") == (200, '{"ready": true, "problems": []}\n')
    assert get(port, "/") == (404, "/health, /ready or /metrics\n")
    text = get(port, "/metrics")[1]
    assert all(re.fullmatch(r"(# (HELP|TYPE) |atomwire_consumer_)[ -~]+", line) for line in text.splitlines())
    consumer.stop()


def test_a_relay_that_says_nothing_is_noted(
    relay: Relay, run: Callable[..., Process], sqlite: Database, port: int
) -> None:
    consumer = start(run, relay, sqlite, ATOMWIRE_ADMIN=f"127.0.0.1:{port}")
    relay.publish(update(0))
    eventually(sqlite.count)
    silent = "SELECT silent_since IS NOT NULL FROM atomwire_relays"
    assert sqlite.rows(silent) == [(0,)]
    relay.close()
    eventually(lambda: sqlite.rows(silent) == [(1,)])
    status, body = get(port, "/ready")
    assert (status, json.loads(body)["problems"]) == (503, ["the relay does not answer"])
    with closing(type(relay)(relay.endpoint)) as back:
        back.publish_all([update(0), update(1)])
        eventually(lambda: sqlite.count() == 2)
        eventually(lambda: sqlite.rows(silent) == [(0,)])
        assert get(port, "/ready")[0] == 200
        consumer.stop()


def test_who_starts_again_is_ready_without_anything_new(
    relay: Relay, run: Callable[..., Process], sqlite: Database, port: int
) -> None:
    relay.publish(update(0))
    start(run, relay, sqlite)
    eventually(sqlite.count)
    sqlite.execute("UPDATE atomwire_relays SET silent_since = '2026-11-21T02:30:44.123456Z'")
    again = start(run, relay, sqlite, ATOMWIRE_ADMIN=f"127.0.0.1:{port}")
    eventually(lambda: get(port, "/ready")[0] == 200)
    assert sqlite.rows("SELECT silent_since FROM atomwire_relays") == [(None,)]
    assert again.stop()["updates"]["received"] == 0


def test_a_port_that_is_taken_is_a_wrong_setting(run: Callable[..., Process], sqlite: Database) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        process = run("-m", "atomwire", "--admin", address, DATABASE_URL=sqlite.url)
        assert process.wait() == 64
    assert process.lines[-1] == "atomwire-consumer: --admin (ATOMWIRE_ADMIN): Address already in use\n"


def test_values_of_sessions_are_in_no_metric(
    relay: Relay, run: Callable[..., Process], sqlite: Database, port: int
) -> None:
    consumer = start(run, relay, sqlite, ATOMWIRE_ADMIN=f"127.0.0.1:{port}")
    relay.publish(update(0, key="a-key", value="a-value"))
    eventually(sqlite.count)
    told: Any = get(port, "/metrics")[1] + "".join(consumer.lines)
    assert not any(secret in told for secret in ("a-key", "a-value", SESSION))
    consumer.stop()
