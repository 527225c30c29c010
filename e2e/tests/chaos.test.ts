import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, inject } from 'vitest';
import { report } from '../chaos/report.ts';
import { run } from '../chaos/run.ts';
import { judge } from '../chaos/verdict.ts';
import { at } from '../lib/paths.ts';
import { Database } from '../lib/rows.ts';
import { test } from '../lib/test.ts';

/** `npm run chaos` asks for more. */
const {
  CHAOS_SEED: seed = '1736',
  CHAOS_UPDATES: updates = '5000',
  CHAOS_FAULTS: faults = '10',
  CHAOS_SESSIONS: sessions = '20',
  CHAOS_RATE: rate = '500',
  CHAOS_ACKNOWLEDGE: acknowledge = 'taken',
} = process.env;

/** For starting and settling, in milliseconds, beside the time of the writing itself and of each fault. */
const ALLOWANCE = 240_000;
const EACH_FAULT = 2_000;
/** Sessions with most to say write for this many times as long as the average. */
const LONGEST = 1.5;

const time = ALLOWANCE + EACH_FAULT * Number(faults) + (LONGEST * 1000 * Number(updates)) / Number(rate);

test(`nothing is lost uncounted, whatever happens (seed ${seed})`, { timeout: time }, async ({
  context,
  directory,
  onTestFinished,
}) => {
  const options = {
    seed: Number(seed),
    updates: Number(updates),
    faults: Number(faults),
    sessions: Number(sessions),
    rate: Number(rate),
    acknowledge: acknowledge === 'delivered' ? ('delivered' as const) : ('taken' as const),
    site: inject('tab'),
    away: inject('demo'),
    say: (line: string) => console.log(line),
    onEnd: onTestFinished,
  };
  const database = new Database(join(directory, 'rows.sqlite'));
  const handled = new Database(join(directory, 'handled.sqlite'));
  const evidence = await run(context, { database, handled }, options);
  const verdict = judge(evidence);
  const text = report(evidence, verdict);
  const folder = at('test-results', 'chaos');
  await mkdir(folder, { recursive: true });
  const { log, ...rest } = evidence;
  await writeFile(join(folder, 'report.md'), text);
  await writeFile(
    join(folder, 'report.json'),
    JSON.stringify({ verdict, faults: log.struck, ...rest }, null, 1),
  );
  // What is wrong can be looked for there.
  if (verdict.problems.length > 0) await copyFile(database.file, join(folder, 'rows.sqlite'));
  console.log(text);
  expect(verdict.problems).toEqual([]);
});
