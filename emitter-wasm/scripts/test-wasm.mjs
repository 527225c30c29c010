// Runs tests/it in a browser with wasm-pack, against a relay that is started for it.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(here);
const tools = join(root, 'target', 'tools');
const bin = join(tools, 'bin');

/** The wasm-bindgen CLI must be of the very version that the emitter's Cargo.toml pins. */
const TOOLS = [
  { binary: 'wasm-pack', install: ['wasm-pack', '--version', '0.15.0', '--locked'] },
  // Not locked: the lock file that it comes with names a version that not every registry mirror has.
  { binary: 'wasm-bindgen-test-runner', install: ['wasm-bindgen-cli', '--version', '0.2.130'] },
];

for (const { binary, install } of TOOLS) {
  if (existsSync(join(bin, binary))) continue;
  console.log(`Installing ${install[0]} into ${tools}: a minute or two, once.`);
  const where = ['--root', tools, '--target-dir', join(tools, 'build')];
  execFileSync('cargo', ['install', ...install, '--debug', ...where], { stdio: 'inherit' });
}

execFileSync('cargo', ['build', '--release', '--locked', '-p', 'atomwire-relay'], {
  cwd: root,
  stdio: 'inherit',
});
const relay = spawn(
  join(root, 'target', 'release', 'atomwire-relay'),
  ['--listen', '127.0.0.1:0', '--bus', 'tcp://127.0.0.1:0', '--replay', 'tcp://127.0.0.1:0'],
  { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' } },
);
try {
  execFileSync('wasm-pack', ['test', '--headless', '--chrome', '--mode', 'no-install', here, '--locked'], {
    cwd: here,
    stdio: 'inherit',
    env: {
      ...process.env,
      PATH: [bin, process.env.PATH].join(delimiter),
      CHROMEDRIVER: process.env.CHROMEDRIVER ?? '/usr/bin/chromedriver',
      // The tests take it at compile time: a browser has no environment.
      ATOMWIRE_TEST_RELAY: `ws://${await listenAddress()}/v1/stream`,
    },
  });
} finally {
  relay.kill();
}

/** From the relay's own log: its port is whatever was free. */
async function listenAddress() {
  for await (const line of createInterface({ input: relay.stderr })) {
    const { listen } = JSON.parse(line);
    if (listen !== undefined) {
      relay.stderr.resume();
      return listen;
    }
  }
  throw new Error('the relay ended before it listened');
}
