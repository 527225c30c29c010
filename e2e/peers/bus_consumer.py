"""A consumer that somebody else wrote from the bus contract alone: pyzmq and OpenTelemetry, none of our code.

Prints each update's payload as a line of JSON once its span is exported; runs until it is killed.
"""

import json
import sys

import zmq
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

bus, otlp = sys.argv[1:]
provider = TracerProvider(resource=Resource.create({"service.name": "kitchen-printer"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=otlp, insecure=True)))
tracer = provider.get_tracer("kitchen")
propagator = TraceContextTextMapPropagator()

socket = zmq.Context().socket(zmq.SUB)
socket.connect(bus)
socket.subscribe("atom-updates")
while True:
    topic, payload = socket.recv_multipart()
    update = json.loads(payload)
    parent = propagator.extract(update)
    with tracer.start_as_current_span("print ticket", context=parent, kind=SpanKind.CONSUMER):
        pass
    print(json.dumps({"message": "update", "topic": topic.decode(), "update": update}), flush=True)
