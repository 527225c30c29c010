"""Continue an update's trace, by OpenTelemetry's API: with whatever SDK the program has set up."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from atomwire.otel import conventions

if TYPE_CHECKING:
    from collections.abc import Generator

    from atomwire.bus.message import Update

tracer = trace.get_tracer("atomwire", version("atomwire"), schema_url=conventions.SCHEMA_URL)
# The contract's context is W3C's, whatever OTEL_PROPAGATORS says of this process's other carriers.
_propagator = TraceContextTextMapPropagator()


@contextmanager
def process(update: Update) -> Generator[trace.Span, None, None]:
    """Run the body in a CONSUMER span `process {topic}`, the child of the relay's PRODUCER span.

    The span carries the messaging attributes of the semantic conventions v1.45. An exception that leaves the
    body sets the span's status and `error.type`, and goes on. Its text stays off the span: a database's
    errors quote values, and values are data.
    """
    span = start_span(update)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except Exception as error:
            mark_failed(span, error)
            raise


def start_span(update: Update) -> trace.Span:
    """Start the span of `process`, for who has several updates in hand at once."""
    return tracer.start_span(
        conventions.process_name(update.topic),
        context=_propagator.extract(update.carrier),
        kind=trace.SpanKind.CONSUMER,
        attributes={
            **conventions.process_attributes(update.topic),
            conventions.KEY: update.key,
            conventions.SESSION_ID: update.session,
            conventions.SEQ: update.seq,
        },
    )


def mark_failed(span: trace.Span, error: Exception) -> None:
    """Say on the span that, and with what type of error, its work failed."""
    span.set_status(trace.StatusCode.ERROR)
    span.set_attribute(conventions.ERROR_TYPE, type(error).__qualname__)
