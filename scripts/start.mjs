// npm start: builds what is missing, runs relay, consumer and demo, and stops them all on Ctrl-C.

import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { buildAll } from './lib/build.mjs';
import { at, checkPrograms, python, Remedy, relay, root } from './lib/project.mjs';
import { run } from './lib/run.mjs';

const DEMO = 'http://localhost:5173/';
const RELAY = 'http://127.0.0.1:8080';
const PORTS = {
  5173: 'the demo',
  8080: 'the relay',
  5555: 'the bus',
  5556: 'the replay socket',
  4317: 'OTLP',
  4318: 'OTLP',
};
const READY_WITHIN = 30_000;
const STOPPED_WITHIN = 30_000;

const children = new Map();
let stopping;

async function checkPorts() {
  const taken = [];
  for (const [port, use] of Object.entries(PORTS)) {
    const free = await new Promise((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(Number(port), '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (!free)
      taken.push(`port ${port} (${use}) is taken: stop what uses it (lsof -i :${port}) and try again`);
  }
  if (taken.length > 0) throw new Remedy(taken.join('\n'));
}

function launch(name, command, args) {
  mkdirSync(at('.run'), { recursive: true });
  const log = at('.run', `${name}.log`);
  // A process group of its own: Ctrl-C reaches this process alone, which then stops them in order.
  const child = spawn(command, args, { cwd: root, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const file = createWriteStream(log);
  child.stdout.pipe(file);
  child.stderr.pipe(file);
  const ended = new Promise((resolve) => child.once('close', resolve));
  children.set(name, { child, ended });
  child.once('close', (code, signal) => {
    children.delete(name);
    if (!stopping) stop(`the ${name} ended (${signal ?? code}); its output is in ${log}`);
  });
}

async function ready(what, check) {
  const deadline = Date.now() + READY_WITHIN;
  while (!(await check().catch(() => false))) {
    if (stopping) await stopping;
    if (Date.now() > deadline)
      throw new Remedy(`${what} is not ready after ${READY_WITHIN / 1000} s; see .run/`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const answers = (url) => async () => (await fetch(url)).ok;

async function reads() {
  const metrics = await (await fetch(`${RELAY}/metrics`)).text();
  return /^atomwire_consumer_lag_messages\{/m.test(metrics);
}

/** Browsers first, so that what they still send is taken, then the relay, then the consumer. */
function stop(reason) {
  stopping ??= (async () => {
    if (reason) console.error(reason);
    for (const name of ['demo', 'relay', 'consumer']) {
      const running = children.get(name);
      if (!running) continue;
      process.kill(-running.child.pid, 'SIGTERM');
      const impatience = setTimeout(() => process.kill(-running.child.pid, 'SIGKILL'), STOPPED_WITHIN);
      await running.ended;
      clearTimeout(impatience);
    }
    process.exit(reason ? 1 : process.exitCode);
  })();
  return stopping;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop());

await run(async () => {
  checkPrograms();
  await checkPorts();
  await buildAll();
  launch('relay', relay, ['--dev']);
  await ready('the relay', answers(`${RELAY}/ready`));
  launch('consumer', python, ['-m', 'atomwire']);
  launch('demo', process.execPath, [
    at('node_modules/vite/bin/vite.js'),
    ...['preview', '--host', 'localhost', '--port', '5173', '--strictPort'],
  ]);
  await ready('the consumer', reads);
  await ready('the demo', answers(DEMO));
  console.log(`
  Order something    ${DEMO}
  See its trace      ${RELAY}/traces
  See the counters   ${RELAY}/metrics
  Print the account  ${join(dirname(python.replace(`${root}/`, '')), 'atomwire-consumer')} account

  Every update becomes a row in ${at('atomwire.sqlite')}. Ctrl-C stops everything.
`);
});
if (process.exitCode) await stop();
