import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, WebTracerProvider } from '@opentelemetry/sdk-trace-web';
import { ATTR_SERVICE_NAME } from '@opentelemetry/semantic-conventions';
import { atomAround } from './atomAround.ts';
import type { Peer } from './Peer.ts';
import { ATTRIBUTES, NAME, VALUE } from './span.ts';

const provider = new WebTracerProvider({
  resource: resourceFromAttributes({ [ATTR_SERVICE_NAME]: 'bench' }),
  spanProcessors: [
    new BatchSpanProcessor(new OTLPTraceExporter({ url: new URL('/v1/traces', location.href).href })),
  ],
});

/** A span for each write, value included, from OpenTelemetry's own SDK. */
export const opentelemetry: Peer = {
  atom: atomAround((write) => {
    const span = provider
      .getTracer('bench')
      .startSpan(NAME, { kind: SpanKind.CLIENT, attributes: ATTRIBUTES });
    try {
      span.setAttribute(VALUE, JSON.stringify(write()));
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  }),
  async start() {},
  flush: () => provider.forceFlush(),
};
