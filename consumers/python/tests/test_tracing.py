"""`process`: the trace of a message goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import zmq
from conftest import DEADLINE, PARENT_ID, SESSION, TRACE_ID, update
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from atomwire import Update, process
from atomwire.bus.codec import decode

if TYPE_CHECKING:
    from conftest import Bus
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def message(**changes: object) -> Update:
    decoded = decode([b"atom-updates", json.dumps(update(7, **changes)).encode()])
    assert isinstance(decoded, Update)
    return decoded


def test_the_span_is_the_child_of_the_message(spans: InMemorySpanExporter) -> None:
    with process(message(tracestate="vendor=1")) as span:
        assert trace.get_current_span() is span
    (ended,) = spans.get_finished_spans()
    assert ended.name == "process atom-updates"
    assert ended.kind is trace.SpanKind.CONSUMER
    assert ended.context is not None
    assert ended.parent is not None
    assert trace.format_trace_id(ended.context.trace_id) == TRACE_ID
    assert trace.format_span_id(ended.parent.span_id) == PARENT_ID
    assert ended.parent.is_remote
    assert ended.context.trace_state.to_header() == "vendor=1"
    assert ended.attributes == {
        "messaging.system.name": "zeromq",
        "messaging.destination.name": "atom-updates",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "atomwire.key": "cart",
        "atomwire.session.id": SESSION,
        "atomwire.seq": 7,
    }
    assert ended.instrumentation_scope is not None
    assert ended.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.45.0"
    assert ended.status.status_code is trace.StatusCode.UNSET
    assert not ended.events


@pytest.mark.parametrize(("flags", "recorded"), [("00", 0), ("01", 1), ("02", 0), ("03", 1)])
def test_the_flags_survive_the_hop(flags: str, recorded: int, spans: InMemorySpanExporter) -> None:
    carrier: dict[str, str] = {}
    with process(message(traceparent=f"00-{TRACE_ID}-{PARENT_ID}-{flags}")):
        TraceContextTextMapPropagator().inject(carrier)
    assert carrier["traceparent"].startswith(f"00-{TRACE_ID}-")
    assert carrier["traceparent"].endswith(f"-{flags}")
    assert PARENT_ID not in carrier["traceparent"]
    assert len(spans.get_finished_spans()) == recorded


def test_an_error_marks_the_span_and_goes_on(spans: InMemorySpanExporter) -> None:
    with pytest.raises(KeyError), process(message()):
        raise KeyError("a value that belongs on no span")
    (ended,) = spans.get_finished_spans()
    assert ended.status.status_code is trace.StatusCode.ERROR
    assert ended.attributes is not None
    assert ended.attributes["error.type"] == "KeyError"
    assert "belongs on no span" not in ended.to_json()


def test_an_active_span_is_not_the_parent(spans: InMemorySpanExporter) -> None:
    with trace.get_tracer("test").start_as_current_span("the application's loop"), process(message()):
        pass
    ended, _ = spans.get_finished_spans()
    assert ended.parent is not None
    assert trace.format_span_id(ended.parent.span_id) == PARENT_ID


def test_a_consumer_without_this_library_continues_the_trace(bus: Bus, spans: InMemorySpanExporter) -> None:
    """The bus contract alone is enough: plain pyzmq, json, and OpenTelemetry's own propagator."""
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.set(zmq.RCVTIMEO, int(DEADLINE * 1000))
        subscriber.connect(bus.endpoint)
        subscriber.subscribe("atom-updates")
        bus.await_subscriber()
        bus.publish(update(tracestate="vendor=1"))
        _, payload = subscriber.recv_multipart()
        parent = TraceContextTextMapPropagator().extract(json.loads(payload))
        with trace.get_tracer("theirs").start_as_current_span("theirs", parent, trace.SpanKind.CONSUMER):
            pass
    (ended,) = spans.get_finished_spans()
    assert ended.parent is not None
    assert trace.format_trace_id(ended.parent.trace_id) == TRACE_ID
    assert trace.format_span_id(ended.parent.span_id) == PARENT_ID
    assert ended.parent.trace_flags == 3
    assert ended.parent.trace_state.to_header() == "vendor=1"


def test_any_propagator_reads_a_message_of_this_library() -> None:
    for expected in ("vendor=1", ""):
        changes = {"tracestate": expected} if expected else {}
        context = TraceContextTextMapPropagator().extract(message(**changes).carrier)
        span_context = trace.get_current_span(context).get_span_context()
        assert trace.format_span_id(span_context.span_id) == PARENT_ID
        assert span_context.trace_state.to_header() == expected
