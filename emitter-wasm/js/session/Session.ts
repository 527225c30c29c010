import type { Live } from '../write/Recorder.js';
import type { Span } from '../write/Span.js';

export type State = 'connecting' | 'connected' | 'waiting' | 'stopped' | 'failed';

/** What a session asks and tells its owner. */
export interface SessionEvents {
  /** Whether the next page of the origin goes on where this one stops, or closes its books. */
  readonly kept: boolean;
  /** Something happened on the socket, the timer or the page. */
  changed(): void;
  /** A trap: the module's instance is unusable from now on. */
  broke(error: unknown): void;
  diagnose(kind: string, message: string): void;
}

/** What an earlier page has left of its session. */
export interface LeftSession {
  seed: Uint8Array;
  resource: string;
  /** In the order of their indices. */
  keys: string[];
  /** What `journal` gave. */
  frames: Uint8Array[];
  /** Its first number that may be unsettled, and the one after its last. */
  base: number;
  end: number;
  /** Why what is missing is lost. */
  reason: number;
}

/** One session with a relay: the module's instance, and around it the socket, the timer and the clock. */
export interface Session extends Live {
  /** Random: 32 bytes, from which its ids are derived. */
  readonly seed: Uint8Array;
  readonly resource: string;
  /** The list is left alone: this may be another page's session by now. */
  held: boolean;
  state(): State;
  /** The reason of later losses, once it is over. */
  over(): number;
  /** Of all numbers that it made, the next one. */
  created(): number;
  /** Every number below this is settled. */
  settled(): number;
  /** In the order of their indices. */
  keys(): string[];
  /** The trace id of `span`, in hexadecimal. */
  traceId(span: Span): string | undefined;
  /** What was made since the last call, for another page to go on with; empty when nothing was. */
  journal(): Uint8Array[];
  connect(): void;
  /** Sends what is pending now. */
  hurry(): void;
  /** Ends once everything is settled. */
  end(): void;
  /** The page is back, and nobody has taken its session. */
  resume(): void;
  /** Ends it now, with a last request, or without a word to anybody. Whether all was settled before. */
  abandon(lastRequest: boolean): Promise<boolean>;
  /** Something happened to the page. */
  handle(event: Event): void;
}
