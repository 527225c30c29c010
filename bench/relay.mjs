// npm run bench:relay: what the relay costs, beside what a team would write in Node and a bare forwarder.

import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { buildBench } from '../scripts/lib/build.mjs';
import { at } from '../scripts/lib/project.mjs';
import { costLines } from './lib/lines.mjs';
import { inTurns, measure } from './lib/load.mjs';
import { BEHIND_COLLECTOR, POINTS } from './lib/points.mjs';
import { Report } from './lib/Report.mjs';
import { costTable, loadTables, targetTable } from './lib/relayTables.mjs';
import { summary } from './lib/summary.mjs';
import { wantedTable } from './lib/wanted.mjs';

const PLOT = at('docs/images/relay-cost.svg');
const IDLE = [
  { title: 'KB each', of: ({ kb_each }) => kb_each, digits: 1 },
  { title: 'resident MB', of: ({ resident_mb }) => resident_mb, digits: 0 },
];
const STALLED = [
  { title: 'published MB', of: ({ published_mb }) => published_mb, digits: 0 },
  { title: 'peak MB', of: ({ peak_mb }) => peak_mb, digits: 0 },
];
const TARGETS = [
  { name: 'relay', target: 'relay' },
  { name: 'Node gateway', target: 'gateway' },
  { name: 'bare forwarder', target: 'forwarder' },
];

const { values: flags } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    // Of each measurement, instead of its own.
    seconds: { type: 'string' },
    // Tables into the README, and the plot.
    save: { type: 'boolean', default: false },
  },
});
const runs = Number(flags.runs);
await buildBench();
const started = Date.now();

const load = await inTurns(POINTS, runs, loaded);
const collector = await inTurns(BEHIND_COLLECTOR, runs, loaded);
const idle = await inTurns(TARGETS, runs, ({ target }) => measure('idle', { target }));
// Memory that is full is full: once is enough.
const stalled = await inTurns(TARGETS, 1, ({ target }) => measure('stalled', { target }));

const all = [...load, ...collector].flatMap(({ outcomes }) => outcomes);
const report = {
  relay: [
    ...loadTables(load),
    `${runs} runs in turns, ${((Date.now() - started) / 60_000).toFixed(0)} minutes with all below; load and`,
    `subscriber took ${summary(
      all.map((outcome) => outcome.bench_cpu),
      2,
    )} CPU s per million; others took`,
    `${summary(
      all.map(({ others }) => others),
      2,
    )} cores; load average ${loadAverage()} after`,
  ],
  collector: costTable(collector),
  idle: targetTable(idle, IDLE),
  stalled: targetTable(stalled, STALLED),
  wanted: wantedTable({ load, collector, idle, stalled }),
};
for (const [name, lines] of Object.entries(report)) {
  const part = new Report();
  part.say(...lines);
  console.log('');
  if (flags.save) part.save(name);
}
if (flags.save) writeFileSync(PLOT, costLines(load.filter(({ given }) => given.protocol === undefined)));

function loaded({ name, ...given }) {
  return measure('load', { ...given, seconds: flags.seconds ?? given.seconds });
}

function loadAverage() {
  return readFileSync('/proc/loadavg', 'utf8').split(' ')[0];
}
