import type { EmitterStats } from './EmitterStats.js';

/** The page's emitter, as its starter holds it. */
export interface Emitter {
  /** What became of every traced write so far. */
  stats(): EmitterStats;
  /** Sends what is pending at once; settles when it is acknowledged or lost. Never rejects. */
  flush(): Promise<void>;
  /**
   * Flushes, for two seconds at the most, and ends the session; what is left goes in a last request, whose answer
   * has two seconds more. What the relay has not taken by then is counted as lost (`page_closed`); later writes are
   * plain Jotai writes, and nothing counts them. Never rejects.
   */
  shutdown(): Promise<void>;
}
