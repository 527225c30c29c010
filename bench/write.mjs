// npm run bench:write: what a traced write costs the page, beside a plain atom and OpenTelemetry's own SDK.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { build } from 'vite';
import { at, chromium as chromiumPath } from '../scripts/lib/project.mjs';
import { startRelay } from './lib/relay.mjs';
import { startSite } from './lib/site.mjs';
import { median, summary } from './lib/summary.mjs';

const VARIANTS = ['plain', 'atomwire', 'opentelemetry'];
const SIZES = ['110 B', '2 KB'];
const BURSTS = 20;
const WRITES = 500;
const EVERY_MS = 5;
const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const { values: flags } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    rounds: { type: 'string', default: '5' },
    writes: { type: 'string', default: '1000' },
  },
});
const [runs, roundCount, pacedWrites] = [flags.runs, flags.rounds, flags.writes].map(Number);

const loadBefore = loadAverage();
const directory = mkdtempSync(join(tmpdir(), 'atomwire-bench-'));
await build({
  root: at('bench/page'),
  configFile: false,
  logLevel: 'warn',
  build: { outDir: directory, emptyOutDir: true, target: 'es2022' },
});
const site = await startSite(directory);
const relay = await startRelay();
const browser = await chromium.launch({ executablePath: chromiumPath(), args: CHROMIUM_FLAGS });
try {
  const results = [];
  for (let run = 0; run < runs; run += 1) results.push(await measure(run));
  print(results);
} finally {
  await browser.close();
  relay.stop();
  site.close();
  rmSync(directory, { recursive: true });
}

/** One page's life; results by variant and size. */
async function measure(run) {
  const page = await browser.newPage();
  page.on('pageerror', (error) => console.error(error));
  await page.goto(`${site.url}?relay=${encodeURIComponent(relay.url)}`);
  await page.waitForFunction(() => window.bench?.stats().state === 'connected');
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable');
  const spansBefore = site.spans();
  const results = {};
  for (const size of SIZES) {
    const order = VARIANTS.map((_, at) => VARIANTS[(at + run) % VARIANTS.length]);
    const rounds = [];
    for (let round = 0; round <= roundCount; round += 1) {
      const costs = {};
      for (const variant of order) costs[variant] = await writeBursts(page, devtools, variant, size);
      // The first warms up the page's compilers.
      if (round > 0) rounds.push(costs);
    }
    for (const variant of order) {
      results[`${variant} ${size}`] = {
        inWrite: median(rounds.flatMap((round) => round[variant].inWrite)),
        burstTask: median(rounds.map((round) => round[variant].task)),
        pacedTask: await writePaced(page, devtools, variant, size),
      };
    }
  }
  const stats = await page.evaluate(() => window.bench.stats());
  const made = SIZES.length * ((1 + roundCount) * BURSTS * WRITES + pacedWrites);
  results.lost = {
    atomwire: made - stats.acknowledged,
    opentelemetry: made - (site.spans() - spansBefore),
  };
  await page.close();
  return results;
}

/** Bursts of writes; what a write took by the page's clock, burst by burst, and all in all on the main thread. */
async function writeBursts(page, devtools, variant, size) {
  const before = await taskMicroseconds(devtools);
  const inWrite = await page.evaluate(
    async ({ variant, size, bursts, writes }) => {
      const costs = [];
      for (let number = 0; number < bursts; number += 1) {
        costs.push(window.bench.burst(variant, size, writes));
        await window.bench.settle();
      }
      return costs;
    },
    { variant, size, bursts: BURSTS, writes: WRITES },
  );
  return { inWrite, task: ((await taskMicroseconds(devtools)) - before) / (BURSTS * WRITES) };
}

/** One write at a time; what each took on the main thread. */
async function writePaced(page, devtools, variant, size) {
  const before = await taskMicroseconds(devtools);
  await page.evaluate(
    async ({ variant, size, writes, everyMs }) => {
      await window.bench.paced(variant, size, writes, everyMs);
      await window.bench.settle();
    },
    { variant, size, writes: pacedWrites, everyMs: EVERY_MS },
  );
  return ((await taskMicroseconds(devtools)) - before) / pacedWrites;
}

async function taskMicroseconds(devtools) {
  const { metrics } = await devtools.send('Performance.getMetrics');
  return metrics.find(({ name }) => name === 'TaskDuration').value * 1e6;
}

function print(results) {
  console.log('| value | atom | in the write | main thread, bursts | main thread, one at a time | lost |');
  console.log('| --- | --- | --- | --- | --- | --- |');
  for (const size of SIZES) {
    for (const variant of VARIANTS) {
      const cells = [
        ['inWrite', 2],
        ['burstTask', 2],
        ['pacedTask', 0],
      ].map(([cost, digits]) => {
        const added = (run) => run[`${variant} ${size}`][cost] - run[`plain ${size}`][cost];
        const own = (run) => run[`${variant} ${size}`][cost];
        return summary(results.map(variant === 'plain' ? own : added), digits);
      });
      const lost = variant === 'plain' ? '' : results.reduce((sum, run) => sum + run.lost[variant], 0);
      console.log(
        `| ${size} | ${variant === 'plain' ? '' : '+ '}${variant} | ${cells.join(' | ')} | ${lost} |`,
      );
    }
  }
  console.log(
    `\nµs a write; rows with + add to the plain atom of the same page. ${runs} pages, ${roundCount} rounds of ` +
      `${BURSTS} bursts of ${WRITES} writes, then ${pacedWrites} writes one each ${EVERY_MS} ms, all flushes ` +
      `included; load average ${loadBefore} before, ${loadAverage()} after`,
  );
}

function loadAverage() {
  return readFileSync('/proc/loadavg', 'utf8').split(' ')[0];
}
