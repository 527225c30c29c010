import { EarlyQueue } from './EarlyQueue.js';
import type { EmitterOptions } from './EmitterOptions.js';
import type { EmitterStats } from './EmitterStats.js';
import { type LeftSession, Live, type LiveEvents } from './Live.js';
import { load } from './load.js';
import { lossWords } from './lossWords.js';
import type { Owner, Persistence } from './persist/Persistence.js';
import type { Span } from './Span.js';
import { settingsOf } from './settingsOf.js';
import { traceparentOf } from './traceparentOf.js';

/** How long `stop` waits for the relay: about as long as people wait for something to close. */
const STOP_DEADLINE_MS = 2_000;

const LOADING: EmitterStats = { state: 'loading', created: 0, acknowledged: 0, pending: 0, lost: {} };

/** Takes ended spans: while the module loads, while it lives, and after it failed. */
export class Recorder implements LiveEvents, Owner {
  /** Counts sessions: a span of an earlier one has its ids there. */
  era = 0;
  /** Updates of this session. */
  created = 0;
  #options: EmitterOptions | undefined;
  #positions = 0;
  #newest: Span | undefined;
  #early = new EarlyQueue();
  #live: Live | undefined;
  /** Opens a session, once the module is there. */
  #open!: (events: LiveEvents, left?: LeftSession) => Live;
  #persistence: Persistence | undefined;
  /** Whether writes wait in `#early` although there is a session. */
  #held = false;
  /** Kinds of diagnostics that were told. */
  readonly #told = new Set<string>();
  /** The account as last seen: the module cannot be asked after a trap. */
  #account: EmitterStats = LOADING;
  /** The account from when it was over. */
  #final: EmitterStats | undefined;
  #stopping: Promise<void> | undefined;
  /** Each asks whether what it waits for has come, and says so. */
  #waiting: ((stats: EmitterStats) => boolean)[] = [];

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
      this.diagnose('parent_context_failed', String(error));
      return undefined;
    }
  }

  /** Takes a span that has ended. */
  record(span: Span): void {
    if (this.#final?.state === 'stopped') return;
    if (span.era !== this.era) span.move();
    this.created += 1;
    this.#newest = span;
    if (this.#final !== undefined) this.#final = this.#settled('failed', 'emitter_failed');
    else if (this.#live !== undefined && !this.#held) this.#live.record(span);
    else if (!this.#early.add(span)) this.diagnose('queue_full');
    this.#persistence?.touch();
  }

  /** Loads the module, connects, and hands over what came early. */
  async start(options: EmitterOptions): Promise<void> {
    this.#options = options;
    try {
      const settings = settingsOf(options, (message) => this.diagnose('invalid_options', message));
      if (this.#early.lost > 0) this.diagnose('queue_full');
      await load();
      if (this.#final !== undefined) return;
      this.#open = (events, left) => new Live(options, settings, events, left);
      this.#goLive(this.#open(this));
      if (options.persist) await this.#persist(options.url);
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
    this.#persistence?.changed();
    const stats = this.#look();
    this.#waiting = this.#waiting.filter((isOver) => !isOver(stats));
  }

  broke(error: unknown): void {
    if (this.#final !== undefined) return;
    this.#look();
    this.#persistence?.stop();
    this.diagnose('emitter_failed', `traced writes are not recorded any more: ${error}`);
    this.#end(this.#settled('failed', 'emitter_failed'));
  }

  /**
   * Once for each kind, in a microtask of its own, so that the app's code never runs in the middle of ours.
   * A loss has words of its own. Before `start` there is nobody to tell.
   */
  diagnose(kind: string, message?: string): void {
    if (this.#options === undefined || this.#told.has(kind)) return;
    this.#told.add(kind);
    const diagnostic = { kind, message: message || (lossWords[kind] ?? '') };
    queueMicrotask(() => this.#options?.onDiagnostic?.(diagnostic));
  }

  get kept(): boolean {
    return this.#persistence?.kept ?? false;
  }

  hold(): void {
    this.#held = true;
  }

  goOn(): void {
    this.#held = false;
    if (this.#live !== undefined) this.#goLive(this.#live);
  }

  renew(): Live {
    this.#live?.abandon(false);
    this.#held = false;
    this.era += 1;
    this.created = this.#early.spans.length + this.#early.lost;
    this.#newest = undefined;
    const live = this.#open(this);
    this.#goLive(live);
    return live;
  }

  restore(left: LeftSession, events: LiveEvents): Live {
    return this.#open(events, left);
  }

  async #persist(url: string): Promise<void> {
    try {
      const { Persistence } = await import('./persist/Persistence.js');
      if (this.#live === undefined || this.#stopping !== undefined) return;
      this.#persistence = new Persistence(url, this, this.#live);
    } catch (error) {
      this.diagnose('persistence_failed', `updates do not outlive this page: ${error}`);
    }
  }

  #goLive(live: Live): void {
    const { spans, lost } = this.#early;
    this.#early = new EarlyQueue();
    this.#live = live;
    for (const span of spans) {
      if (span.era !== this.era) span.move();
      live.record(span);
    }
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
    this.#persistence?.stop();
    this.#live?.abandon(true);
    this.#look();
    if (this.#final === undefined) this.#end(this.#settled('stopped', 'page_closed'));
  }

  /** The account now. */
  #look(): EmitterStats {
    if (this.#final !== undefined) return { ...this.#final, lost: { ...this.#final.lost } };
    const account = this.#live === undefined ? LOADING : this.#live.stats();
    // Asking may itself find the module broken.
    if (this.#final !== undefined) return this.#final;
    if (account !== undefined) this.#account = withEarly(account, this.#early);
    return this.#account;
  }

  /** The account when nothing is pending any more, because all that was is lost under `reason`. */
  #settled(state: 'failed' | 'stopped', reason: string): EmitterStats {
    const { acknowledged, lost } = this.#final ?? this.#account;
    const gone = this.created - Object.values(lost).reduce((sum, count) => sum + count, acknowledged);
    return {
      state,
      created: this.created,
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

/** `account` with what is not in it yet. */
function withEarly(account: EmitterStats, { spans, lost }: EarlyQueue): EmitterStats {
  if (spans.length + lost === 0) return account;
  return {
    ...account,
    created: account.created + spans.length + lost,
    pending: account.pending + spans.length,
    lost: lost === 0 ? account.lost : { ...account.lost, queue_full: (account.lost.queue_full ?? 0) + lost },
  };
}
