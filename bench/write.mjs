// npm run bench:write: what a traced write costs the page and the network, beside a plain atom and others' SDKs.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { build } from 'vite';
import { at, chromium as chromiumPath } from '../scripts/lib/project.mjs';
import { BURST_WRITES, BURSTS, EVERY_MS, measureCost, SIZES } from './lib/cost.mjs';
import { plot } from './lib/plot.mjs';
import { startProxy } from './lib/proxy.mjs';
import { Report } from './lib/Report.mjs';
import { startRelay } from './lib/relay.mjs';
import { startSite } from './lib/site.mjs';
import { byteTable, costTable, PEERS, panels, ratioTable, STRINGIFY } from './lib/tables.mjs';
import { Visit } from './lib/Visit.mjs';
import { LONE_WRITES, measureWire, STREAM_WRITES } from './lib/wire.mjs';

const PLOT = at('docs/images/write-cost.svg');
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
    runs: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    writes: { type: 'string', default: '400' },
    // Peers by name, with commas between.
    only: { type: 'string', default: Object.keys(PEERS).join() },
    // Tables into the README, and the plot.
    save: { type: 'boolean', default: false },
  },
});
const [runs, rounds, writes] = [flags.runs, flags.rounds, flags.writes].map(Number);
const peers = Object.keys(PEERS).filter((peer) => flags.only.split(',').includes(peer));

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
  const results = Object.fromEntries(peers.map((peer) => [peer, []]));
  for (let run = 0; run < runs; run += 1) {
    for (let turn = 0; turn < peers.length; turn += 1) {
      const peer = peers[(turn + run) % peers.length];
      const visit = await open(peer, site.port, relay.port);
      const costs = await measureCost(visit, { rounds, writes, odd: run % 2 === 1 });
      results[peer].push({ costs });
      await visit.close();
    }
  }
  const bytes = {};
  for (const peer of peers.filter((peer) => peer !== STRINGIFY)) bytes[peer] = await wire(peer);
  report(results, bytes);
} finally {
  await browser.close();
  relay.stop();
  site.close();
  rmSync(directory, { recursive: true });
}

function open(peer, sitePort, relayPort) {
  const stream = encodeURIComponent(`ws://127.0.0.1:${relayPort}/v1/stream`);
  const url = `http://127.0.0.1:${sitePort}/?peer=${peer}&relay=${stream}`;
  if (peer === STRINGIFY) return Visit.open(browser, url);
  return Visit.open(browser, url, peer === 'atomwire' ? relay.published : site.updates);
}

/** The bytes of one page's life, counted on the way; the ways cost time, so nothing else is measured here. */
async function wire(peer) {
  const ways = { site: await startProxy(site.port), relay: await startProxy(relay.port) };
  const visit = await open(peer, ways.site.port, ways.relay.port);
  const bytes = await measureWire(visit, {
    sent: () => ways.site.sent() + ways.relay.sent(),
    bodies: site.bodyBytes,
  });
  await visit.close();
  for (const way of Object.values(ways)) way.close();
  return bytes;
}

function report(results, bytes) {
  const bursts = SIZES.map((size) => `${BURST_WRITES[size]} writes of ${size}`).join(', ');
  const costs = new Report();
  costs.say(
    ...costTable(results),
    '',
    `µs a write; rows with + add to the plain atom of the same page. ${runs} pages each, ${rounds} rounds of`,
    `${BURSTS} bursts (${bursts}),`,
    `then ${writes} writes one each ${EVERY_MS} ms, all flushes included; load average ${loadBefore} before,`,
    `${loadAverage()} after`,
  );
  if (STRINGIFY in results) costs.say('', ...ratioTable(results));
  console.log('');
  const wires = new Report();
  wires.say(
    ...byteTable(bytes),
    '',
    `Bytes an update that the page sends, with the headers of HTTP and WebSocket: of ${STREAM_WRITES} writes one each`,
    `${EVERY_MS} ms, and of ${LONE_WRITES} each flushed by itself`,
  );
  if (!flags.save) return;
  costs.save('write');
  wires.save('wire');
  const names = Object.keys(results).map((peer) => PEERS[peer]);
  writeFileSync(PLOT, plot(panels(results), names, PEERS.atomwire));
}

function loadAverage() {
  return readFileSync('/proc/loadavg', 'utf8').split(' ')[0];
}
