import type { Direction } from '../lib/Network.ts';
import { Random } from '../lib/Random.ts';

/** Everything that can be done to a part. */
const KINDS = [
  'relay killed',
  'relay ended',
  'consumer killed',
  'consumer ended',
  'consumer stopped',
  'subscriber stopped',
  'connections cut',
  'some connections cut',
  'connections stalled',
  'connections slow',
  'connections half-closed',
  'connections refused',
  'tab closed',
  'tab reloaded',
  'tab away and back',
  'tab crashed',
  'collector stalled',
  'collector gone',
] as const;

export type Kind = (typeof KINDS)[number];

/** How many tabs there are: every second one persists. */
export const TABS = 4;

/**
 * How long a fault lasts that has a duration, in milliseconds: less than the 5 s after which a relay cuts off a
 * client that takes nothing, so that a stall is not one more cut.
 */
const DURATION = { least: 50, most: 4_000 };

/** One thing that is done to one part. */
export interface Fault {
  /** As soon as this many updates were made. */
  at: number;
  kind: Kind;
  /** Milliseconds until it is over; means nothing for what is over at once. */
  duration: number;
  /** For tabs: which. */
  tab: number;
  /** For what is done to connections: in which direction. */
  direction: Direction;
}

/** What happens in a run: a function of its arguments. */
export function schedule(seed: number, updates: number, faults: number): Fault[] {
  const random = new Random(seed);
  const kinds: Kind[] = [];
  // Every kind comes once before any comes again.
  while (kinds.length < faults) kinds.push(...random.shuffle(KINDS));
  // Within the first nine tenths, so that the last one's end is seen, too.
  const step = (updates * 0.9) / faults;
  return kinds.slice(0, faults).map((kind, index) => ({
    at: Math.floor((index + random.next()) * step),
    kind,
    duration: random.between(DURATION.least, DURATION.most),
    tab: random.between(0, TABS - 1),
    direction: random.pick(kind === 'connections half-closed' ? ['up', 'down'] : ['up', 'down', 'both']),
  }));
}
