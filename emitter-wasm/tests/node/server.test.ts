import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';

/** In a Node of its own, without any of Vitest's globals. */
function node(code: string): string {
  return execFileSync(process.execPath, ['--input-type=module', '--eval', code], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  });
}

/** What makes a server look like a page, or not. */
const PLACES = {
  'a server': '',
  jsdom: `
    globalThis.document = {};
    Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'Mozilla/5.0 (linux) AppleWebKit/537.36 (KHTML, like Gecko) jsdom/26.1.0' } });
    delete globalThis.TextDecoder; delete globalThis.TextEncoder;`,
  'happy-dom': `
    globalThis.document = {};
    Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) HappyDOM/20.0.0' } });`,
  workerd: `
    globalThis.WorkerGlobalScope = class {};
    Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'Cloudflare-Workers' } });`,
  'a worker of Deno': `
    globalThis.WorkerGlobalScope = class {};
    Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'Deno/2.5.0' } });`,
};

describe.each(Object.entries(PLACES))('in %s', (_name, place) => {
  test('importing does nothing, and the emitter is a quiet no-op', () => {
    const output = node(`
      ${place}
      globalThis.WebSocket = class { constructor() { throw new Error('connects'); } };
      const { startEmitter } = await import('atomwire');
      const { atomWithTracing, traced } = await import('atomwire/jotai');
      const { atom, createStore } = await import('jotai');

      const diagnostics = [];
      const onDiagnostic = (diagnostic) => diagnostics.push(diagnostic);
      const start = () => startEmitter({ url: 'ws://127.0.0.1:1/v1/stream', service: { name: 'server' }, onDiagnostic });
      const emitter = start();
      start();
      const store = createStore();
      const countAtom = atomWithTracing('count', 0);
      const add = async (get, set, amount) => set(countAtom, get(countAtom) + amount);
      const addAtom = traced(atom(null, add), 'add');
      store.set(countAtom, 1);
      await store.set(addAtom, 2);
      await emitter.flush();
      await emitter.shutdown();
      console.log(JSON.stringify([store.get(countAtom), emitter.stats(), diagnostics]));
    `);
    expect(JSON.parse(output)).toEqual([
      3,
      { state: 'stopped', created: 0, acknowledged: 0, pending: 0, lost: {} },
      [],
    ]);
  });
});
