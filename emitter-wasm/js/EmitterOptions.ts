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
  /**
   * Of low cardinality: `disconnected`, `go_away`, `emitter_failed`, …, and the name of a reason when the first
   * update is lost for it.
   */
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
  /** What may be pending: updates that the relay has not acknowledged yet. */
  queue?: {
    /** 10,000 by default, 1,000,000 at the most. */
    maxUpdates?: number;
    /** As encoded: 4 MiB by default, 256 MiB at the most. */
    maxBytes?: number;
    /**
     * What is lost, and counted, beyond that: the newest update (by default), so that history has one hole; or
     * the oldest that was never sent, where only the present counts.
     */
    whenFull?: 'drop_newest' | 'drop_oldest';
  };
  /** What becomes of an update whose value JSON cannot hold. Failed writes are always sent. */
  unserializable?: 'send_without_value' | 'drop';
  /**
   * Keeps what is pending in the browser (IndexedDB), where it outlives a closed or killed page; the next page
   * of the same origin and relay sends it. Off by default: values are then stored on the visitor's disk.
   */
  persist?: boolean;
  /** Called once for each kind, in a microtask of its own. Without it, diagnostics go nowhere. */
  onDiagnostic?: (diagnostic: Diagnostic) => void;
}
