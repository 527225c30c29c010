import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { expect } from 'vitest';
import { Program } from '../lib/Program.ts';
import { at, root } from '../lib/paths.ts';
import { Database } from '../lib/rows.ts';
import { test } from '../lib/test.ts';
import { until } from '../lib/until.ts';

const PORTS = [5173, 8080, 5555, 5556, 4317, 4318];
const TRACES = 'http://127.0.0.1:8080/traces';

/** Whether somebody listens there. */
async function taken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, 'localhost', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

async function requireFreePorts(): Promise<void> {
  for (const port of PORTS) {
    if (await taken(port))
      throw new Error(`this test needs port ${port}: stop what uses it, npm start perhaps`);
  }
}

/** It would install them anew, underneath these very tests. */
function requireInstalledPackages(): void {
  const stamp = at('.run/stamps/node');
  if (!existsSync(stamp) || statSync(stamp).mtimeMs < statSync(at('package-lock.json')).mtimeMs) {
    throw new Error('npm start would run npm ci: run `npm test -- e2e`, which does it before');
  }
}

/** The ids of all processes that come from `pid`, itself included. */
function family(pid: number): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n');
  const processes = lines.map((line) => line.trim().split(/\s+/).map(Number));
  const found = [pid];
  for (const parent of found) {
    found.push(...processes.filter(([, of]) => of === parent).map(([child = 0]) => child));
  }
  return found;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** It builds what has changed since the last time. */
const BUILD = 600_000;

test('npm start runs everything, and Ctrl-C ends everything', { timeout: 2 * BUILD }, async ({
  directory,
  page,
  onTestFinished,
}) => {
  await requireFreePorts();
  requireInstalledPackages();
  const database = new Database(join(directory, 'start.sqlite'));
  const env = { DATABASE_URL: database.url };
  const start = new Program('npm', ['start'], { cwd: root, env, group: true });
  let processes: number[] = [];
  onTestFinished(async () => {
    await start.stop('SIGINT');
    for (const pid of processes.filter(alive)) process.kill(pid, 'SIGKILL');
  });
  await until(
    'it says where to look',
    () => {
      start.mustRun();
      return start.stdout.includes('Ctrl-C stops everything');
    },
    { timeout: BUILD },
  );
  for (const address of ['http://localhost:5173/', TRACES, 'http://127.0.0.1:8080/metrics']) {
    expect(start.stdout).toContain(address);
    expect((await fetch(address)).status).toBe(200);
  }

  await page.goto('http://localhost:5173/');
  await page.getByRole('button', { name: 'Add Tamago nigiri to cart' }).click();
  await page.goto(TRACES);
  const line = page.getByRole('link', { name: /^Jotai State Update: cart, .* 5 spans, / });
  await until('a trace of five spans', () => line.isVisible());
  await line.click();
  await until('five bars', async () => (await page.getByRole('treeitem').count()) === 5);
  expect(await database.updates()).toMatchObject([
    { key: 'cart', value: '[{"dish":"tamago-nigiri","quantity":1}]', error: null },
  ]);

  // A second one finds all of its ports taken, says so, and leaves the first alone.
  const second = new Program('node', ['scripts/start.mjs'], { cwd: root, env });
  expect(await second.ended()).toBe(1);
  for (const port of PORTS) expect(second.stderr).toContain(`port ${port} `);
  expect(start.end).toBe(undefined);

  // With the trace view still open: nobody closes tabs before Ctrl-C.
  processes = family(start.pid);
  expect(processes.length).toBeGreaterThan(4);
  // Where npm's shell is dash, it ends as the signal would have it, although the script did not.
  expect([0, 'SIGINT']).toContain(await start.stop('SIGINT'));
  expect(start.stderr.replace(/^npm warn .*\n/gm, '')).toBe('');
  await until('nothing is left behind', () => !processes.some(alive));
  for (const port of PORTS) expect(await taken(port)).toBe(false);
});

test('npm start says in one line which port is taken', async ({ onTestFinished }) => {
  await requireFreePorts();
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(8080, '127.0.0.1', resolve));
  onTestFinished(() => {
    other.close();
  });
  const start = new Program('node', ['scripts/start.mjs'], { cwd: root });
  expect(await start.ended()).toBe(1);
  expect(start.stderr).toMatch(/^port 8080 \(the relay\) is taken: .*\n$/);
  expect(start.stdout).toBe('');
});
