import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Emitter } from 'atomwire';
import manifest from 'atomwire/package.json' with { type: 'json' };
import { expect } from 'vitest';
import { bundle, weigh } from '../../bench/lib/bundle.mjs';
import { withRelay } from '../lib/browser.ts';
import { serve } from '../lib/site.ts';
import { test } from '../lib/test.ts';
import { until } from '../lib/until.ts';

declare global {
  interface Window {
    emitter: Emitter;
  }
}

/**
 * What Vite ships, gzip, in bytes: `loads` without being asked for, its preload helper included, and `onDemand` where
 * an earlier page left something or `persist` asks. Jotai is the app's own.
 */
const BUDGET = {
  'startEmitter and atomWithTracing': {
    source: `export { startEmitter } from 'atomwire'; export { atomWithTracing } from 'atomwire/jotai';`,
    loads: 14_800,
    onDemand: 4_000,
  },
  atomwire: { source: `export * from 'atomwire';`, loads: 13_300, onDemand: 4_000 },
  'atomwire/jotai': { source: `export * from 'atomwire/jotai';`, loads: 2_900, onDemand: 0 },
  'atomwire/slim': { source: `export * from 'atomwire/slim';`, loads: 7_600, onDemand: 4_000 },
  'atomwire/module.wasm': {
    source: `export { default } from 'atomwire/module.wasm?url';`,
    loads: 5_500,
    onDemand: 0,
  },
};

/** An app's page, Jotai included. */
const PAGE = `
  import { startEmitter } from 'atomwire';
  import { atomWithTracing } from 'atomwire/jotai';
  import { createStore } from 'jotai/vanilla';
  const url = new URLSearchParams(location.search).get('relay');
  window.emitter = startEmitter({ url, service: { name: 'budget' } });
  createStore().set(atomWithTracing('count', 0), 1);`;

test.for(Object.entries(BUDGET))('%s stays within its budget', async ([, { source, loads, onDemand }]) => {
  const weight = weigh(await bundle(source));
  expect(weight.loads).toBeLessThanOrEqual(loads);
  expect(weight.onDemand).toBeLessThanOrEqual(onDemand);
});

test('every entry of the package has its budget', () => {
  const entries = Object.keys(manifest.exports).filter((entry) => entry !== './package.json');
  const names = entries.map((entry) => entry.replace('.', 'atomwire'));
  expect(names.filter((name) => !(name in BUDGET))).toEqual([]);
});

test('what the budget takes for on demand, a page that works does not load', async ({
  page,
  relay,
  directory,
  onTestFinished,
}) => {
  const files = await bundle(PAGE, { external: [] });
  const entry = files.find(({ when }) => when === 'entry');
  await mkdir(join(directory, 'assets'));
  for (const { name, bytes } of files) await writeFile(join(directory, name), bytes);
  await writeFile(
    join(directory, 'index.html'),
    `<!doctype html><link rel="icon" href="data:,"><script type="module" src="/${entry?.name}"></script>`,
  );
  const site = await serve(directory);
  onTestFinished(() => site.close());
  const loaded = new Set<string>();
  page.on('request', (request) => loaded.add(new URL(request.url()).pathname.slice(1)));
  await page.goto(withRelay(site.url, relay.stream));
  await until('the write is acknowledged', () =>
    page.evaluate(() => window.emitter.stats().acknowledged === 1),
  );
  const counted = files.filter(({ when }) => when !== 'on demand').map(({ name }) => name);
  expect([...loaded].sort()).toEqual(['', ...counted].sort());
});
