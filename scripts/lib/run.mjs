// Runs one step of a build: its output goes into .run/, its last line and the time onto the screen.

import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { at, Remedy, root } from './project.mjs';

const terminal = process.stdout.isTTY;
const running = new Map();
let ticker;

function show() {
  if (!terminal) return;
  const lines = [...running.values()].map(({ title, since, last }) => {
    const seconds = Math.round((Date.now() - since) / 1000);
    return `  ${title} ${seconds} s  ${last}`.slice(0, (process.stdout.columns ?? 100) - 1);
  });
  process.stdout.write(`\x1b[J${lines.join('\n')}${lines.length > 1 ? `\x1b[${lines.length - 1}A` : ''}\r`);
}

/** Runs `command`; resolves when it ends well, throws a Remedy with the tail of its output otherwise. */
export function step(title, command, args, { cwd = root, env = {} } = {}) {
  mkdirSync(at('.run'), { recursive: true });
  const log = at('.run', `${title.replace(/\W+/g, '-')}.log`);
  const file = createWriteStream(log);
  const state = { title, since: Date.now(), last: '', child: undefined };
  running.set(title, state);
  if (!terminal) console.log(`  ${title} …`);
  ticker ??= setInterval(show, 500);
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    state.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        file.write(chunk);
        const lines = String(chunk).trimEnd().split('\n');
        state.last = lines.at(-1)?.trim() ?? '';
      });
    }
    child.on('error', reject);
    child.on('close', (code) => {
      file.end(() => {
        running.delete(title);
        if (running.size === 0) {
          clearInterval(ticker);
          ticker = undefined;
        }
        const seconds = ((Date.now() - state.since) / 1000).toFixed(1);
        if (terminal) process.stdout.write('\x1b[J');
        if (code === 0) {
          console.log(`✓ ${title} (${seconds} s)`);
          resolve(undefined);
        } else {
          const tail = readFileSync(log, 'utf8').split('\n').slice(-60).join('\n');
          reject(new Remedy(`${tail}\n✗ ${title} failed after ${seconds} s; all of its output is in ${log}`));
        }
      });
    });
  });
}

/** Runs `main`, and shows a Remedy as a line rather than as a stack. */
export async function run(main) {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof Remedy ? error.message : error);
    // A step that fails ends those beside it.
    for (const { child } of running.values()) child?.kill();
    process.exitCode = 1;
  }
}
