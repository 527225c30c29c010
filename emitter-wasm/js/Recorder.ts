import { EarlyQueue } from './EarlyQueue.js';
import type { EmitterOptions } from './EmitterOptions.js';
import type { EmitterStats } from './EmitterStats.js';
import { Live, type LiveEvents } from './Live.js';
import { load } from './load.js';
import type { Span } from './Span.js';
import { traceparentOf } from './traceparentOf.js';

/** How long `stop` waits for the relay: about as long as people wait for something to close. */
const STOP_DEADLINE_MS = 2_000;

/** Takes ended spans: while the module loads, while it lives, and after it failed. */
export class Recorder implements LiveEvents {
  #options: EmitterOptions | undefined;
  #positions = 0;
  #created = 0;
  #newest: Span | undefined;
  #early = new EarlyQueue();
  #live: Live | undefined;
  /** The account as last seen: the module cannot be asked after a trap. */
  #account: EmitterStats = { state: 'loading', created: 0, acknowledged: 0, pending: 0, lost: {} };
  /** The account from when it was over. */
  #final: EmitterStats | undefined;
  #stopping: Promise<void> | undefined;
  /** Each asks whether what it waits for has come, and says so. */
  #waiting: ((stats: EmitterStats) => boolean)[] = [];
  #parentContextFailed = false;

  get started(): boolean {
    return this.#options !== undefined;
  }

  nextPosition(): number {
    return this.#positions++;
  }

  /** The app's own active span, as W3C writes it. */
  activeTraceparent(): string | undefined {
    try {
      return traceparentOf(this.#options?.parentContext?.());
    } catch (error) {
      if (!this.#parentContextFailed) this.diagnose('parent_context_failed', String(error));
      this.#parentContextFailed = true;
      return undefined;
    }
  }

  /** Takes a span that has ended. */
  record(span: Span): void {
    if (this.#final?.state === 'stopped') return;
    this.#created += 1;
    this.#newest = span;
    if (this.#final !== undefined) this.#final = this.#settled('failed', 'emitter_failed');
    else if (this.#live !== undefined) this.#live.record(span);
    else this.#early.add(span);
  }

  /** Loads the module, connects, and hands over what came early. */
  async start(options: EmitterOptions): Promise<void> {
    this.#options = options;
    try {
      await load();
      if (this.#final === undefined) this.#goLive(new Live(options, this));
    } catch (error) {
      this.broke(error);
    }
  }

  stats(): EmitterStats {
    const stats = this.#look();
    const lastTraceId = this.#newest && this.#live?.traceId(this.#newest);
    return lastTraceId === undefined ? stats : { ...stats, lastTraceId };
  }

  flush(): Promise<void> {
    const { acknowledged, pending, lost } = this.#look();
    const end = acknowledged + rejected(lost) + pending;
    this.#live?.hurry();
    // Updates are settled in their order, so that many must have gone.
    return this.#until((now) => now.pending === 0 || now.acknowledged + rejected(now.lost) >= end);
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  changed(): void {
    const stats = this.#look();
    this.#waiting = this.#waiting.filter((isOver) => !isOver(stats));
  }

  broke(error: unknown): void {
    if (this.#final !== undefined) return;
    this.#look();
    this.diagnose('emitter_failed', `traced writes are not recorded any more: ${error}`);
    this.#end(this.#settled('failed', 'emitter_failed'));
  }

  /** In a microtask of its own, so that the app's code never runs in the middle of ours. */
  diagnose(kind: string, message: string): void {
    queueMicrotask(() => this.#options?.onDiagnostic?.({ kind, message }));
  }

  #goLive(live: Live): void {
    const { spans, lost } = this.#early;
    this.#early = new EarlyQueue();
    this.#live = live;
    for (const span of spans) live.record(span);
    if (lost > 0) live.lose(lost, 'queue_full');
    if (this.#stopping !== undefined) live.end();
    this.changed();
  }

  async #stop(): Promise<void> {
    let deadline: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => {
      deadline = setTimeout(resolve, STOP_DEADLINE_MS);
    });
    this.#live?.end();
    await Promise.race([this.#until(({ state }) => state === 'stopped' || state === 'failed'), timeout]);
    clearTimeout(deadline);
    this.#live?.abandon();
    this.#look();
    if (this.#final === undefined) this.#end(this.#settled('stopped', 'page_closed'));
  }

  /** The account now. */
  #look(): EmitterStats {
    if (this.#final !== undefined) return { ...this.#final, lost: { ...this.#final.lost } };
    const early = this.#early;
    const account =
      this.#live === undefined
        ? {
            state: 'loading' as const,
            created: this.#created,
            acknowledged: 0,
            pending: early.spans.length,
            lost: early.lost > 0 ? { queue_full: early.lost } : {},
          }
        : this.#live.stats();
    // Asking may itself find the module broken.
    if (this.#final !== undefined) return this.#final;
    this.#account = account ?? this.#account;
    return this.#account;
  }

  /** The account when nothing is pending any more, because all that was is lost under `reason`. */
  #settled(state: 'failed' | 'stopped', reason: string): EmitterStats {
    const { acknowledged, lost } = this.#final ?? this.#account;
    const gone = this.#created - Object.values(lost).reduce((sum, count) => sum + count, acknowledged);
    return {
      state,
      created: this.#created,
      acknowledged,
      pending: 0,
      lost: gone > 0 ? { ...lost, [reason]: (lost[reason] ?? 0) + gone } : lost,
    };
  }

  #end(account: EmitterStats): void {
    this.#final = account;
    this.#live = undefined;
    this.#early = new EarlyQueue();
    this.changed();
  }

  #until(isOver: (stats: EmitterStats) => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push((stats) => {
        const over = isOver(stats);
        if (over) resolve();
        return over;
      });
      this.changed();
    });
  }
}

function rejected(lost: EmitterStats['lost']): number {
  return lost.rejected ?? 0;
}
