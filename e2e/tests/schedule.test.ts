import { expect, test } from 'vitest';
import { schedule } from '../chaos/schedule.ts';

test('a schedule follows from its seed, and has every kind of fault before any comes again', () => {
  const faults = schedule(7, 100_000, 36);
  expect(schedule(7, 100_000, 36)).toEqual(faults);
  expect(schedule(8, 100_000, 36)).not.toEqual(faults);
  expect(faults).toHaveLength(36);
  const kinds = faults.map(({ kind }) => kind);
  expect(new Set(kinds.slice(0, 18)).size).toBe(18);
  expect(new Set(kinds.slice(18)).size).toBe(18);
  const times = faults.map(({ at }) => at);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  expect(times.at(-1)).toBeLessThan(90_000);
});
