// npm run chaos: a million updates and a hundred faults by default, then the books.
// `npm run chaos -- --seed 7 --updates 50000 --faults 40` for another run; the schedule follows from the seed.

import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import {
  buildBench,
  buildDemo,
  buildEmitter,
  buildRelay,
  installNodePackages,
  installPythonPackages,
} from './lib/build.mjs';
import { at, checkPrograms, chromium, Remedy } from './lib/project.mjs';
import { run } from './lib/run.mjs';

const DEFAULTS = { updates: 1_000_000, faults: 110, sessions: 200, rate: 3_000 };

/** By flag; the seed is a new one unless it is given. */
function settings() {
  const defaults = { seed: 1 + Math.floor(Math.random() * 999_999), ...DEFAULTS, acknowledge: 'taken' };
  const flags = Object.keys(defaults);
  const options = Object.fromEntries(flags.map((flag) => [flag, { type: 'string' }]));
  let values;
  try {
    ({ values } = parseArgs({ options }));
  } catch (error) {
    throw new Remedy(`${error.message}\nflags are ${flags.map((flag) => `--${flag}`).join(', ')}`);
  }
  for (const [flag, value] of Object.entries(values)) {
    if (flag === 'acknowledge') {
      if (!['taken', 'delivered'].includes(value))
        throw new Remedy(`--acknowledge ${value}: neither taken nor delivered`);
    } else if (!/^[1-9]\d{0,8}$/.test(value))
      throw new Remedy(`--${flag} ${value}: not a whole number from 1 to 999,999,999`);
  }
  return { ...defaults, ...values };
}

await run(async () => {
  const chosen = settings();
  checkPrograms({ tests: true });
  await Promise.all([installNodePackages(), installPythonPackages(['dev'])]);
  await buildRelay();
  await buildBench();
  await buildEmitter();
  await buildDemo();
  console.log(
    `npm run chaos -- ${Object.entries(chosen)
      .map(([flag, value]) => `--${flag} ${value}`)
      .join(' ')}`,
  );
  const env = { ...process.env, CHROMIUM: chromium() };
  for (const [flag, value] of Object.entries(chosen)) env[`CHAOS_${flag.toUpperCase()}`] = String(value);
  const vitest = ['vitest', 'run', 'tests/chaos.test.ts', '--disableConsoleIntercept'];
  const child = spawn('npx', vitest, { cwd: at('e2e'), env, stdio: ['ignore', 'inherit', 'inherit'] });
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  if (code !== 0) throw new Remedy('the report is in test-results/chaos/');
});
