import { atomWithTracing, traced } from 'atomwire/jotai';
import { atom, createStore } from 'jotai';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startWithPeer } from '../peer/startWithPeer.ts';

const store = createStore();
const valueAtom = atomWithTracing<unknown>('value', 0);

class Point {
  x = 1;
}

test.each<[string, unknown, unknown]>([
  ['a Map', { a: new Map([[1, 2]]) }, { a: {} }],
  ['a Set', [new Set([1])], [{}]],
  ['a typed array', { bytes: new Uint8Array([7]) }, { bytes: { 0: 7 } }],
  ['a DataView', new DataView(new ArrayBuffer(1)), {}],
  ['an ArrayBuffer', { buffer: new ArrayBuffer(8) }, { buffer: {} }],
  ['NaN', { a: { b: [Number.NaN] } }, { a: { b: [null] } }],
  ['Infinity', -Infinity, null],
  ['an Error', { error: new Error('no') }, { error: {} }],
  ['a regular expression', /a/, {}],
])('%s is sent as JSON.stringify leaves it, and marked', async (_name, value, sent) => {
  const { peer } = await startWithPeer();
  store.set(valueAtom, value);
  const [update] = await peer.updatesUntil(1);
  expect(update).toMatchObject({ value: sent, parts: true, omitted: false });
});

test.each<[string, unknown]>([
  ['plain data', { a: [1, -0.5, 'two', null, true, { b: [] }], c: { d: {} } }],
  ['what is undefined', { a: undefined }],
  ['a Date', { at: new Date(0) }],
  ['an object of a class', new Point()],
  ['an object without a prototype', Object.assign(Object.create(null), { a: 1 })],
  ['what has a toJSON', { big: { toJSON: () => 'mine' } }],
  ['what is called so', { text: 'NaN {} null', null: null }],
  ['a text with a space in front', ' text'],
])('%s is not marked', async (_name, value) => {
  const { peer } = await startWithPeer();
  store.set(valueAtom, value);
  const [update] = await peer.updatesUntil(1);
  expect(update).toMatchObject({ value: JSON.parse(JSON.stringify(value)), parts: false, omitted: false });
});

test.each<[string, () => unknown]>([
  ['typed array of 10 MiB', () => new Uint8Array(10 * 1024 * 1024)],
  [
    'typed array of 10 MiB deep inside',
    () => ({ files: [{ name: 'a' }, { data: new Uint8Array(10 * 1024 * 1024) }] }),
  ],
  ['array with a billion holes', () => ({ list: new Array(1_000_000_000) })],
  ['text', () => ['x'.repeat(300_000)]],
  [
    'graph that shares its parts',
    () => {
      let graph: unknown = [];
      for (let level = 0; level < 40; level++) graph = [graph, graph];
      return graph;
    },
  ],
])('a %s is known to be too large without being written down', async (_name, make) => {
  const { peer, emitter } = await startWithPeer();
  const stringify = vi.spyOn(JSON, 'stringify');
  onTestFinished(() => void vi.restoreAllMocks());
  const value = make();
  store.set(valueAtom, value);
  expect(stringify.mock.calls.some(([of]) => of === value)).toBe(false);
  vi.restoreAllMocks();
  await peer.until(() => peer.lost.length > 0);
  expect(emitter.stats()).toMatchObject({ created: 1, lost: { too_large: 1 } });
});

test('what has no end, or throws, is not serializable', async () => {
  const { peer } = await startWithPeer();
  const circle: unknown[] = [];
  circle.push(circle);
  store.set(valueAtom, circle);
  store.set(valueAtom, {
    get a() {
      throw new Error('no');
    },
  });
  const updates = await peer.updatesUntil(2);
  expect(updates.map(({ omitted }) => omitted)).toEqual([true, true]);
});

test('a getter that writes a traced atom disturbs nothing', async () => {
  const { peer } = await startWithPeer();
  const otherAtom = atomWithTracing<unknown>('other', 0);
  store.set(valueAtom, {
    get a() {
      store.set(otherAtom, new Set());
      return 1;
    },
  });
  await peer.until(() => peer.updates.some(({ key }) => key === 'value'));
  const value = peer.updates.find(({ key }) => key === 'value');
  expect(value).toMatchObject({ value: { a: 1 }, omitted: false });
});

test('where nothing more can be sent, nothing of a value runs', async () => {
  const { peer, emitter } = await startWithPeer({ queue: { maxUpdates: 2 } }, (peer) => {
    peer.answers = false;
  });
  await peer.until(() => peer.hellos.length === 1);
  const looked = vi.fn(() => 1);
  const value = {
    get a() {
      return looked();
    },
    toJSON: looked,
  };
  const orderAtom = traced(
    atom(null, (_get, _set, _order: unknown) => {}),
    'order',
  );
  store.set(valueAtom, 1);
  store.set(valueAtom, 2);
  for (let count = 0; count < 10; count++) {
    store.set(valueAtom, value);
    store.set(orderAtom, value);
    // Also once the module has taken what was written.
    expect(emitter.stats()).toMatchObject({ pending: 2, lost: { queue_full: 2 * count + 2 } });
  }
  expect(looked).not.toHaveBeenCalled();
});
