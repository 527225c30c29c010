"""The spans of updates that are stored in groups: from being taken in hand to being stored."""

from __future__ import annotations

import random
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from opentelemetry import trace
from opentelemetry.context import Context

from atomwire.otel import conventions, otlp
from atomwire.otel.exporter import Exporter
from atomwire.otel.process import mark_failed, start_span, tracer
from atomwire.otel.transport import open_transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atomwire.bus.message import Update
    from atomwire.otel.conventions import Statement
    from atomwire.otel.settings import Otlp

_IN_MIND = 1024
"""Topics, keys and sessions whose bytes are kept: 4 MiB at the most, for a key has up to 4,096."""


class Spans(Protocol):
    """Makes, of each update, the span `process {topic}`, and under it that of the statement that stores it.

    An update is told apart from others by being the same object.
    """

    def start(self, update: Update) -> None:
        """Take an update in hand."""
        ...

    def stored(self, updates: Sequence[Update], began: int, ended: int, statement: Statement | None) -> None:
        """End the spans of updates, stored by what ran between two times, in nanoseconds since 1970.

        `statement` says what that was; with None there is no span of it.
        """
        ...

    def failed(self, update: Update, error: Exception) -> None:
        """End the span of an update that is not stored; of the error, only its type is on it."""
        ...

    def close(self) -> None:
        """Let the last spans leave."""
        ...


def open_spans(settings: Otlp | None) -> Spans:
    """Make spans with the program's own SDK, where it has set one up; else by OTLP; with None, not at all."""
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return SdkSpans()
    return NoSpans() if settings is None else OtlpSpans(settings)


class NoSpans:
    """Makes none."""

    def start(self, update: Update) -> None:
        """See `Spans`."""

    def stored(self, updates: Sequence[Update], began: int, ended: int, statement: Statement | None) -> None:
        """See `Spans`."""

    def failed(self, update: Update, error: Exception) -> None:
        """See `Spans`."""

    def close(self) -> None:
        """See `Spans`."""


class SdkSpans:
    """Makes them with OpenTelemetry's API; whose SDK it is, sends them."""

    def __init__(self) -> None:
        self._started: dict[int, trace.Span] = {}

    def start(self, update: Update) -> None:
        """See `Spans`."""
        self._started[id(update)] = start_span(update)

    def stored(self, updates: Sequence[Update], began: int, ended: int, statement: Statement | None) -> None:
        """See `Spans`."""
        for update in updates:
            span = self._started.pop(id(update))
            if statement is not None:
                tracer.start_span(
                    statement.name,
                    trace.set_span_in_context(span, Context()),
                    trace.SpanKind.CLIENT,
                    statement.attributes,
                    start_time=began,
                ).end(ended)
            span.end(ended)

    def failed(self, update: Update, error: Exception) -> None:
        """See `Spans`."""
        span = self._started.pop(id(update))
        mark_failed(span, error)
        span.end()

    def close(self) -> None:
        """See `Spans`."""


class OtlpSpans:
    """Encodes and sends them without an SDK."""

    def __init__(self, settings: Otlp) -> None:
        self.exporter = Exporter(open_transport(settings), otlp.resource(settings.resource), settings.timeout)
        self._sampler = settings.sampler
        self._started: dict[int, int] = {}

    def start(self, update: Update) -> None:
        """See `Spans`."""
        self._started[id(update)] = time.time_ns()

    def stored(self, updates: Sequence[Update], began: int, ended: int, statement: Statement | None) -> None:
        """See `Spans`."""
        spans: list[bytes] = []
        shape = None
        if statement is not None:
            shape = otlp.shape(statement.name, otlp.CLIENT, statement.attributes)
        for update in updates:
            started = self._started.pop(id(update))
            spans += self._encode(update, started, ended, began=began, statement=shape)
        self.exporter.add(spans)

    def failed(self, update: Update, error: Exception) -> None:
        """See `Spans`."""
        started = self._started.pop(id(update))
        failure = otlp.error(type(error).__qualname__)
        self.exporter.add(self._encode(update, started, time.time_ns(), failure=failure))

    def close(self) -> None:
        """See `Spans`."""
        self.exporter.close()

    def _encode(  # noqa: PLR0913 - what two spans have
        self,
        update: Update,
        started: int,
        ended: int,
        *,
        began: int = 0,
        statement: bytes | None = None,
        failure: bytes = b"",
    ) -> list[bytes]:
        """Encode an update's span and, where there is one, the statement's; none that is not sampled."""
        parent = update.traceparent
        trace_id = bytes.fromhex(parent[3:35])
        flags = int(parent[53:], 16)
        if not self._sampler.takes(trace_id, flags):
            return []
        flags |= 1
        state = b"" if update.tracestate is None else otlp.tracestate(update.tracestate)
        span_id = _new_span_id()
        rest = b"".join(
            (
                _shape(update.topic),
                _text(conventions.KEY, update.key),
                _text(conventions.SESSION_ID, update.session),
                _seq(update.seq),
                state,
                failure,
            )
        )
        parent_id = bytes.fromhex(parent[36:52])
        spans = [otlp.span(trace_id, span_id, parent_id, started, ended, flags | otlp.PARENT_IS_REMOTE, rest)]
        if statement is not None:
            flags |= otlp.PARENT_IS_LOCAL
            rest = statement + state
            spans.append(otlp.span(trace_id, _new_span_id(), span_id, began, ended, flags, rest))
        return spans


def _new_span_id() -> bytes:
    return (random.getrandbits(64) or 1).to_bytes(8, "big")


@lru_cache(_IN_MIND)
def _shape(topic: str) -> bytes:
    return otlp.shape(conventions.process_name(topic), otlp.CONSUMER, conventions.process_attributes(topic))


_text = lru_cache(_IN_MIND)(otlp.attribute)
_seq = otlp.Counting(conventions.SEQ)
