import { atomWithTracing, traced } from 'atomwire/jotai';
import { atom, createStore } from 'jotai';
import { atomWithReset, RESET } from 'jotai/utils';
import { describe, expect, test } from 'vitest';
import { startWithPeer } from '../peer/startWithPeer.ts';
import { unhandledRejections } from '../peer/unhandledRejections.ts';

describe('a traced atom is the atom it was', () => {
  test('to read, to write, to mount, by name and by identity', async () => {
    const { peer } = await startWithPeer();
    const store = createStore();
    const baseAtom = atom(1);
    baseAtom.debugLabel = 'base';
    baseAtom.onMount = (set) => set(5);
    const tracedAtom = traced(baseAtom, 'base');
    expect(tracedAtom).toBe(baseAtom);
    expect(tracedAtom.debugLabel).toBe('base');
    store.sub(tracedAtom, () => {});
    expect(store.get(tracedAtom)).toBe(5);
    store.set(tracedAtom, (count) => count + 1);
    expect(store.get(baseAtom)).toBe(6);
    // An updater is a function, which JSON cannot hold.
    expect((await peer.updatesUntil(2)).map(({ value, omitted }) => [value, omitted])).toEqual([
      [5, false],
      [undefined, true],
    ]);
  });

  test('also one that sets itself', async () => {
    const { peer } = await startWithPeer();
    const store = createStore();
    const countAtom = traced(atomWithReset(7), 'count');
    store.set(countAtom, 8);
    expect(store.get(countAtom)).toBe(8);
    store.set(countAtom, RESET);
    expect(store.get(countAtom)).toBe(7);
    expect(await peer.updatesUntil(2)).toHaveLength(2);
  });

  test('in several stores', async () => {
    const { peer } = await startWithPeer();
    const countAtom = atom(0);
    const addAtom = traced(
      atom(null, (_get, set, amount: number) => set(countAtom, (count) => count + amount)),
      'add',
    );
    const [one, two] = [createStore(), createStore()];
    one.set(addAtom, 1);
    two.set(addAtom, 2);
    expect([one.get(countAtom), two.get(countAtom)]).toEqual([1, 2]);
    expect((await peer.updatesUntil(2)).map(({ value }) => value)).toEqual([1, 2]);
  });
});

test('the update carries the arguments as written', async () => {
  const { peer } = await startWithPeer();
  const store = createStore();
  const noneAtom = traced(
    atom(null, () => {}),
    'none',
  );
  const oneAtom = traced(
    atom(null, (_get, _set, dish: { name: string }) => {
      dish.name = 'changed by the write';
    }),
    'one',
  );
  const twoAtom = traced(
    atom(null, (_get, _set, _dish: string, _count: number) => {}),
    'two',
  );
  store.set(noneAtom);
  store.set(oneAtom, { name: 'roll' });
  store.set(twoAtom, 'roll', 2);
  expect((await peer.updatesUntil(3)).map(({ key, value }) => [key, value])).toEqual([
    ['none', null],
    ['one', { name: 'roll' }],
    ['two', ['roll', 2]],
  ]);
});

describe('results and errors', () => {
  test('a synchronous result stays synchronous', async () => {
    const { peer } = await startWithPeer();
    const doubleAtom = traced(
      atom(null, (_get, _set, count: number) => 2 * count),
      'double',
    );
    expect(createStore().set(doubleAtom, 21)).toBe(42);
    expect((await peer.updatesUntil(1))[0]?.value).toBe(21);
  });

  test('a promise is returned as the object that it is, and the span lasts until it settles', async () => {
    const { peer } = await startWithPeer();
    const { promise, resolve } = Promise.withResolvers<string>();
    const orderAtom = traced(
      atom(null, () => promise),
      'order',
    );
    const result = createStore().set(orderAtom);
    expect(result).toBe(promise);
    setTimeout(() => resolve('served'), 30);
    expect(await result).toBe('served');
    expect((await peer.updatesUntil(1))[0]?.duration).toBeGreaterThan(20_000);
  });

  class SoldOut extends Error {
    override name = 'SoldOut';
  }

  test('what is thrown is thrown on, and recorded', async () => {
    const { peer } = await startWithPeer();
    const error = new SoldOut('no rolls left');
    const orderAtom = traced(
      atom(null, (_get, _set, _dish: string) => {
        throw error;
      }),
      'order',
    );
    expect(() => createStore().set(orderAtom, 'roll')).toThrow(error);
    expect((await peer.updatesUntil(1))[0]).toMatchObject({
      value: 'roll',
      error: { type: 'SoldOut', message: 'no rolls left' },
    });
  });

  test.each<[string, unknown, string]>([
    ['a string', 'sold out', 'String'],
    ['null', null, 'Object'],
    [
      'an object that throws when looked at',
      new Proxy(
        {},
        {
          get: () => {
            throw new Error('no');
          },
        },
      ),
      '_OTHER',
    ],
  ])('%s that is thrown', async (_name, thrown, type) => {
    const { peer } = await startWithPeer();
    const orderAtom = traced(
      atom(null, () => {
        throw thrown;
      }),
      'order',
    );
    let caught: unknown;
    try {
      createStore().set(orderAtom);
    } catch (error) {
      caught = error;
    }
    expect(caught === thrown).toBe(true);
    expect((await peer.updatesUntil(1))[0]?.error?.type).toBe(type);
  });

  test('a rejection is recorded, and stays handled or unhandled as it was', async () => {
    const { peer } = await startWithPeer();
    const unhandled = unhandledRejections();
    const store = createStore();
    const error = new SoldOut('no rolls left');
    const orderAtom = traced(
      atom(null, async (_get, _set, _guest: string) => {
        await null;
        throw error;
      }),
      'order',
    );
    await expect(store.set(orderAtom, 'awaited')).rejects.toBe(error);
    await store.set(orderAtom, 'caught').catch(() => {});
    await Promise.allSettled([store.set(orderAtom, 'all')]);
    await peer.updatesUntil(3);
    expect(unhandled()).toEqual([]);

    void store.set(orderAtom, 'forgotten');
    const updates = await peer.updatesUntil(4);
    expect(updates.map((update) => update.error?.type)).toEqual(['SoldOut', 'SoldOut', 'SoldOut', 'SoldOut']);
    expect(unhandled()).toEqual([error]);
  });
});

describe('a traced write inside a traced write is its child', () => {
  test('now, after an await, through an untraced atom, and three deep', async () => {
    const { peer, ids } = await startWithPeer();
    const store = createStore();
    const cartAtom = atomWithTracing<string[]>('cart', []);
    const untracedAtom = atom(null, (_get, set) => set(cartAtom, ['through untraced']));
    const innerAtom = traced(
      atom(null, (_get, set) => set(cartAtom, ['three deep'])),
      'inner',
    );
    const orderAtom = traced(
      atom(null, async (_get, set) => {
        set(cartAtom, ['now']);
        await new Promise((resolve) => setTimeout(resolve, 5));
        set(cartAtom, ['after await']);
        set(untracedAtom);
        set(innerAtom);
      }),
      'order',
    );
    const done = store.set(orderAtom);
    // Meanwhile somebody else writes, who is no child.
    store.set(cartAtom, ['stranger']);
    await done;

    const updates = await peer.updatesUntil(7);
    const find = (value: unknown) => {
      const found = updates.find((update) => JSON.stringify(update.value) === JSON.stringify(value));
      if (found === undefined) throw new Error(`no update ${JSON.stringify(value)}`);
      return found;
    };
    const order = updates.find(({ key }) => key === 'order');
    const inner = updates.find(({ key }) => key === 'inner');
    expect(order?.parent).toBeUndefined();
    expect(find(['stranger']).parent).toBeUndefined();
    const { traceId, spanId } = ids(order?.position ?? -1);
    const child = { traceId, spanId, flags: 0, local: true };
    for (const value of [['now'], ['after await'], ['through untraced']])
      expect(find(value).parent).toEqual(child);
    expect(inner?.parent).toEqual(child);
    expect(find(['three deep']).parent).toEqual({ ...child, spanId: ids(inner?.position ?? -1).spanId });
    expect(new Set(updates.map(({ position }) => position)).size).toBe(7);
  });

  test('and no parent stays behind when the outer write has failed', async () => {
    const { peer } = await startWithPeer();
    const store = createStore();
    const cartAtom = atomWithTracing('cart', 0);
    const failingAtom = traced(
      atom(null, (_get, set) => {
        set(cartAtom, 1);
        throw new Error('no');
      }),
      'failing',
    );
    expect(() => store.set(failingAtom)).toThrow('no');
    store.set(cartAtom, 2);
    const updates = await peer.updatesUntil(3);
    expect(updates.map(({ value, parent }) => [value, parent !== undefined])).toEqual([
      [1, true],
      [null, false],
      [2, false],
    ]);
  });
});

describe('what a listener writes is a trace of its own', () => {
  test.each(['before an await', 'after one'])('%s', async (when) => {
    const { peer } = await startWithPeer();
    const store = createStore();
    const cartAtom = atomWithTracing('cart', 0);
    const heardAtom = atomWithTracing('heard', 0);
    store.sub(cartAtom, () => store.set(heardAtom, store.get(cartAtom)));
    const orderAtom = traced(
      atom(null, async (_get, set) => {
        if (when === 'after one') await null;
        set(cartAtom, 1);
      }),
      'order',
    );
    await store.set(orderAtom);
    const updates = await peer.updatesUntil(3);
    const parents = updates.map(({ key, parent }) => [key, parent !== undefined]);
    expect(Object.fromEntries(parents)).toEqual({ cart: true, heard: false, order: false });
  });
});

describe('an atom that is traced again', () => {
  test('is traced once, under its new key', async () => {
    const { peer } = await startWithPeer();
    const store = createStore();
    const countAtom = traced(atom(0), 'old');
    expect(traced(countAtom, 'new')).toBe(countAtom);
    store.set(countAtom, 1);
    store.set(atomWithTracing('last', 0), 1);
    expect((await peer.updatesUntil(2)).map(({ key }) => key)).toEqual(['new', 'last']);
  });

  test('also by another copy of the package', async () => {
    const { peer } = await startWithPeer();
    const { href } = new URL('../../dist/jotai/traced.js?copy', import.meta.url);
    const copy: typeof import('atomwire/jotai') = await import(/* @vite-ignore */ href);
    expect(copy.traced).not.toBe(traced);
    const store = createStore();
    const countAtom = copy.traced(traced(atom(0), 'old'), 'new');
    store.set(countAtom, 1);
    store.set(atomWithTracing('last', 0), 1);
    expect((await peer.updatesUntil(2)).map(({ key }) => key)).toEqual(['new', 'last']);
  });
});

test('a frozen atom stays as it is, untraced', async () => {
  const { peer } = await startWithPeer();
  const store = createStore();
  const countAtom = Object.freeze(atom(0));
  expect(traced(countAtom, 'count')).toBe(countAtom);
  store.set(countAtom, 1);
  expect(store.get(countAtom)).toBe(1);
  store.set(atomWithTracing('last', 0), 1);
  expect((await peer.updatesUntil(1)).map(({ key }) => key)).toEqual(['last']);
});

test('a write that returns a thenable lasts until that has told the app', async () => {
  const { peer } = await startWithPeer();
  const store = createStore();
  let runs = 0;
  const thenable = {
    // biome-ignore lint/suspicious/noThenProperty: that is what it is about.
    then(fulfil: (value: string) => void) {
      runs += 1;
      setTimeout(fulfil, 30, 'served');
    },
  } as PromiseLike<string>;
  const orderAtom = traced(
    atom(null, () => thenable),
    'order',
  );
  expect(await store.set(orderAtom)).toBe('served');
  expect(runs).toBe(1);
  expect((await peer.updatesUntil(1))[0]?.duration).toBeGreaterThan(20_000);
});

test('an asynchronous write that nobody waits for has the time that it took', async () => {
  const { peer } = await startWithPeer();
  const orderAtom = traced(
    atom(null, async () => {
      await new Promise((resolve) => setTimeout(resolve, 30));
    }),
    'order',
  );
  void createStore().set(orderAtom);
  expect((await peer.updatesUntil(1))[0]?.duration).toBeGreaterThan(20_000);
});

test('a promise that a write returns, and nobody waits for, ends with the write’s last deed', async () => {
  const { peer } = await startWithPeer();
  const cartAtom = atomWithTracing('cart', 0);
  const orderAtom = traced(
    atom(null, (_get, set) => new Promise((resolve) => setTimeout(resolve, 30)).then(() => set(cartAtom, 1))),
    'order',
  );
  void createStore().set(orderAtom);
  const [cart, order] = await peer.updatesUntil(2);
  expect(order?.key).toBe('order');
  const end = (order?.start ?? 0) + (order?.duration ?? 0);
  // Nothing is left to be seen of its end; of the 2 s after which it was given up, neither.
  expect(end).toBeGreaterThanOrEqual(cart?.start ?? Infinity);
  expect(end - (cart?.start ?? 0)).toBeLessThan(500_000);
});

describe('the app’s active span', () => {
  const active = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 3 };

  test('is the parent, with all its flags, also of children’s trace', async () => {
    const { peer, ids, emitter } = await startWithPeer({ parentContext: () => active });
    const store = createStore();
    const cartAtom = atomWithTracing('cart', 0);
    const orderAtom = traced(
      atom(null, (_get, set) => set(cartAtom, 1)),
      'order',
    );
    store.set(orderAtom);
    const [cart, order] = await peer.updatesUntil(2);
    expect(order?.parent).toEqual({ traceId: active.traceId, spanId: active.spanId, flags: 3, local: false });
    const { spanId } = ids(order?.position ?? -1);
    expect(cart?.parent).toEqual({ traceId: active.traceId, spanId, flags: 3, local: false });
    expect(emitter.stats().lastTraceId).toBe(active.traceId);
  });

  test.each([
    ['none', () => undefined],
    ['an invalid one', () => ({ ...active, traceId: '0'.repeat(32) })],
    ['one of the wrong length', () => ({ ...active, spanId: 'b' })],
    ['no hexadecimal', () => ({ ...active, spanId: 'B'.repeat(16) })],
  ])('%s makes a root', async (_name, parentContext) => {
    const { peer, emitter, ids } = await startWithPeer({ parentContext });
    createStore().set(atomWithTracing('cart', 0), 1);
    const [update] = await peer.updatesUntil(1);
    expect(update?.parent).toBeUndefined();
    expect(emitter.stats().lastTraceId).toBe(ids(update?.position ?? -1).traceId);
  });

  test('a parentContext that throws is reported once, and breaks nothing', async () => {
    const { peer, diagnostics } = await startWithPeer({
      parentContext: () => {
        throw new Error('no context manager');
      },
    });
    const store = createStore();
    const cartAtom = atomWithTracing('cart', 0);
    store.set(cartAtom, 1);
    store.set(cartAtom, 2);
    await peer.updatesUntil(2);
    expect(diagnostics).toEqual([{ kind: 'parent_context_failed', message: 'Error: no context manager' }]);
  });
});
