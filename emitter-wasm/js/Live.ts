import { batchUrlOf } from './batchUrlOf.js';
import type { EmitterOptions } from './EmitterOptions.js';
import type { EmitterStats } from './EmitterStats.js';
import { isOffline } from './isOffline.js';
import { poison } from './load.js';
import { resourceOf } from './resourceOf.js';
import type { Span } from './Span.js';
import type { Settings } from './settingsOf.js';
import { Session } from './wasm/atomwire_emitter.js';

/** The protocol's limit on a value, in bytes; a text of more UTF-16 units is over it in any case. */
const MAX_VALUE_CHARS = 256 * 1024;
/** Keys that the protocol can intern. A page that makes up keys without end does not fill the map. */
const MAX_KEYS = 1024;

/** What a live session asks and tells its owner. */
export interface LiveEvents {
  /** Whether what is pending outlives the page, and somebody else says when to `resume`. */
  readonly kept: boolean;
  /** Something happened on the socket, the timer or the page. */
  changed(): void;
  /** A trap: the module is unusable from now on. */
  broke(error: unknown): void;
  diagnose(kind: string, message: string): void;
}

/** What an earlier page has left of its session. */
export interface LeftSession {
  identity: Uint8Array;
  resource: string;
  keys: string[];
  /** What `journal` gave. */
  frames: Uint8Array[];
  /** The number of updates that it made. */
  end: number;
  /** Too old to be sent: it is reported as lost. */
  expired: boolean;
}

/**
 * The session in the WebAssembly module, behind the one guard that every entry goes through: calls from here,
 * and the browser's callbacks (the module has each of them wrapped by `guard`).
 */
export class Live {
  /** Random: the session's id, 16 bytes, and its seed. */
  readonly identity: Uint8Array;
  readonly resource: string;
  readonly #session: Session;
  readonly #events: LiveEvents;
  readonly #url: string;
  readonly #dropUnserializable: boolean;
  /** An earlier page's session, which is kept until it is over. */
  readonly #left: boolean;
  readonly #keys = new Map<string, number>();
  #broken = false;
  /** The module's, set by it. */
  socket: WebSocket | undefined;

  constructor(options: EmitterOptions, settings: Settings, events: LiveEvents, left?: LeftSession) {
    const { url, token = '' } = options;
    const { maxUpdates, maxBytes, dropOldest, dropUnserializable } = settings;
    this.#events = events;
    this.#url = url;
    this.#dropUnserializable = dropUnserializable;
    this.#left = left !== undefined;
    this.identity = left?.identity ?? crypto.getRandomValues(new Uint8Array(48));
    this.resource = left?.resource ?? resourceOf(options);
    const { keys = [], frames = [], end = 0, expired = false } = left ?? {};
    this.#session = new Session(
      this,
      url,
      token,
      this.resource,
      this.identity,
      maxUpdates,
      maxBytes,
      dropOldest,
      this.#left,
      keys,
      frames,
      end,
      expired,
    );
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

  /** For the module. */
  post(body: Uint8Array<ArrayBuffer>): void {
    // What an earlier page has left stays where it is; this page's own comes first.
    if (!this.#left) void post(batchUrlOf(this.#url), body);
  }

  /** For the module. */
  get offline(): boolean {
    return isOffline(this.#url);
  }

  /** For the module. */
  get kept(): boolean {
    return this.#events.kept;
  }

  record(span: Span): void {
    this.#enter((session) => {
      const { key, value, error } = span;
      if (value === undefined && error === undefined && this.#dropUnserializable) {
        session.lose(1, 'not_serializable');
        return;
      }
      if (value !== undefined && value.length > MAX_VALUE_CHARS) {
        // Handing it over would grow the module's memory, which never shrinks.
        session.lose(1, 'too_large');
        return;
      }
      const index = this.#intern(session, key);
      session.record(
        index,
        index === undefined ? key : undefined,
        span.position,
        span.start,
        span.duration,
        value,
        error?.type,
        error?.message,
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

  abandon(lastRequest: boolean): void {
    this.#enter((session) => session.abandon(lastRequest));
  }

  resume(): void {
    this.#enter((session) => session.resume());
  }

  /** In the order of their indices. */
  keys(): string[] {
    return [...this.#keys.keys()];
  }

  /** What was made since the last call, for another page to go on with; empty when nothing was. */
  journal(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (;;) {
      const frame = this.#enter((session) => session.journal());
      if (frame === undefined) return frames;
      frames.push(frame);
    }
  }

  /** Every number below this is settled. */
  settled(): number {
    return this.#enter((session) => session.settled()) ?? 0;
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

/** A request that outlives the page. Nobody is there to hear how it ended. */
async function post(url: string | undefined, body: Uint8Array<ArrayBuffer>): Promise<void> {
  if (url === undefined) return;
  try {
    await fetch(url, { method: 'POST', body, keepalive: true });
  } catch {
    // What it carried is still pending, if the page comes back.
  }
}
