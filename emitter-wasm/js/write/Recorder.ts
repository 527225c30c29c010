import type { Emitter } from '../Emitter.js';
import type { EmitterOptions } from '../EmitterOptions.js';
import type { EmitterStats } from '../EmitterStats.js';
import type { Span } from './Span.js';

/** What may wait for `startEmitter`, and for its code: many more updates than a page's first seconds have… */
const EARLY_UPDATES = 1_000;
/** …and this much text of values, in UTF-16 units. */
const EARLY_CHARS = 1024 * 1024;
/** So long after the first write nobody will call `startEmitter` any more, as far as one can tell. */
const PATIENCE_MS = 10_000;
/** As many as one message takes: they should leave at once. */
const SOON = 256;

const QUEUE_FULL = 1;

/** What became of updates: created, acknowledged, pending, then lost, by reason: as numbered in the protocol, from 1. */
export type Counts = number[];
const PENDING = 2;

const REASONS = [
  'queue_full',
  'too_large',
  'not_serializable',
  'page_closed',
  'rejected',
  'emitter_failed',
  'page_killed',
];

/** Updates that are lost already, at their place among the others. */
export interface Loss {
  reason: number;
  count: number;
}

/** The session that takes what is written, as far as writes and the account know it. */
export interface Live {
  /** It sets its timer. */
  wake(soon: boolean): void;
  /** It takes the list, unless it is at that already, and answers its account. */
  counts(): Counts;
  state(): EmitterStats['state'];
  /** In hexadecimal. */
  traceId(span: Span): string | undefined;
}

/**
 * The page's one list of what was written. A write only appends to it; the session takes it from a timer, and
 * says then how much more may wait here.
 */
export class Recorder {
  /** The names of the reasons, from 1 on. */
  readonly reasons: readonly string[] = REASONS;
  /** The emitter that was started. */
  emitter: Emitter | undefined;
  parentContext: EmitterOptions['parentContext'];
  /** Told once for each kind. */
  diagnose: (kind: string, message: unknown) => void = () => {};
  live: Live | undefined;
  /** Counts sessions: a span of an earlier one has its ids there. */
  era = 0;
  /** Of the next span in its session's id stream. */
  position = 0;
  list: (Span | Loss)[] = [];
  /** Of the values in it, in UTF-16 units. */
  chars = 0;
  /** What may wait in it. */
  maxUpdates: number = EARLY_UPDATES;
  maxChars: number = EARLY_CHARS;
  /** Whether the session takes a full list at once, since it knows what is older. */
  dropOldest = false;
  newest: Span | undefined;
  /** A timer will come for the list. */
  awake = false;
  /** Why nothing is taken any more: a reason of loss. */
  closed = 0;
  /** The account of sessions that are over. */
  past: Counts = new Array(10).fill(0);
  #until = Infinity;

  /** From now on somebody will come for the list. */
  start(emitter: Emitter, { parentContext }: EmitterOptions): void {
    this.emitter = emitter;
    this.parentContext = parentContext;
    this.maxUpdates = EARLY_UPDATES;
  }

  /** Whether the next update is lost in any case, so that its value need not be looked at. */
  get full(): boolean {
    return this.closed > 0 || (this.list.length >= this.maxUpdates && !(this.dropOldest && this.live));
  }

  /** Takes a span that has ended. */
  record(span: Span): void {
    const { value } = span;
    const chars = typeof value === 'string' ? value.length : 0;
    if (this.emitter === undefined) {
      this.#until = Math.min(this.#until, span.start + PATIENCE_MS);
      if (span.start > this.#until) this.maxUpdates = 0;
    }
    if (this.dropOldest && !this.#fits(chars)) this.live?.counts();
    if (typeof value === 'number') this.lose(value);
    else if (this.#fits(chars)) {
      this.chars += chars;
      this.newest = span;
      this.#add(span);
    } else {
      // One hole, at the end of what came early.
      if (this.live === undefined) this.maxUpdates = 0;
      this.lose(QUEUE_FULL);
    }
  }

  /** Counts an update that is lost. */
  lose(lost: number): void {
    const reason = this.closed || lost;
    const last = this.list[this.list.length - 1];
    if (last && 'reason' in last && last.reason === reason) last.count += 1;
    else this.#add({ reason, count: 1 });
  }

  /** Gives the list away. */
  take(): (Span | Loss)[] {
    const { list } = this;
    this.list = [];
    this.chars = 0;
    this.awake = false;
    return list;
  }

  /** The whole account: the session's, the list's, and what is over. */
  counts(): Counts {
    const live = this.closed ? [] : (this.live?.counts() ?? []);
    return this.tally(plus(this.past, live), this.list);
  }

  /** Adds what is in a list: pending, or lost. */
  tally(counts: Counts, list: readonly (Span | Loss)[]): Counts {
    for (const { count = 1, reason = 0 } of list as readonly Partial<Loss>[]) {
      add(counts, 0, count);
      add(counts, PENDING + reason, count);
    }
    return counts;
  }

  /** A session is over: what of its account is pending is lost. */
  retire(counts: Counts, reason: number): void {
    this.past = plus(this.past, counts);
    add(this.past, PENDING + reason, this.past[PENDING]);
    this.past[PENDING] = 0;
  }

  /** All is over: what is pending, and what will yet be written, is lost for this reason. */
  close(reason: number): void {
    if (this.closed) return;
    this.past = this.counts();
    this.take();
    this.retire([], reason);
    this.closed = reason;
  }

  #fits(chars: number): boolean {
    return !this.closed && this.list.length < this.maxUpdates && this.chars + chars <= this.maxChars;
  }

  #add(entry: Span | Loss): void {
    this.list.push(entry);
    if (this.closed || (this.awake && this.list.length !== SOON)) return;
    // First: the app may have a `setTimeout` of its own, which writes.
    this.awake = true;
    this.live?.wake(this.list.length >= SOON);
  }
}

function plus(counts: Counts, more: Counts): Counts {
  return counts.map((count, which) => count + (more[which] ?? 0));
}

function add(counts: Counts, which: number, count = 0): void {
  counts[which] = (counts[which] ?? 0) + count;
}
