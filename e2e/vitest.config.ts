import { defineConfig } from 'vitest/config';

// Vitest's reporters call it; without it, on Node 20, every failed test would be reported as its absence.
Map.groupBy ??= <K, T>(items: Iterable<T>, keyOf: (item: T, index: number) => K): Map<K, T[]> => {
  const groups = new Map<K, T[]>();
  let index = 0;
  for (const item of items) {
    const key = keyOf(item, index++);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
};

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    globalSetup: ['lib/globalSetup.ts'],
    // A browser, a relay and a consumer at a time are what two cores carry.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
  },
});
