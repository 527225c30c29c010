/**
 * How far, in milliseconds, `performance.now()` may run away from `Date.now()` between two looks. Both are rounded
 * to 100 ms where a browser resists fingerprinting, so less would see jumps that are none.
 */
const JUMP = 1_000;

/** Microseconds since the Unix epoch. */
export interface Clock {
  /** When `performance.now()` was `millis`. */
  at(millis: number): number;
  /** Whether the machine slept, or somebody set the clock, since the last look. */
  jumped(): boolean;
}

/**
 * `performance.now()` is fine-grained and never goes back, but in several browsers it stands still while the
 * machine sleeps: then its origin moves. A clock that only drifts is the relay's to measure.
 */
export function newClock(): Clock {
  let origin = performance.timeOrigin;
  let drift = 0;
  const clock = {
    at: (millis: number) => (origin + millis) * 1_000,
    jumped() {
      const before = drift;
      drift = Date.now() - origin - performance.now();
      const jumped = Math.abs(drift - before) > JUMP;
      if (jumped) {
        origin += drift;
        drift = 0;
      }
      return jumped;
    },
  };
  clock.jumped();
  return clock;
}
