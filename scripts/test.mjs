// npm test: everything, in the order in which it fails fastest. `npm test -- rust python` runs these alone.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import {
  buildBench,
  buildDemo,
  buildEmitter,
  buildRelay,
  installNodePackages,
  installPythonPackages,
  installRust,
} from './lib/build.mjs';
import { at, checkPrograms, chromium, firefox, Remedy, root } from './lib/project.mjs';
import { run } from './lib/run.mjs';

const venv = (program) => at('.venv/bin', program);

/** Runs with its output on the screen: a test runner's own is the best there is. */
function show(command, args, options = {}) {
  console.log(`\n▸ ${[command.replace(`${root}/`, ''), ...args].join(' ')}`);
  const env = { ...process.env, CHROMIUM: chromium(), FIREFOX: firefox(), ...options.env };
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? root,
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(undefined);
      else reject(new Remedy(`✗ ${command} ${args.join(' ')} ended with ${code}`));
    });
  });
}

const stages = {
  async lint() {
    await show('npx', ['biome', 'ci', '.']);
    await show('cargo', ['fmt', '--all', '--check']);
    await show('cargo', ['clippy', '--workspace', '--all-targets', '--locked', '--', '-D', 'warnings']);
    const ruff = ['--config', 'consumers/python/pyproject.toml'];
    await show(venv('ruff'), ['check', 'consumers/python']);
    await show(venv('ruff'), ['check', ...ruff, 'e2e/peers']);
    await show(venv('ruff'), ['format', '--check', ...ruff, 'consumers/python', 'e2e/peers']);
    await show(venv('mypy'), ['--strict', '.'], { cwd: at('consumers/python') });
  },
  async rust() {
    await show('cargo', ['test', '--workspace', '--locked']);
  },
  async python() {
    await show(venv('pytest'), ['consumers/python']);
  },
  async typescript() {
    await buildRelay();
    await buildEmitter();
    for (const room of ['emitter-wasm', 'emitter-wasm/tests', 'web-demo', 'e2e', 'bench'])
      await show('npx', ['tsc', '--noEmit', '--project', room]);
    await show('node', ['--test', 'trace-view/tests/page/']);
    await show('npm', ['test', '--workspace', 'atomwire']);
  },
  async wasm() {
    await buildRelay();
    await show('npm', ['run', 'test:wasm', '--workspace', 'atomwire']);
  },
  async e2e() {
    await buildRelay();
    await buildBench();
    await buildEmitter();
    await buildDemo();
    await show('npm', ['test', '--workspace', 'e2e']);
  },
};

await run(async () => {
  const names = process.argv.slice(2);
  const unknown = names.filter((name) => !(name in stages));
  if (unknown.length > 0)
    throw new Remedy(`${unknown.join(', ')}: stages are ${Object.keys(stages).join(', ')}`);
  checkPrograms({ tests: true });
  if (!existsSync(at('package-lock.json'))) throw new Remedy('package-lock.json is missing');
  await installRust();
  await Promise.all([installNodePackages(), installPythonPackages(['dev'])]);
  const started = Date.now();
  for (const [name, stage] of Object.entries(stages)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const since = Date.now();
    await stage();
    console.log(`✓ ${name} (${Math.round((Date.now() - since) / 1000)} s)`);
  }
  console.log(`\n✓ all tests pass (${Math.round((Date.now() - started) / 1000)} s)`);
});
