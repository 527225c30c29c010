import type { EmitterOptions } from './EmitterOptions.js';
import type { EmitterStats } from './EmitterStats.js';
import { poison } from './load.js';
import { resourceOf } from './resourceOf.js';
import type { Span } from './Span.js';
import { Session } from './wasm/atomwire_emitter.js';

/** The protocol's limit on a value, in bytes; a text of more UTF-16 units is over it in any case. */
const MAX_VALUE_CHARS = 256 * 1024;
/** Keys that the protocol can intern. A page that makes up keys without end does not fill the map. */
const MAX_KEYS = 1024;

/** What a live session tells its recorder. */
export interface LiveEvents {
  /** Something happened on the socket, the timer or the page. */
  changed(): void;
  /** A trap: the module is unusable from now on. */
  broke(error: unknown): void;
  diagnose(kind: string, message: string): void;
}

/**
 * The session in the WebAssembly module, behind the one guard that every entry goes through: calls from here,
 * and the browser's callbacks (the module has each of them wrapped by `guard`).
 */
export class Live {
  readonly #session: Session;
  readonly #events: LiveEvents;
  readonly #keys = new Map<string, number>();
  #broken = false;
  /** The module's, set by it. */
  socket: WebSocket | undefined;

  constructor(options: EmitterOptions, events: LiveEvents) {
    this.#events = events;
    this.#session = new Session(this, options.url, options.token ?? '', resourceOf(options));
  }

  /** For the module. */
  guard(callback: (event: unknown) => void): (event: unknown) => void {
    return (event) => {
      this.#enter(() => callback(event));
      this.#events.changed();
    };
  }

  /** For the module. */
  diagnose(kind: string, message: string): void {
    this.#events.diagnose(kind, message);
  }

  record(span: Span): void {
    this.#enter((session) => {
      if (span.value !== undefined && span.value.length > MAX_VALUE_CHARS) {
        // Handing it over would grow the module's memory, which never shrinks.
        session.lose(1, 'too_large');
        return;
      }
      const index = this.#intern(session, span.key);
      session.record(
        index,
        index === undefined ? span.key : undefined,
        span.position,
        span.start,
        span.duration,
        span.value,
        span.error?.type,
        span.error?.message,
        span.traceparent,
        span.parent === undefined ? undefined : span.root,
        span.parent,
      );
    });
  }

  lose(count: number, reason: string): void {
    this.#enter((session) => session.lose(count, reason));
  }

  stats(): EmitterStats | undefined {
    return this.#enter((session) => session.stats() as EmitterStats);
  }

  /** The trace id of `span`, in hexadecimal. */
  traceId(span: Span): string | undefined {
    return span.traceparent?.split('-')[1] ?? this.#enter((session) => session.trace_id(span.root));
  }

  hurry(): void {
    this.#enter((session) => session.hurry());
  }

  end(): void {
    this.#enter((session) => session.end());
  }

  abandon(): void {
    this.#enter((session) => session.abandon());
  }

  #intern(session: Session, key: string): number | undefined {
    let index = this.#keys.get(key);
    if (index === undefined && this.#keys.size < MAX_KEYS) {
      index = session.intern(key);
      if (index !== undefined) this.#keys.set(key, index);
    }
    return index;
  }

  #enter<T>(call: (session: Session) => T): T | undefined {
    if (this.#broken) return undefined;
    try {
      return call(this.#session);
    } catch (error) {
      this.#broken = true;
      poison();
      this.socket?.close();
      this.#events.broke(error);
      return undefined;
    }
  }
}
