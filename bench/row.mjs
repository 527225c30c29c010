// npm run bench:row: from a client's write to the row that the Python consumer has committed.

import { parseArgs } from 'node:util';
import { buildBench } from '../scripts/lib/build.mjs';
import { python } from '../scripts/lib/project.mjs';
import { inTurns, measure } from './lib/load.mjs';
import { Report } from './lib/Report.mjs';
import { targetTable } from './lib/relayTables.mjs';

const COLUMNS = [
  { title: 'rows/s', of: ({ rate }) => rate, digits: 0 },
  { title: 'lost', of: ({ lost }) => lost, digits: 0 },
  { title: 'p50 ms', of: ({ p50_ms }) => p50_ms, digits: 2 },
  { title: 'p99 ms', of: ({ p99_ms }) => p99_ms, digits: 2 },
];
const CONSUMERS = [
  { name: 'atomwire consumer, no spans', consumer: 'atomwire' },
  { name: 'atomwire consumer, all spans', consumer: 'atomwire', spans: true },
  { name: 'bare pyzmq and sqlite3', consumer: 'bare' },
];
const LOADS = [
  { name: 'at 100/s', updates: 500, rate: 100 },
  { name: 'at once', updates: 20_000 },
];

const { values: flags } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    // The table into the README.
    save: { type: 'boolean', default: false },
  },
});
const cases = LOADS.flatMap((load) =>
  CONSUMERS.map((consumer) => ({ ...load, ...consumer, name: `${consumer.name}, ${load.name}` })),
);
await buildBench();
const results = await inTurns(cases, Number(flags.runs), ({ name, ...given }) =>
  measure('row', { ...given, python }),
);
const report = new Report();
report.say(...targetTable(results, COLUMNS), '', `${flags.runs} runs in turns`);
if (flags.save) report.save('row');
