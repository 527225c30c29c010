"""The spans of updates that are stored in groups: the same by OTLP and by a program's own SDK."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from conftest import PARENT_ID, SESSION, TRACE_ID, update
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from atomwire import Update
from atomwire.bus.codec import decode
from atomwire.otel.conventions import Statement
from atomwire.otel.settings import read_otlp
from atomwire.otel.spans import NoSpans, OtlpSpans, SdkSpans, Spans, open_spans

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Collector, Process
    from opentelemetry.proto.trace.v1.trace_pb2 import Span
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

STATEMENT = Statement("INSERT things", {"db.system.name": "sqlite", "db.query.text": "INSERT INTO things"})
BEGAN, ENDED = 2_000_000_000_000_000_000, 2_000_000_000_000_000_007
"""Later than any clock of a machine that runs this before 2033."""


def message(seq: int = 7, **changes: object) -> Update:
    decoded = decode([b"atom-updates", json.dumps(update(seq, **changes)).encode()])
    assert isinstance(decoded, Update)
    return decoded


@pytest.fixture(params=["otlp", "sdk"])
def record(
    request: pytest.FixtureRequest, spans: InMemorySpanExporter, collector: Collector
) -> Callable[..., list[Span]]:
    """Run something with spans of each kind, and return these, in the order of their starts."""

    def run(use: Callable[[Spans], None], **environ: str) -> list[Span]:
        if request.param == "sdk":
            use(SdkSpans())
            ended = spans.get_finished_spans()
            encoded = encode_spans(ended).resource_spans if ended else []
            return in_order([span for each in encoded for scope in each.scope_spans for span in scope.spans])
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoints["http/protobuf"]}
        settings = read_otlp(endpoint | environ, [])
        assert settings is not None
        by_otlp = OtlpSpans(settings)
        use(by_otlp)
        by_otlp.close()
        return in_order(collector.spans())

    return run


def in_order(spans: list[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: span.start_time_unix_nano)


def attributes(span: Span) -> dict[str, Any]:
    return {
        each.key: each.value.string_value if each.value.HasField("string_value") else each.value.int_value
        for each in span.attributes
    }


def test_an_update_that_is_stored_has_two_spans(record: Callable[..., list[Span]]) -> None:
    def store(spans: Spans) -> None:
        stored = message(tracestate="vendor=1")
        spans.start(stored)
        spans.stored([stored], BEGAN, ENDED, STATEMENT)

    process, statement = record(store)
    assert (process.name, process.kind) == ("process atom-updates", process.SPAN_KIND_CONSUMER)
    assert (process.trace_id.hex(), process.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert attributes(process) == {
        "messaging.system.name": "zeromq",
        "messaging.destination.name": "atom-updates",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "atomwire.key": "cart",
        "atomwire.session.id": SESSION,
        "atomwire.seq": 7,
    }
    assert (statement.name, statement.kind) == ("INSERT things", statement.SPAN_KIND_CLIENT)
    assert (statement.trace_id, statement.parent_span_id) == (process.trace_id, process.span_id)
    assert attributes(statement) == STATEMENT.attributes
    assert (statement.start_time_unix_nano, statement.end_time_unix_nano) == (BEGAN, ENDED)
    assert 0 < process.start_time_unix_nano < process.end_time_unix_nano == ENDED
    assert process.trace_state == statement.trace_state == "vendor=1"
    assert process.status.code == statement.status.code == process.status.STATUS_CODE_UNSET
    # HAS_IS_REMOTE, and IS_REMOTE: the relay's span is another process's.
    assert (process.flags & 0x300, statement.flags & 0x300) == (0x300, 0x100)


def test_without_a_statement_an_update_has_one_span(record: Callable[..., list[Span]]) -> None:
    def store(spans: Spans) -> None:
        stored = message()
        spans.start(stored)
        spans.stored([stored], BEGAN, ENDED, None)

    assert [span.name for span in record(store)] == ["process atom-updates"]


def test_what_fails_says_with_what_type_of_error(record: Callable[..., list[Span]]) -> None:
    def fail(spans: Spans) -> None:
        failed = message()
        spans.start(failed)
        spans.failed(failed, KeyError("a value that belongs on no span"))

    (span,) = record(fail)
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert attributes(span)["error.type"] == "KeyError"
    assert "belongs on no span" not in str(span)
    assert span.start_time_unix_nano <= span.end_time_unix_nano


@pytest.mark.parametrize(("flags", "recorded"), [("00", 0), ("01", 2), ("02", 0), ("03", 2)])
def test_the_relays_flag_decides(flags: str, recorded: int, record: Callable[..., list[Span]]) -> None:
    def store(spans: Spans) -> None:
        stored = message(traceparent=f"00-{TRACE_ID}-{PARENT_ID}-{flags}")
        spans.start(stored)
        spans.stored([stored], BEGAN, ENDED, STATEMENT)

    assert len(record(store)) == recorded


def test_each_update_of_a_group_stays_in_its_trace(record: Callable[..., list[Span]]) -> None:
    def store(spans: Spans) -> None:
        group = [message(seq, traceparent=f"00-{seq + 1:032x}-{PARENT_ID}-03") for seq in range(200)]
        for each in group:
            spans.start(each)
        spans.stored(group, BEGAN, ENDED, STATEMENT)

    found = record(store)
    processes, statements = found[:200], found[200:]
    assert [int.from_bytes(span.trace_id, "big") for span in processes] == list(range(1, 201))
    assert [attributes(span)["atomwire.seq"] for span in processes] == list(range(200))
    parents = {span.span_id: span.trace_id for span in processes}
    assert {span.parent_span_id: span.trace_id for span in statements} == parents
    assert len({span.span_id for span in found}) == 400


@pytest.mark.parametrize(
    ("sampler", "recorded"),
    [
        ({"OTEL_TRACES_SAMPLER": "always_on"}, 100),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, 0),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, 25),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, 50),
    ],
)
def test_a_sampler_decides(sampler: dict[str, str], recorded: int, collector: Collector) -> None:
    settings = read_otlp({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoints["http/protobuf"]} | sampler, [])
    spans = OtlpSpans(settings) if settings else pytest.fail("they go somewhere")
    for number in range(100):
        trace_id = (number * 2**64 // 100) | 1
        each = message(traceparent=f"00-{trace_id:032x}-{PARENT_ID}-0{number % 2}")
        spans.start(each)
        spans.stored([each], BEGAN, ENDED, None)
    spans.close()
    assert len(collector.spans()) == recorded
    assert all(span.flags & 1 for span in collector.spans())


def test_a_programs_own_sdk_is_used(spans: InMemorySpanExporter) -> None:
    assert isinstance(trace.get_tracer_provider(), trace.TracerProvider)
    opened = open_spans(read_otlp({}, []))
    stored = message()
    opened.start(stored)
    opened.stored([stored], BEGAN, ENDED, None)
    opened.close()
    assert [span.name for span in spans.get_finished_spans()] == ["process atom-updates"]


WITHOUT_SDK = """
import os
import sys
from atomwire.otel.settings import read_otlp
from atomwire.otel.spans import open_spans
spans = open_spans(read_otlp(os.environ, []))
heavy = [name for name in ("opentelemetry.sdk", "grpc", "google.protobuf") if name in sys.modules]
print(type(spans).__name__, heavy)
spans.close()
"""


@pytest.mark.parametrize(("exporter", "expected"), [("none", NoSpans.__name__), ("otlp", OtlpSpans.__name__)])
def test_without_an_sdk_nothing_heavy_is_loaded(
    exporter: str, expected: str, run: Callable[..., Process]
) -> None:
    process = run("-c", WITHOUT_SDK, OTEL_TRACES_EXPORTER=exporter)
    assert process.wait() == 0
    assert process.lines == [f"{expected} []\n"]
