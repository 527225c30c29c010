// npm run bench:account: how long the account of ten million rows takes.

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { at, python } from '../scripts/lib/project.mjs';
import { inTurns } from './lib/load.mjs';
import { Report } from './lib/Report.mjs';
import { targetTable } from './lib/relayTables.mjs';

const run = promisify(execFile);
const COLUMNS = [{ title: 'seconds', of: ({ seconds }) => seconds, digits: 2 }];
const BOOKS = [
  { books: 'smooth', holes: 0, topics: 1 },
  { books: '10,000 holes, 1,000 topics with gaps', holes: 10_000, topics: 1_000 },
];

const { values: flags } = parseArgs({
  options: {
    rows: { type: 'string', default: '10000000' },
    sessions: { type: 'string', default: '100000' },
    runs: { type: 'string', default: '5' },
    // A server to make databases on, such as postgresql://user@host.
    postgresql: { type: 'string' },
    // The table into the README.
    save: { type: 'boolean', default: false },
  },
});
const directory = await mkdtemp(join(tmpdir(), 'atomwire-account-'));
try {
  const cases = BOOKS.flatMap((books, number) => [
    { ...books, name: `SQLite, ${books.books}`, url: `sqlite:///${join(directory, `${number}.sqlite`)}` },
    ...(flags.postgresql
      ? [
          {
            ...books,
            name: `PostgreSQL, ${books.books}`,
            url: `${flags.postgresql}/atomwire_bench_${number}`,
          },
        ]
      : []),
  ]);
  for (const { url, holes, topics } of cases) {
    await run(python, [at('bench/load/books.py'), url, flags.rows, flags.sessions, `${holes}`, `${topics}`]);
  }
  const results = await inTurns(cases, Number(flags.runs), async ({ url }) => {
    const started = performance.now();
    await run(python, ['-m', 'atomwire', 'account', '--database-url', url]);
    return { seconds: (performance.now() - started) / 1000 };
  });
  const report = new Report();
  report.say(...targetTable(results, COLUMNS), '', `${flags.runs} runs in turns`);
  if (flags.save) report.save('account');
} finally {
  await rm(directory, { recursive: true });
}
