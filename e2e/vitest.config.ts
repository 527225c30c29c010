import { defineConfig } from 'vitest/config';
import '../scripts/lib/mapGroupBy.mjs';

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
