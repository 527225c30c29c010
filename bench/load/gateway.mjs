// The gateway that a team would write in Node: `ws` in, OpenTelemetry's SDK beside, `zeromq` out, each tuned as its
// documentation says. It takes the plain contract, and has no sessions, numbers, or replay window.

import {
  defaultTextMapGetter,
  defaultTextMapSetter,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { ATTR_SERVICE_NAME } from '@opentelemetry/semantic-conventions';
import { WebSocketServer } from 'ws';
import { Publisher } from 'zeromq';

const TOPIC = 'atom-updates';
const SENDING = {
  'messaging.system.name': 'zeromq',
  'messaging.operation.name': 'send',
  'messaging.operation.type': 'send',
  'messaging.destination.name': TOPIC,
};

if (process.env.OTEL_TRACES_EXPORTER !== 'none') {
  const exporter = new OTLPTraceExporter();
  const batches = new BatchSpanProcessor({
    exporter,
    maxQueueSize: 65_536,
    // Some 3 MB, of the 4 MiB that a Collector takes.
    maxExportBatchSize: 8_192,
    scheduledDelayMillis: 200,
  });
  const resource = resourceFromAttributes({ [ATTR_SERVICE_NAME]: 'gateway' });
  trace.setGlobalTracerProvider(new TracerProvider({ resource, spanProcessors: [batches] }));
}
// Without a provider its spans are the parents themselves, so that the context is passed on.
const tracer = trace.getTracer('gateway');
const propagator = new W3CTraceContextPropagator();

// A publisher never blocks: without a timeout each send is done when it returns, and none has to be awaited.
const publisher = new Publisher({ sendHighWaterMark: 50_000, sendTimeout: 0 });
await publisher.bind('tcp://127.0.0.1:*');

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  perMessageDeflate: false,
  clientTracking: false,
});
server.on('connection', (socket) => {
  socket.on('message', (data) => {
    try {
      forward(JSON.parse(data));
    } catch (error) {
      socket.send(JSON.stringify({ error: { message: error.message } }));
    }
  });
  socket.on('error', () => socket.terminate());
});
server.on('listening', () => {
  const { port } = server.address();
  const addresses = { listen: `127.0.0.1:${port}`, bus: publisher.lastEndpoint };
  // In the words of the relay, so that both are started in one way.
  console.error(JSON.stringify({ message: 'listening', ...addresses }));
});

/** Publishes the update with the PRODUCER span for its context. */
function forward(update) {
  const parent = propagator.extract(ROOT_CONTEXT, update, defaultTextMapGetter);
  const attributes = { 'atomwire.key': update.key };
  const received = tracer.startSpan('gateway receive', { kind: SpanKind.SERVER, attributes }, parent);
  const within = trace.setSpan(parent, received);
  const sending = tracer.startSpan(`send ${TOPIC}`, { kind: SpanKind.PRODUCER, attributes: SENDING }, within);
  try {
    propagator.inject(trace.setSpan(within, sending), update, defaultTextMapSetter);
    publisher.send([TOPIC, JSON.stringify(update)]);
  } catch (error) {
    sending.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
    throw error;
  } finally {
    sending.end();
    received.end();
  }
}
