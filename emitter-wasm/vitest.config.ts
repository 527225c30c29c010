import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import type { BrowserProviderOption } from 'vitest/node';
import '../scripts/lib/mapGroupBy.mjs';
import { CHROMIUM } from './tests/chromium.ts';
import { firefox } from './tests/firefox.ts';

/** The browser suite in one of the browsers. */
function inBrowser(
  name: string,
  browser: 'chromium' | 'firefox',
  provider: BrowserProviderOption,
): TestProjectInlineConfiguration {
  return {
    optimizeDeps: {
      // What is built anew between two runs is not to be taken from a cache.
      exclude: ['atomwire'],
      // Found in the middle of a run, they would reload the page under a test.
      include: [
        'idb',
        'jotai',
        'jotai/utils',
        'jotai/vanilla',
        'jotai-family',
        'react',
        'react-dom/client',
        'react/jsx-dev-runtime',
      ],
    },
    test: {
      name,
      include: ['tests/browser/**/*.test.{ts,tsx}'],
      globalSetup: ['tests/peer/globalSetup.ts'],
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider,
        instances: [{ browser }],
      },
    },
  };
}

// What is tested is dist/: the package as it is installed, by its own name.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'node',
          environment: 'node',
          include: ['tests/node/**/*.test.ts'],
          typecheck: {
            enabled: true,
            include: ['tests/node/**/*.test-d.ts'],
            tsconfig: 'tests/tsconfig.json',
          },
        },
      },
      {
        test: {
          name: 'pages',
          environment: 'node',
          include: ['tests/pages/**/*.test.ts'],
          globalSetup: ['tests/pages/stage/requireRelay.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
          expect: { poll: { timeout: 10_000 } },
        },
      },
      inBrowser('browser', 'chromium', playwright({ launchOptions: CHROMIUM })),
      inBrowser('browser-firefox', 'firefox', firefox()),
    ],
  },
});
