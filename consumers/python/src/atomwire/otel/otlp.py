"""OTLP's bytes: spans out, answers in (opentelemetry-proto 1.9, https://opentelemetry.io/docs/specs/otlp/)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CLIENT: Final = 3
CONSUMER: Final = 5
"""Of `Span.SpanKind`."""

PARENT_IS_LOCAL: Final = 0x100
PARENT_IS_REMOTE: Final = 0x300
"""Of `SpanFlags`; the lower eight bits are the trace flags of W3C."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Protobuf's wire types."""
_MAX_VARINT_BYTES = 10
_MORE = 0x80
"""The bit of a varint's byte that says that another one follows."""
_TWO_BYTES = 0x4000
"""Below this a varint has no more; the lengths of all spans are."""
_UINT64 = 2**64 - 1

_SPANS: Final = b"\x12"
_NAME, _KIND, _TRACESTATE, _ATTRIBUTES, _STATUS_ERROR = 5, b"\x30", 3, 9, b"\x7a\x02\x18\x02"
# trace_id 1, span_id 2, parent_span_id 4, start_time_unix_nano 7, end_time_unix_nano 8, flags 16.
_HEAD = struct.Struct("<2s16s2s8s2s8scQcQ2sI")


def span(  # noqa: PLR0913, PLR0917 - what a span has
    trace_id: bytes, span_id: bytes, parent_id: bytes, began: int, ended: int, flags: int, rest: bytes
) -> bytes:
    """Encode a span for `request`: times in nanoseconds since 1970, `rest` what the functions below make."""
    # fmt: off
    head = _HEAD.pack(
        b"\x0a\x10", trace_id, b"\x12\x08", span_id, b"\x22\x08", parent_id,
        b"\x39", began, b"\x41", ended, b"\x85\x01", flags,
    )
    # fmt: on
    return b"".join((_SPANS, _varint(len(head) + len(rest)), head, rest))


def shape(name: str, kind: int, attributes: Mapping[str, str | int]) -> bytes:
    """Encode what the spans of a kind have in common."""
    encoded = (attribute(key, value) for key, value in attributes.items())
    return b"".join((_field(_NAME, name.encode()), _KIND, _varint(kind), *encoded))


def attribute(key: str, value: str | int) -> bytes:
    """Encode an attribute of a span; the same bytes are one of a resource but for the field's number."""
    return _field(_ATTRIBUTES, _key_value(key, value))


def tracestate(text: str) -> bytes:
    """Encode a span's `tracestate`."""
    return _field(_TRACESTATE, text.encode())


def error(error_type: str) -> bytes:
    """Encode that a span's work failed, and how."""
    return _STATUS_ERROR + attribute("error.type", error_type)


class Counting:
    """An attribute with a number that is another one for each span."""

    def __init__(self, key: str) -> None:
        # All that comes before a varint of so many bytes.
        self._before = [
            attribute(key, 1 << 7 * max(size - 1, 0))[:-size] if size else b"" for size in range(10)
        ]

    def __call__(self, number: int) -> bytes:
        """Encode it with a number from 0 to 2**63 - 1."""
        varint = _varint(number)
        return self._before[len(varint)] + varint


def resource(attributes: Iterable[tuple[str, str]]) -> bytes:
    """Encode a `Resource`."""
    return b"".join(_field(1, _key_value(key, value)) for key, value in attributes)


def request(resource: bytes, scope: bytes, spans: Iterable[bytes]) -> bytes:
    """Encode an `ExportTraceServiceRequest` of spans of one resource and one scope."""
    resource_spans = _field(1, resource) + _field(2, b"".join((*spans, scope)))
    return _field(1, resource_spans)


def scope(name: str, version: str, schema_url: str) -> bytes:
    """Encode an `InstrumentationScope`, with the schema of its spans."""
    return _field(1, _field(1, name.encode()) + _field(2, version.encode())) + _field(3, schema_url.encode())


def rejected_spans(answer: bytes) -> int:
    """Read how many spans an `ExportTraceServiceResponse` says were not taken; 0 where it is none."""
    try:
        return max([0, *(number for part in _parts(answer, 1) for number in _numbers(part, 1))])
    except ValueError:
        return 0


def retry_delay(status: bytes) -> float | None:
    """Read the seconds of a `google.rpc.RetryInfo` in a `google.rpc.Status`; None where there is none."""
    try:
        for detail in _parts(status, 3):
            if b"type.googleapis.com/google.rpc.RetryInfo" in _parts(detail, 1):
                delays = [delay for info in _parts(detail, 2) for delay in _parts(info, 1)]
                return sum(sum(_numbers(delay, 1)) + sum(_numbers(delay, 2)) / 1e9 for delay in delays)
    except ValueError:
        pass
    return None


def _key_value(key: str, value: str | int) -> bytes:
    any_value = b"\x18" + _varint(value) if isinstance(value, int) else _field(1, value.encode())
    return _field(1, key.encode()) + _field(2, any_value)


def _field(number: int, content: bytes) -> bytes:
    return b"".join((_varint(number << 3 | _BYTES), _varint(len(content)), content))


def _varint(number: int) -> bytes:
    if number < _MORE:
        return bytes((number,))
    if number < _TWO_BYTES:
        return bytes((number & 0x7F | _MORE, number >> 7))
    return bytes((number & 0x7F | _MORE,)) + _varint(number >> 7)


def _parts(message: bytes, wanted: int) -> Iterator[bytes]:
    return (value for number, value in _fields(message) if number == wanted and isinstance(value, bytes))


def _numbers(message: bytes, wanted: int) -> Iterator[int]:
    return (value for number, value in _fields(message) if number == wanted and isinstance(value, int))


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Read a protobuf message's fields, numbers and values; `ValueError` where it is none."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        wire_type = tag & 7
        if wire_type == _VARINT:
            value, at = _read_varint(message, at)
            yield tag >> 3, value - (value >> 63 << 64)  # of two's complement
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire_type)
        if wire_type == _BYTES:
            size, at = _read_varint(message, at)
        if size is None or at + size > len(message):
            raise ValueError("not protobuf")
        yield tag >> 3, message[at : at + size]
        at += size


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift, byte in enumerate(message[at : at + _MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < _MORE:
            return number & _UINT64, at + shift + 1
    raise ValueError("not protobuf")
