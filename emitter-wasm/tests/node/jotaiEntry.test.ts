import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

/** Of what a page has, neither Node nor a test's imitation of a page has to have these. */
const BARE = 'for (const name of ["TextDecoder", "TextEncoder", "WebAssembly"]) delete globalThis[name];';

/** What jsdom adds to a Node, as far as anybody could take it for a page. */
const LIKE_JSDOM = `
  const navigator = { userAgent: 'Mozilla/5.0 (linux) AppleWebKit/537.36 (KHTML, like Gecko) jsdom/26.1.0' };
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  Object.assign(globalThis, { document: {}, window: globalThis, self: globalThis });
`;

const APP = `
  const { atomWithTracing, traced } = await import('atomwire/jotai');
  const { atom, createStore } = await import('jotai');
  const store = createStore();
  const countAtom = atomWithTracing('count', 0);
  const add = async (get, set, amount) => {
    await null;
    set(countAtom, (count) => count + amount);
  };
  const addAtom = traced(atom(null, add), 'add');
  store.set(countAtom, 1);
  await store.set(addAtom, 2);
  store.set(countAtom, Promise.resolve(3));
  console.log(await store.get(countAtom));
`;

test.each([
  ['a bare engine', BARE],
  ['what a test takes for a page', BARE + LIKE_JSDOM],
])('what an app’s own tests import runs in %s', (_where, environment) => {
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', environment + APP], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  });
  expect(output).toBe('3\n');
});
