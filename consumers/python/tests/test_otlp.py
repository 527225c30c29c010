"""OTLP's bytes, as OpenTelemetry's own classes read them, and what a collector answers."""

from __future__ import annotations

import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped,unused-ignore]
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from atomwire.otel import otlp

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
UINT64 = st.integers(0, 2**64 - 1)
NUMBER = st.integers(0, 2**63 - 1)


def attribute(key: str, value: str | int) -> KeyValue:
    any_value = AnyValue(string_value=value) if isinstance(value, str) else AnyValue(int_value=value)
    return KeyValue(key=key, value=any_value)


@given(
    ids=st.tuples(st.binary(min_size=16, max_size=16), *[st.binary(min_size=8, max_size=8)] * 2),
    times=st.tuples(UINT64, UINT64),
    flags=st.integers(0, 2**32 - 1),
    name=TEXT,
    attributes=st.dictionaries(TEXT, TEXT | NUMBER, max_size=3),
    seq=NUMBER,
    tracestate=TEXT,
    error=TEXT,
)
def test_a_span_is_what_their_classes_read(  # noqa: PLR0913, PLR0917
    ids: tuple[bytes, bytes, bytes],
    times: tuple[int, int],
    flags: int,
    name: str,
    attributes: dict[str, str | int],
    seq: int,
    tracestate: str,
    error: str,
) -> None:
    rest = b"".join(
        (
            otlp.shape(name, otlp.CONSUMER, attributes),
            otlp.attribute("k", "v"),
            otlp.Counting("atomwire.seq")(seq),
            otlp.tracestate(tracestate),
            otlp.error(error),
        )
    )
    request = otlp.request(
        otlp.resource([("service.name", name)]),
        otlp.scope("atomwire", "1.2.3", "https://schema"),
        [otlp.span(*ids, *times, flags, rest), otlp.span(*ids, *times, flags, b"")],
    )
    bare = Span(
        trace_id=ids[0],
        span_id=ids[1],
        parent_span_id=ids[2],
        start_time_unix_nano=times[0],
        end_time_unix_nano=times[1],
        flags=flags,
    )
    whole = Span()
    whole.CopyFrom(bare)
    whole.MergeFrom(
        Span(
            name=name,
            kind=Span.SPAN_KIND_CONSUMER,
            trace_state=tracestate,
            attributes=[
                *(attribute(key, value) for key, value in attributes.items()),
                attribute("k", "v"),
                attribute("atomwire.seq", seq),
                attribute("error.type", error),
            ],
            status=Status(code=Status.STATUS_CODE_ERROR),
        )
    )
    scope = InstrumentationScope(name="atomwire", version="1.2.3")
    scope_spans = ScopeSpans(scope=scope, spans=[whole, bare], schema_url="https://schema")
    resource = Resource(attributes=[attribute("service.name", name)])
    assert trace_service_pb2.ExportTraceServiceRequest.FromString(
        request
    ) == trace_service_pb2.ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource, scope_spans=[scope_spans])]
    )


@given(st.integers(-(2**63), 2**63 - 1), TEXT)
def test_what_a_collector_refused_is_read(rejected: int, message: str) -> None:
    partial_success = trace_service_pb2.ExportTracePartialSuccess(
        rejected_spans=rejected, error_message=message
    )
    answer = trace_service_pb2.ExportTraceServiceResponse(partial_success=partial_success)
    assert otlp.rejected_spans(answer.SerializeToString()) == max(rejected, 0)


def test_an_answer_that_says_nothing_refuses_nothing() -> None:
    assert otlp.rejected_spans(b"") == 0
    assert otlp.rejected_spans(b"<html>") == 0
    assert otlp.retry_delay(b"") is None


@given(st.integers(-315_576_000_000, 315_576_000_000), st.integers(0, 999_999_999))
def test_when_a_collector_wants_to_be_asked_again_is_read(seconds: int, nanoseconds: int) -> None:
    retry_info = error_details_pb2.RetryInfo()
    retry_info.retry_delay.seconds = seconds
    retry_info.retry_delay.nanos = nanoseconds
    status = status_pb2.Status(code=8, message="busy")
    status.details.add().Pack(error_details_pb2.DebugInfo(detail="no delay"))
    assert otlp.retry_delay(status.SerializeToString()) is None
    status.details.add().Pack(retry_info)
    assert otlp.retry_delay(status.SerializeToString()) == pytest.approx(seconds + nanoseconds / 1e9)


@given(st.binary(), st.binary())
def test_any_answer(answer: bytes, delay: bytes) -> None:
    assert otlp.rejected_spans(answer) >= 0
    otlp.retry_delay(answer)
    status = status_pb2.Status()
    status.details.add(type_url="type.googleapis.com/google.rpc.RetryInfo", value=delay)
    otlp.retry_delay(status.SerializeToString())
