import type { SpanContext } from './EmitterOptions.js';

/** `context` as W3C writes it; `undefined` for none, and for one that W3C forbids. */
export function traceparentOf(context: SpanContext | undefined): string | undefined {
  if (context === undefined) return undefined;
  const { traceId, spanId, traceFlags } = context;
  const valid = isId(traceId, 32) && isId(spanId, 16);
  // All eight flags go on, among them level 2's random flag.
  return valid ? `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, '0')}` : undefined;
}

function isId(text: string, length: number): boolean {
  return text.length === length && /^[0-9a-f]+$/.test(text) && !/^0+$/.test(text);
}
