// Where things are, and what the machine must have.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const at = (...parts) => join(root, ...parts);

export const python = at('.venv', 'bin', 'python');
export const relay = at('target', 'release', 'atomwire-relay');

/** A problem that the user can mend; shown as one line, without a stack. */
export class Remedy extends Error {}

function version(command, args = ['--version']) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0
    ? /(\d+)\.(\d+)/
        .exec(stdout + stderr)
        ?.slice(1)
        .map(Number)
    : undefined;
}

function atLeast(found, [major, minor]) {
  return found && (found[0] > major || (found[0] === major && found[1] >= minor));
}

/** Throws a Remedy that names every program that is missing or too old; `tests` need more of them. */
export function checkPrograms({ tests = false } = {}) {
  const wanted = [
    [atLeast(version('node'), [20, 0]), 'Node 20 or newer is needed: https://nodejs.org'],
    // rustup brings the toolchain that rust-toolchain.toml names, when it has not yet.
    [
      version('rustup') ?? atLeast(version('cargo'), [1, 95]),
      'Rust 1.95 or newer is needed: https://rustup.rs',
    ],
    [version('cc'), 'a C compiler is needed: apt-get install gcc libc6-dev, or xcode-select --install'],
    [
      atLeast(version('python3'), [3, 10]),
      'Python 3.10 or newer is needed: https://www.python.org/downloads',
    ],
    [
      spawnSync('python3', ['-c', 'import venv, ensurepip']).status === 0,
      "Python's venv module is needed: apt-get install python3-venv",
    ],
    [
      !tests || version('c++'),
      'a C++ compiler is needed for the tests (for libzmq): apt-get install g++, or xcode-select --install',
    ],
    [
      !tests || chromium(),
      'Chromium is needed for the tests: apt-get install chromium chromium-driver, or set CHROMIUM to its path',
    ],
    [
      !tests || version(process.env.CHROMEDRIVER ?? 'chromedriver'),
      'ChromeDriver is needed for the tests: apt-get install chromium-driver, or set CHROMEDRIVER to its path',
    ],
    [
      !tests || firefox(),
      'Firefox is needed for the tests: apt-get install firefox-esr, or set FIREFOX to its path',
    ],
  ];
  const missing = wanted.filter(([found]) => !found).map(([, remedy]) => remedy);
  if (missing.length > 0) throw new Remedy(missing.join('\n'));
}

/** The Chromium to test with. */
export function chromium() {
  const places = [
    process.env.CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
  ];
  return places.find((place) => place && existsSync(place));
}

/** The Firefox to test with. */
export function firefox() {
  const places = [process.env.FIREFOX, '/usr/bin/firefox-esr', '/usr/bin/firefox'];
  return places.find((place) => place && existsSync(place));
}

/** What rust-toolchain.toml asks for and this machine lacks, as the command that brings it. */
export function missingToolchain() {
  if (!version('rustup')) return undefined;
  if (!version('cargo')) return ['toolchain', 'install'];
  const libraries = spawnSync('rustc', ['--print', 'target-libdir', '--target', 'wasm32-unknown-unknown'], {
    cwd: root,
    encoding: 'utf8',
  });
  return existsSync(libraries.stdout?.trim() ?? '') ? undefined : ['target', 'add', 'wasm32-unknown-unknown'];
}
