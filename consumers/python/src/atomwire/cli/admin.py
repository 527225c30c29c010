"""What operators ask of a consumer: `/health`, `/ready`, `/metrics`."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typing_extensions import Self

    from atomwire.ingest.engine import Engine
    from atomwire.ingest.totals import Status

TIMEOUT = 5.0
"""Seconds that a client may take to ask, and to take the answer."""

_GAPS = ("before", "gone", "malformed", "relay_ended")
_OUTCOMES = ("stored", "duplicates", "refused", "unstored")


class Admin:
    """While entered, answers for an engine; without an address, nobody asks."""

    def __init__(self, engine: Engine, address: tuple[str, int] | None) -> None:
        """Listen; raises `OSError` where that cannot be done."""
        self._server = None if address is None else _Server(engine, address)

    def __enter__(self) -> Self:
        if self._server is not None:
            threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, engine: Engine, address: tuple[str, int]) -> None:
        self.engine = engine
        self.started = time.time()
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = TIMEOUT

    def do_GET(self) -> None:
        engine = self.server.engine
        match self.path.partition("?")[0]:
            case "/health":
                self._answer(200, "text/plain; charset=utf-8", "ok\n")
            case "/ready":
                problems = unready(engine.status)
                body = json.dumps({"ready": not problems, "problems": problems})
                self._answer(503 if problems else 200, "application/json", body + "\n")
            case "/metrics":
                text = "".join(metrics(engine, self.server.started))
                self._answer(200, "text/plain; version=0.0.4; charset=utf-8", text)
            case _:
                self._answer(404, "text/plain; charset=utf-8", "/health, /ready or /metrics\n")

    def _answer(self, status: int, kind: str, body: str) -> None:
        encoded = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing: scrapes are many."""


def unready(status: Status) -> list[str]:
    """Say what keeps a consumer from storing."""
    problems: list[str] = []
    if status.is_silent:
        problems.append("the relay does not answer")
    if status.is_stuck:
        problems.append("the database is away")
    return problems


def metrics(engine: Engine, started: float) -> Iterator[str]:
    """Yield the metrics, in Prometheus' text format, version 0.0.4."""
    totals, status = engine.totals, engine.status
    yield from _metric("build_info", "gauge", "What this is.", {f'version="{version("atomwire")}"': 1})
    yield from _metric("start_time_seconds", "gauge", "When it started, since 1970.", {"": started})
    updates = {f'outcome="{name}"': getattr(totals.updates, name) for name in _OUTCOMES}
    yield from _metric("updates_total", "counter", "Updates, by what became of them.", updates)
    entries = {f'outcome="{name}"': getattr(totals.ledger, name) for name in _OUTCOMES}
    yield from _metric("ledger_total", "counter", "Messages of the ledger, by what became of them.", entries)
    yield from _metric(
        "browser_lost_total", "counter", "Updates that browsers reported lost.", {"": totals.browser_lost}
    )
    gaps = {f'reason="{reason}"': totals.gaps.get(reason, 0) for reason in _GAPS}
    yield from _metric("gaps_total", "counter", "Messages of the relay that never came, by reason.", gaps)
    yield from _metric(
        "retries_total", "counter", "Attempts at the database that were repeated.", {"": status.retries}
    )
    yield from _metric("lag_messages", "gauge", "Messages of the relay not stored yet.", {"": status.lag})
    yield from _metric(
        "lag_seconds",
        "gauge",
        "Age of the newest stored update while others wait.",
        {"": _lag(status)},
    )
    yield from _metric(
        "last_commit_seconds", "gauge", "When it last stored something.", {"": status.stored_at}
    )
    yield from _metric("ready", "gauge", "Whether it can store.", {"": int(not unready(status))})


def _lag(status: Status) -> float:
    if not status.lag or status.newest is None:
        return 0.0
    newest = datetime.fromisoformat(status.newest[:19] + "+00:00")
    return max((datetime.now(timezone.utc) - newest).total_seconds(), 0.0)


def _metric(name: str, kind: str, help_text: str, values: Mapping[str, float]) -> Iterator[str]:
    name = f"atomwire_consumer_{name}"
    yield f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n"
    for labels, value in values.items():
        yield f"{name}{{{labels}}} {value}\n" if labels else f"{name} {value}\n"
