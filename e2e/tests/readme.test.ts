import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import react from '@vitejs/plugin-react';
import { build } from 'vite';
import { expect } from 'vitest';
import { Program } from '../lib/Program.ts';
import { at, python, root } from '../lib/paths.ts';
import { serve } from '../lib/site.ts';
import { test } from '../lib/test.ts';
import { expectOneTree, expectPath, only } from '../lib/traces.ts';
import { until } from '../lib/until.ts';

/** The README's first block of this language, with the address `from` replaced by this test's. */
async function block(language: string, from: string, to: string): Promise<string> {
  const readme = await readFile(at('README.md'), 'utf8');
  const code = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'ms').exec(readme)?.[1] ?? '';
  expect(code).toContain(from);
  return code.replace(from, to);
}

async function npm(cwd: string, ...args: string[]): Promise<string> {
  const program = new Program('npm', args, { cwd });
  const end = await program.ended();
  if (end !== 0) throw new Error(`npm ${args.join(' ')} ended with ${end}:\n${program.stderr}`);
  return program.stdout;
}

/** Installs the packed package in `app`, and beside it what its users have: this workspace's own copies. */
async function install(app: string): Promise<void> {
  // Its one dependency, too: nothing is asked of the network.
  const overrides = { idb: `file:${at('node_modules/idb')}` };
  await writeFile(join(app, 'package.json'), JSON.stringify({ private: true, type: 'module', overrides }));
  await npm(root, 'pack', '--workspace', 'atomwire', '--pack-destination', app);
  const quiet = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--legacy-peer-deps'];
  await npm(app, 'install', ...quiet, './atomwire-0.1.0.tgz');
  for (const name of ['react', 'react-dom', 'jotai']) {
    await symlink(at('node_modules', name), join(app, 'node_modules', name));
  }
}

test('the README’s lines, in an app of their own with the packed package, make a row', async ({
  directory,
  page,
  relay,
  database,
  onTestFinished,
}) => {
  const app = join(directory, 'app');
  await cp(at('e2e/pages/shop'), app, { recursive: true });
  await install(app);
  await writeFile(join(app, 'Cart.tsx'), await block('tsx', 'ws://127.0.0.1:8080/v1/stream', relay.stream));
  await build({ root: app, configFile: false, logLevel: 'warn', plugins: [react()] });
  const reader = join(directory, 'reader.py');
  await writeFile(reader, await block('python', 'tcp://127.0.0.1:5555', relay.bus));
  const read = new Program(python, [reader]);
  const site = await serve(join(app, 'dist'));
  onTestFinished(async () => {
    await read.stop('SIGKILL');
    await site.close();
  });
  await relay.subscribed(1);

  await page.goto(site.url);
  await page.getByRole('button', { name: '0 in the cart' }).click();
  await until('it is in the cart', () => page.getByRole('button', { name: '1 in the cart' }).isVisible());
  const [row] = await database.arrived(1);
  expect(row).toMatchObject({ key: 'cart', value: '["maguro"]', seq: 0 });
  const traceId = String(row?.trace_id);
  await until('five spans', async () => (await relay.trace(traceId)).length >= 5);
  const spans = await relay.trace(traceId);
  expectOneTree(spans);
  expectPath(spans, only(spans, { parent: undefined }), 'shop-web');

  await until('the reader printed it', () => read.stdout !== '');
  expect(read.stdout).toBe("cart ['maguro']\n");
});
