/** The part of OpenTelemetry's `SpanContext` that a parent needs. */
export interface SpanContext {
  /** 32 lowercase hexadecimal digits, not all zero. */
  traceId: string;
  /** 16 lowercase hexadecimal digits, not all zero. */
  spanId: string;
  /** W3C trace flags. */
  traceFlags: number;
}

/** Something that a person should know; nothing that the app must act on. */
export interface Diagnostic {
  /** Of low cardinality: `disconnected`, `go_away`, `emitter_failed`, … */
  kind: string;
  /** For people. */
  message: string;
}

/** How an emitter is started. */
export interface EmitterOptions {
  /** The relay's stream: `ws://` or `wss://`, host, `/v1/stream`. */
  url: string;
  /** OpenTelemetry's `service.name` and `service.version` of this app. */
  service: { name: string; version?: string };
  /** More OpenTelemetry resource attributes. */
  resource?: Record<string, string>;
  /** What the relay's operator asks clients to present. */
  token?: string;
  /** The app's active span, if it has one; it becomes the parent of writes that are in no traced write. */
  parentContext?: () => SpanContext | undefined;
  /** Called in a microtask of its own. Without it, diagnostics go nowhere. */
  onDiagnostic?: (diagnostic: Diagnostic) => void;
}
