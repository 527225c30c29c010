// What has to be installed and built, each only when something it is made of has changed.

import { existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at, missingToolchain, python } from './project.mjs';
import { step } from './run.mjs';

const NOT_SOURCES = new Set(['node_modules', 'dist', 'target', 'tests', '.venv', '__pycache__', '.git']);

/** When the newest file below `path` was written. */
function newest(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  const names = readdirSync(path).filter((name) => !NOT_SOURCES.has(name) && !name.endsWith('.egg-info'));
  return Math.max(0, ...names.map((name) => newest(join(path, name))));
}

/** Does `work` unless it was done since the newest of `sources` was written. */
async function once(name, sources, outputs, work) {
  const stamp = at('.run', 'stamps', name);
  const done = existsSync(stamp) && outputs.every((output) => existsSync(output));
  if (done && statSync(stamp).mtimeMs >= Math.max(...sources.map((source) => newest(at(source))))) return;
  const started = new Date();
  await work();
  mkdirSync(at('.run', 'stamps'), { recursive: true });
  writeFileSync(stamp, '');
  // What changes while it is being built is not in it.
  utimesSync(stamp, started, started);
}

export async function installNodePackages() {
  await once('node', ['package-lock.json'], [at('node_modules')], () =>
    step('install Node packages', 'npm', ['ci', '--no-audit', '--no-fund']),
  );
}

/** The Python package; with dependency groups such as `dev`, all its extras too. */
export async function installPythonPackages(groups = []) {
  const name = ['python', ...groups].join('-');
  const pyproject = 'consumers/python/pyproject.toml';
  const constraints = 'consumers/python/constraints.txt';
  await once(name, [pyproject, constraints], [python], async () => {
    if (!existsSync(python)) await step('make a Python environment', 'python3', ['-m', 'venv', at('.venv')]);
    const install = ['-m', 'pip', 'install', '--disable-pip-version-check', '-c', at(constraints)];
    // The pip of an environment may be too old for groups.
    if (groups.length > 0) await step('install pip', python, [...install, 'pip>=25.1']);
    await step('install Python packages', python, [
      ...install,
      ...['-e', `${at('consumers/python')}${groups.length > 0 ? '[postgresql,otlp]' : ''}`],
      ...groups.flatMap((group) => ['--group', `${at(pyproject)}:${group}`]),
    ]);
  });
}

export async function installRust() {
  const missing = missingToolchain();
  if (missing) await step('install the Rust toolchain', 'rustup', missing);
}

export async function buildRelay() {
  await step('build the relay', 'cargo', ['build', '--release', '--locked', '-p', 'atomwire-relay']);
}

/** The load generator. */
export async function buildBench() {
  await step('build the load', 'cargo', ['build', '--release', '--locked', '-p', 'atomwire-bench']);
}

export async function buildEmitter() {
  const sources = [
    'emitter-wasm',
    'wire/src',
    'wire/Cargo.toml',
    'Cargo.toml',
    'Cargo.lock',
    'rust-toolchain.toml',
  ];
  await once('emitter', sources, [at('emitter-wasm/dist/index.js')], () =>
    step('build the emitter', 'npm', ['run', 'build', '--workspace', 'atomwire']),
  );
}

export async function buildDemo() {
  const sources = ['web-demo', 'vite.config.ts', 'emitter-wasm/dist', 'package-lock.json'];
  await once('demo', sources, [at('web-demo/dist/index.html')], () =>
    step('build the demo', 'node', [at('node_modules/vite/bin/vite.js'), 'build']),
  );
}

/** Everything that `npm start` runs. */
export async function buildAll() {
  // The compiler keeps the cores busy while the registries keep the network busy.
  await installRust();
  await Promise.all([buildRelay(), installNodePackages(), installPythonPackages()]);
  await buildEmitter();
  await buildDemo();
}
