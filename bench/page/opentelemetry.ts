import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, WebTracerProvider } from '@opentelemetry/sdk-trace-web';
import { ATTR_SERVICE_NAME } from '@opentelemetry/semantic-conventions';
import { atom } from 'jotai/vanilla';
import type { Cart } from './values.ts';

let provider: WebTracerProvider | undefined;

export function startOpenTelemetry(url: string): WebTracerProvider {
  provider = new WebTracerProvider({
    resource: resourceFromAttributes({ [ATTR_SERVICE_NAME]: 'bench' }),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url }))],
  });
  return provider;
}

/** What an app would write to get the same span, value included, from OpenTelemetry's own SDK. */
export const opentelemetryAtom = atom<Cart>({ items: [], total: 0 });
const write = opentelemetryAtom.write;
opentelemetryAtom.write = function (get, set, update) {
  const tracer = provider?.getTracer('bench');
  const span = tracer?.startSpan('Jotai State Update: cart', {
    kind: SpanKind.CLIENT,
    attributes: { 'atomwire.key': 'cart' },
  });
  try {
    write.call(this, get, set, update);
    span?.setAttribute('atomwire.value', JSON.stringify(get(this)));
  } catch (error) {
    span?.setStatus({ code: SpanStatusCode.ERROR });
    throw error;
  } finally {
    span?.end();
  }
};
