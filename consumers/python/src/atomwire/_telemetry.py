"""The process's own tracing: OTLP out, in the background, never in the way."""

from __future__ import annotations

import logging
import os
import threading
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

SERVICE_NAME = "atomwire-consumer"

# Our defaults for variables that the SDK itself reads.
DEFAULTS = {
    "OTEL_BSP_SCHEDULE_DELAY": "500",  # ms: a developer sees a span within a second
    "OTEL_BSP_MAX_QUEUE_SIZE": "16384",  # two spans an update: 4 s without a collector at 2,000/s
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1024",
    # The stable database attributes (db.query.text and its like) in place of those of 2023.
    "OTEL_SEMCONV_STABILITY_OPT_IN": "database",
}

FLUSH_DEADLINE = 5.0
"""Seconds that the last spans get to leave at the end. Supervisors commonly kill after 10."""

_log = logging.getLogger("atomwire")


def start_tracing(otlp_protocol: str | None) -> TracerProvider:
    """Install the process-wide tracer provider; without a protocol its spans go nowhere."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    resource = Resource.create(
        {
            "service.name": SERVICE_NAME,
            "service.version": version("atomwire"),
            # Last, for create() lets its argument win over OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
            **OTELResourceDetector().detect().attributes,
        }
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    if otlp_protocol is not None:
        provider.add_span_processor(BatchSpanProcessor(_exporter(otlp_protocol)))
    trace.set_tracer_provider(provider)
    return provider


def stop_tracing(provider: TracerProvider) -> None:
    """Flush what is queued within `FLUSH_DEADLINE`."""
    # The SDK's shutdown waits 30 s for a collector that does not answer, and takes no other deadline.
    flush = threading.Thread(target=provider.shutdown, daemon=True)
    flush.start()
    flush.join(FLUSH_DEADLINE)
    if flush.is_alive():
        _log.warning("spans dropped: the collector did not take them in time")


def _exporter(otlp_protocol: str) -> SpanExporter:
    # Imported where used: either one costs the start of a process a tenth of a second.
    if otlp_protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter as GrpcExporter,
        )

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter as HttpExporter,
    )

    return HttpExporter()
