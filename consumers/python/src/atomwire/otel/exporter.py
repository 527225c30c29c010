"""Sends spans in the background, never in the way."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter, deque
from importlib.metadata import version
from typing import TYPE_CHECKING

from atomwire.log import fields
from atomwire.otel import otlp
from atomwire.otel.conventions import SCHEMA_URL
from atomwire.otel.transport import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from atomwire.otel.transport import Transport

QUEUE_SPANS = 16_384
QUEUE_BYTES = 8 * 1024 * 1024
"""Two spans an update: 4 s without a collector at 2,000/s. Spans have some 400 bytes."""
REQUEST_SPANS = 1024
REQUEST_BYTES = 2 * 1024 * 1024
DELAY = 0.5
"""Seconds that the first span of a request waits for company: a developer sees a span within a second."""
FIRST_RETRY = 0.25
LAST_RETRY = 5.0
"""Seconds between attempts: doubled each time, and spread over 50 to 100 % of that."""
GIVE_UP = 30.0
"""Seconds after which a request is dropped: a restart of a collector is bridged."""
FLUSH_DEADLINE = 5.0
"""Seconds that the last spans get to leave at the end. Supervisors commonly kill after 10."""

_log = logging.getLogger("atomwire")


class Exporter:
    """A thread that sends what is added. `add` may be called from any thread; it waits for no collector."""

    def __init__(self, transport: Transport, resource: bytes, timeout: float) -> None:
        """`resource` is an encoded `Resource`; `timeout` is of one request, in seconds."""
        self.exported = 0
        """Spans that the collector took."""
        self.dropped: Counter[str] = Counter()
        """Spans that are lost: `queue_full`, `refused` by the collector, `export_failed` for want of one."""
        self._transport = transport
        self._resource = resource
        self._scope = otlp.scope("atomwire", version("atomwire"), SCHEMA_URL)
        self._timeout = timeout
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._in_hand = 0
        self._is_failing = False
        self._end: float | None = None
        """When everything must be over, once that is known."""
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
        self._thread.start()

    def add(self, spans: Iterable[bytes]) -> None:
        """Take spans, each as `otlp.span` encodes it; what finds no room is dropped."""
        with self._changed:
            for span in spans:
                if len(self._waiting) >= QUEUE_SPANS or self._waiting_bytes + len(span) > QUEUE_BYTES:
                    self.dropped["queue_full"] += 1
                    continue
                self._waiting.append(span)
                self._waiting_bytes += len(span)
            self._changed.notify()

    def close(self) -> None:
        """Send what is left, within `FLUSH_DEADLINE`, and say what was dropped."""
        with self._changed:
            self._end = time.monotonic() + FLUSH_DEADLINE
            self._changed.notify()
        self._thread.join(FLUSH_DEADLINE)
        with self._changed:
            if self._thread.is_alive():
                self.dropped["export_failed"] += len(self._waiting) + self._in_hand
            if self.dropped:
                _log.warning("spans dropped", extra=fields(**self.dropped))

    def _run(self) -> None:
        while spans := self._take():
            self._deliver(spans)
            self._in_hand = 0
        self._transport.close()

    def _take(self) -> list[bytes]:
        """Wait for the spans of one request; there are none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._end is not None)
            self._changed.wait_for(lambda: self._is_full() or self._end is not None, DELAY)
            spans: list[bytes] = []
            size = len(otlp.request(self._resource, self._scope, ()))
            while self._waiting and len(spans) < REQUEST_SPANS:
                size += len(self._waiting[0])
                if spans and size > REQUEST_BYTES:
                    break
                spans.append(self._waiting.popleft())
                self._waiting_bytes -= len(spans[-1])
            self._in_hand = len(spans)
            return spans

    def _is_full(self) -> bool:
        return len(self._waiting) >= REQUEST_SPANS or self._waiting_bytes >= REQUEST_BYTES

    def _deliver(self, spans: list[bytes]) -> None:
        """Send spans until they are taken, refused or given up."""
        request = otlp.request(self._resource, self._scope, spans)
        give_up = time.monotonic() + GIVE_UP
        pause = FIRST_RETRY
        while True:
            is_last = self._end is not None or time.monotonic() > give_up
            try:
                refused = min(self._transport.send(request, self._patience()), len(spans))
            except ExportError as error:
                self._warn(error)
                if error.is_final or is_last:
                    self.dropped["refused" if error.is_final else "export_failed"] += len(spans)
                    return
                self._rest(max(error.after, pause * random.uniform(0.5, 1)))  # noqa: S311 - no secret
                pause = min(2 * pause, LAST_RETRY)
            else:
                break
        if self._is_failing:
            self._is_failing = False
            _log.info("spans are exported again")
        self.exported += len(spans) - refused
        if refused:
            self.dropped["refused"] += refused

    def _patience(self) -> float:
        """Return how many seconds the next attempt may take."""
        if self._end is None:
            return self._timeout
        # Never none: that would not wait at all.
        return min(self._timeout, max(self._end - time.monotonic(), 0.001))

    def _rest(self, seconds: float) -> None:
        """Wait before the next attempt, of which there is one at once when all ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._end is not None, seconds)

    def _warn(self, error: ExportError) -> None:
        if not self._is_failing:
            _log.warning(
                "spans cannot be exported; retrying, and counting what is dropped",
                extra=fields(error=str(error)),
            )
            self._is_failing = True
