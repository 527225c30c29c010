import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

/** In a Node of its own, without any of Vitest's globals. */
function node(code: string): string {
  return execFileSync(process.execPath, ['--input-type=module', '--eval', code], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  });
}

test('on a server, importing does nothing, and the emitter is inert', () => {
  const output = node(`
    import { startEmitter } from 'atomwire';
    import { atomWithTracing, traced } from 'atomwire/jotai';
    import { atom, createStore } from 'jotai';

    const emitter = startEmitter({ url: 'ws://127.0.0.1:1/v1/stream', service: { name: 'server' } });
    const store = createStore();
    const countAtom = atomWithTracing('count', 0);
    const add = async (get, set, amount) => set(countAtom, get(countAtom) + amount);
    const addAtom = traced(atom(null, add), 'add');
    store.set(countAtom, 1);
    await store.set(addAtom, 2);
    await emitter.flush();
    await emitter.shutdown();
    console.log(JSON.stringify([store.get(countAtom), emitter.stats()]));
  `);
  expect(JSON.parse(output)).toEqual([
    3,
    { state: 'stopped', created: 0, acknowledged: 0, pending: 0, lost: {} },
  ]);
});
