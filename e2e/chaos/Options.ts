/** What a run is to be. */
export interface Options {
  seed: number;
  updates: number;
  faults: number;
  sessions: number;
  /** Updates a second. */
  rate: number;
  /** When the relay acknowledges an update. */
  acknowledge: 'taken' | 'delivered';
  /** The page that writes, and another one. */
  site: string;
  away: string;
  /** Hears a line of text for each thing that happens. */
  say: (line: string) => void;
  /** Takes what ends a part, in case that the run does not. */
  onEnd: (end: () => Promise<void>) => void;
}
