import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import type { BrowserProviderOption } from 'vitest/node';
import '../scripts/lib/mapGroupBy.mjs';
import { CHROMIUM } from './tests/chromium.ts';
import { firefox } from './tests/firefox.ts';

/** Tests in a browser, in which `jotai` is one of the versions that are installed. */
function inBrowser(
  name: string,
  {
    include = ['tests/browser/**/*.test.{ts,tsx}'],
    jotai = 'jotai',
    browser = 'chromium',
    provider,
  }: {
    include?: string[];
    jotai?: string;
    browser?: 'chromium' | 'firefox';
    provider: BrowserProviderOption;
  },
): TestProjectInlineConfiguration {
  return {
    cacheDir: `node_modules/.vite/${name}`,
    resolve: { alias: [{ find: /^jotai(?=\/|$)/, replacement: jotai }] },
    optimizeDeps: {
      // What is built anew between two runs is not to be taken from a cache.
      exclude: ['atomwire'],
      // Found in the middle of a run, they would reload the page under a test.
      include: [
        'idb',
        jotai,
        `${jotai}/utils`,
        `${jotai}/vanilla`,
        'jotai-family',
        'fast-check',
        '@opentelemetry/api',
        '@opentelemetry/context-zone',
        'react',
        'react-dom/client',
        'react/jsx-dev-runtime',
      ],
    },
    test: {
      name,
      include,
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

const chromium = playwright({ launchOptions: CHROMIUM });

// What is tested is dist/: the package as it is installed, by its own name.
export default defineConfig({
  test: {
    // The browser's own reports of rejections, which many tests are about.
    silent: 'passed-only',
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
      inBrowser('browser', { provider: chromium }),
      inBrowser('browser-firefox', { browser: 'firefox', provider: firefox() }),
      // What does not show must not show with the oldest version either.
      inBrowser('browser-jotai-2', {
        include: ['tests/browser/transparent/**/*.test.{ts,tsx}'],
        jotai: 'jotai-2',
        provider: chromium,
      }),
    ],
  },
});
