import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import '../scripts/lib/mapGroupBy.mjs';
import { CHROMIUM } from './tests/chromium.ts';

/** A project of browser tests in which `jotai` is one of the versions that are installed. */
function inBrowser(name: string, include: string[], jotai: string): TestProjectInlineConfiguration {
  return {
    cacheDir: `node_modules/.vite/${name}`,
    resolve: { alias: [{ find: /^jotai(?=\/|$)/, replacement: jotai }] },
    optimizeDeps: {
      // The pre-bundler would move the JavaScript away from the .wasm file that it finds by its own URL.
      exclude: ['atomwire'],
      // Found in the middle of a run, they would reload the page under a test.
      include: [
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
        provider: playwright({ launchOptions: CHROMIUM }),
        instances: [{ browser: 'chromium' }],
      },
    },
  };
}

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
      inBrowser('browser', ['tests/browser/**/*.test.{ts,tsx}'], 'jotai'),
      // What does not show must not show with the oldest version either.
      inBrowser('browser-jotai-2', ['tests/browser/transparent/**/*.test.{ts,tsx}'], 'jotai-2'),
    ],
  },
});
