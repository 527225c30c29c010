import type { Counts, Recorder } from '../write/Recorder.js';
import type { Core } from './Core.js';
import type { Intake } from './intakeOf.js';
import type { Settings } from './settingsOf.js';

/** What the list takes where the module decides what is lost. */
const MOST_LISTED = 1_000;
const MOST_CHARS = 1024 * 1024;

// What the module counts, in its own order.
export const CREATED = 0;
const PENDING = 2;
const QUEUE_FULL = 3;
export const SETTLED = 10;

/** What became of a session's updates. */
export interface Account {
  /** As last seen: a module that has trapped cannot be asked. Behind them stands the first number not settled. */
  readonly counts: Counts;
  look(): void;
  /** Takes the page's list, and says how much more may wait in it. Whether there was anything. */
  take(recorder: Recorder): boolean;
}

/** Begins the module's session, whose seed it has at `input`, and whose first number is `base`. */
export function accountOf(
  core: Core,
  intake: Intake,
  { maxUpdates, maxBytes, dropOldest }: Settings,
  base: number,
): Account {
  core.start(maxUpdates, maxBytes, dropOldest ? 1 : 0);
  /** The number up to which all was settled when the module's own queue was last full. */
  let fullAt: number | undefined;
  const account = {
    counts: [] as Counts,
    look(): Counts {
      account.counts = Array.from(
        { length: SETTLED + 1 },
        (_, which) => core.count(which) - (which === CREATED ? base : 0),
      );
      return account.counts;
    },
    take(recorder: Recorder) {
      const list = recorder.take();
      let counts = account.look();
      if (list.length > 0) {
        // Should the module trap on them, they are counted.
        const full = recorder.tally(counts, list)[QUEUE_FULL];
        for (const entry of list) if ('era' in entry && entry.era !== recorder.era) entry.move();
        intake.take(list);
        counts = account.look();
        if (counts[QUEUE_FULL] !== full) fullAt = counts[SETTLED];
      }
      const { [PENDING]: pending = 0 } = counts;
      recorder.dropOldest = dropOldest;
      recorder.maxChars = dropOldest ? MOST_CHARS : maxBytes;
      recorder.maxUpdates = dropOldest
        ? MOST_LISTED
        : pending > 0 && fullAt === counts[SETTLED]
          ? 0
          : maxUpdates - pending;
      return list.length > 0;
    },
  };
  return account;
}
