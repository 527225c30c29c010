import { atomWithTracing } from 'atomwire/jotai';
import { atom, createStore, Provider, useAtom, useAtomValue, useSetAtom } from 'jotai';
import { atomFamily } from 'jotai-family';
import { act, Suspense } from 'react';
import { createRoot } from 'react-dom/client';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { startWithPeer } from '../peer/startWithPeer.ts';
import { unhandledRejections } from '../peer/unhandledRejections.ts';
import { allReported, rejectionEvents } from './transparent/rejectionEvents.ts';

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

describe('is a drop-in for atom(initialValue)', () => {
  test('in a store: values, functional updates, subscriptions', async () => {
    const { peer } = await startWithPeer();
    const store = createStore();
    const countAtom = atomWithTracing('count', 1);
    expect(countAtom.init).toBe(1);
    expect(store.get(countAtom)).toBe(1);

    const listener = vi.fn();
    store.sub(countAtom, listener);
    expect(store.set(countAtom, 2)).toBeUndefined();
    store.set(countAtom, (count) => count + 40);
    expect(store.get(countAtom)).toBe(42);
    expect(listener).toHaveBeenCalledTimes(2);

    const updates = await peer.updatesUntil(2);
    expect(updates.map(({ key, value }) => [key, value])).toEqual([
      ['count', 2],
      ['count', 42],
    ]);
  });

  test('in several stores at once', async () => {
    const { peer } = await startWithPeer();
    const countAtom = atomWithTracing('count', 0);
    const [one, two] = [createStore(), createStore()];
    one.set(countAtom, 1);
    two.set(countAtom, 2);
    expect([one.get(countAtom), two.get(countAtom)]).toEqual([1, 2]);
    expect((await peer.updatesUntil(2)).map(({ value }) => value)).toEqual([1, 2]);
  });

  test('in atomFamily, derived atoms and onMount', async () => {
    const { peer } = await startWithPeer();
    const store = createStore();
    const quantity = atomFamily((dish: string) => atomWithTracing(`quantity/${dish}`, 0));
    const totalAtom = atom((get) => get(quantity('roll')) + get(quantity('soup')));
    quantity('roll').onMount = (set) => set(3);
    store.sub(totalAtom, () => {});
    store.set(quantity('soup'), 1);
    expect(store.get(totalAtom)).toBe(4);
    expect((await peer.updatesUntil(2)).map(({ key }) => key)).toEqual(['quantity/roll', 'quantity/soup']);
  });

  test('in React: useAtom, useSetAtom, Provider, Suspense on a promise', async () => {
    const { peer } = await startWithPeer();
    const host = document.createElement('div');
    const root = createRoot(host);
    onTestFinished(() => act(() => root.unmount()));
    await act(() =>
      root.render(
        <Provider>
          <Suspense fallback="waiting">
            <Order />
          </Suspense>
        </Provider>,
      ),
    );
    expect(host.textContent).toBe('Ann: none');

    await act(() => order.setName('Bo'));
    expect(host.textContent).toBe('Bo: none');
    await act(() => order.setDish(Promise.resolve('roll')));
    expect(host.textContent).toBe('Bo: roll');
    expect((await peer.updatesUntil(2)).map(({ value }) => value)).toEqual(['Bo', 'roll']);
  });
});

const nameAtom = atomWithTracing('name', 'Ann');
const dishAtom = atomWithTracing<Promise<string> | string>('dish', 'none');
let order: { setName: (name: string) => void; setDish: (dish: Promise<string>) => void };

function Order() {
  const [name, setName] = useAtom(nameAtom);
  order = { setName, setDish: useSetAtom(dishAtom) };
  return `${name}: ${useAtomValue(dishAtom)}`;
}

test('the value is the one of that instant, whatever the app does to the object afterwards', async () => {
  const { peer } = await startWithPeer();
  const listAtom = atomWithTracing('list', [0]);
  const list = [1];
  createStore().set(listAtom, list);
  list.push(2);
  expect((await peer.updatesUntil(1))[0]?.value).toEqual([1]);
});

describe('a value that JSON cannot hold is omitted, and the write is as ever', () => {
  const cycle: { self?: object } = {};
  cycle.self = cycle;
  test.each<[string, unknown]>([
    ['undefined', undefined],
    ['a symbol', Symbol('s')],
    ['a cycle', cycle],
    ['a BigInt', 1n],
    [
      'a throwing toJSON',
      {
        toJSON: () => {
          throw new Error('no');
        },
      },
    ],
    [
      'a throwing getter',
      {
        get value() {
          throw new Error('no');
        },
      },
    ],
  ])('%s', async (_name, value) => {
    const { peer, emitter } = await startWithPeer();
    const store = createStore();
    const valueAtom = atomWithTracing<unknown>('value', null);
    store.set(valueAtom, value);
    expect(store.get(valueAtom)).toBe(value);
    const [update] = await peer.updatesUntil(1);
    expect(update).toMatchObject({ key: 'value', value: undefined, omitted: true, error: undefined });
    await emitter.flush();
    expect(emitter.stats()).toMatchObject({ acknowledged: 1, lost: {} });
  });

  test('a function, which an updater returns', async () => {
    const { peer } = await startWithPeer();
    const store = createStore();
    const callbackAtom = atomWithTracing<() => number>('callback', () => 1);
    store.set(callbackAtom, () => () => 2);
    expect(store.get(callbackAtom)()).toBe(2);
    expect((await peer.updatesUntil(1))[0]?.omitted).toBe(true);
  });

  test('a value over the protocol’s limit is lost as too large', async () => {
    const { peer, emitter } = await startWithPeer();
    const store = createStore();
    const textAtom = atomWithTracing('text', '');
    store.set(textAtom, 'x'.repeat(256 * 1024));
    // Fewer characters than the limit has bytes, but more bytes.
    store.set(textAtom, 'é'.repeat(200 * 1024));
    store.set(textAtom, 'short');
    expect((await peer.updatesUntil(1))[0]?.value).toBe('short');
    expect(emitter.stats().lost).toEqual({ too_large: 2 });
    await peer.until(() => peer.lost.length > 0);
    expect(peer.lost).toEqual([{ first: 0, last: 1, reason: 'LOST_REASON_TOO_LARGE' }]);
  });
});

test('an updater that throws fails its write as ever, and the update says so', async () => {
  const { peer } = await startWithPeer();
  const store = createStore();
  const countAtom = atomWithTracing('count', 0);
  const error = new RangeError('too many');
  expect(() =>
    store.set(countAtom, () => {
      throw error;
    }),
  ).toThrow(error);
  expect(store.get(countAtom)).toBe(0);
  expect((await peer.updatesUntil(1))[0]).toMatchObject({
    omitted: true,
    error: { type: 'RangeError', message: 'too many' },
  });
});

describe('a promise', () => {
  test('is the value at once, the same object, and is recorded with what it settles to', async () => {
    const { peer } = await startWithPeer();
    const store = createStore();
    const dishAtom = atomWithTracing<Promise<string> | undefined>('dish', undefined);
    const { promise, resolve } = Promise.withResolvers<string>();
    store.set(dishAtom, promise);
    expect(store.get(dishAtom)).toBe(promise);
    setTimeout(() => resolve('roll'), 30);
    expect(await store.get(dishAtom)).toBe('roll');
    const [update] = await peer.updatesUntil(1);
    expect(update).toMatchObject({ key: 'dish', value: 'roll' });
    expect(update?.duration).toBeGreaterThan(20_000);
  });

  test('that rejects is recorded with its error; handled, it stays handled', async () => {
    const { peer } = await startWithPeer();
    const unhandled = unhandledRejections();
    const store = createStore();
    const dishAtom = atomWithTracing<Promise<string> | undefined>('dish', undefined);
    const promise = Promise.reject(new TypeError('sold out'));
    store.set(dishAtom, promise);
    await expect(store.get(dishAtom)).rejects.toThrow('sold out');
    expect((await peer.updatesUntil(1))[0]?.error).toEqual({ type: 'TypeError', message: 'sold out' });
    expect(unhandled()).toEqual([]);
  });

  test('that nobody handles is reported as unhandled, once, as without tracing', async () => {
    const { peer } = await startWithPeer();
    const unhandled = unhandledRejections();
    const error = new TypeError('sold out');
    createStore().set(atomWithTracing<unknown>('dish', undefined), Promise.reject(error));
    expect((await peer.updatesUntil(1))[0]?.error).toEqual({ type: 'TypeError', message: 'sold out' });
    expect(unhandled()).toEqual([error]);
  });

  test('that nobody handles is recorded when the page reports it: nothing waits for a timer', async () => {
    const { emitter } = await startWithPeer();
    const events = rejectionEvents(() => {});
    const realTimeout = globalThis.setTimeout;
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    onTestFinished(() => {
      vi.runOnlyPendingTimers();
      vi.useRealTimers();
      events.stop();
    });
    createStore().set(atomWithTracing<unknown>('dish', undefined), Promise.reject(new Error('sold out')));
    await allReported(realTimeout);
    expect(emitter.stats().created).toBe(1);
  });

  test('that nobody takes up is recorded with what it settled to, as a write that took no time', async () => {
    const { peer } = await startWithPeer();
    const { promise, resolve } = Promise.withResolvers<string>();
    createStore().set(atomWithTracing<unknown>('dish', undefined), promise);
    setTimeout(() => resolve('roll'), 30);
    const [update] = await peer.updatesUntil(1);
    expect(update?.value).toBe('roll');
    expect(update?.duration).toBeLessThan(20_000);
  });

  test('that is written to two atoms is recorded twice, and once more when it has settled', async () => {
    const { peer } = await startWithPeer();
    const store = createStore();
    const [oneAtom, twoAtom] = [atomWithTracing<unknown>('one', 0), atomWithTracing<unknown>('two', 0)];
    const promise = Promise.resolve('roll');
    store.set(oneAtom, promise);
    store.set(twoAtom, promise);
    await promise;
    store.set(oneAtom, promise);
    const updates = await peer.updatesUntil(3);
    expect(updates.map(({ key, value }) => [key, value])).toEqual([
      ['one', 'roll'],
      ['two', 'roll'],
      ['one', 'roll'],
    ]);
  });

  test('shows nothing of being watched', async () => {
    await startWithPeer();
    const store = createStore();
    const dishAtom = atomWithTracing<unknown>('dish', undefined);
    const promise = Promise.resolve('roll');
    store.set(dishAtom, promise);
    expect(Reflect.ownKeys(promise)).toEqual([]);
    expect(promise).toBeInstanceOf(Promise);
    expect(promise.constructor).toBe(Promise);
    expect(Object.getPrototypeOf(promise)).toBe(Promise.prototype);
  });

  test('that is frozen is left alone: its update has no value', async () => {
    const { peer } = await startWithPeer();
    const store = createStore();
    const dishAtom = atomWithTracing<unknown>('dish', undefined);
    const promise = Object.freeze(Promise.resolve('roll'));
    store.set(dishAtom, promise);
    expect(await store.get(dishAtom)).toBe('roll');
    expect((await peer.updatesUntil(1))[0]?.omitted).toBe(true);
  });

  test('of a class that works in its `then` is not made to work', async () => {
    const { peer } = await startWithPeer();
    const store = createStore();
    const works: string[] = [];
    class Lazy<Value> extends Promise<Value> {
      // biome-ignore lint/suspicious/noThenProperty: that is what it is about.
      override then<One, Two>(...callbacks: Parameters<Promise<Value>['then']>): Promise<One | Two> {
        works.push('then');
        return super.then(...callbacks) as Promise<One | Two>;
      }
    }
    store.set(atomWithTracing<unknown>('dish', undefined), Lazy.resolve('roll'));
    expect((await peer.updatesUntil(1))[0]?.value).toBe('roll');
    expect(works).toEqual([]);
  });
});

describe('a thenable', () => {
  /** A query builder: it runs when it is asked for its result, and each time anew. */
  function query(settle: (fulfil: (rows: string[]) => void, reject: (error: unknown) => void) => void) {
    const runs: number[] = [];
    class Query implements PromiseLike<string[]> {
      // biome-ignore lint/suspicious/noThenProperty: that is what it is about.
      then<One, Two>(...callbacks: Parameters<Promise<string[]>['then']>): PromiseLike<One | Two> {
        runs.push(runs.length);
        return new Promise(settle).then(...callbacks) as Promise<One | Two>;
      }
    }
    return { query: new Query(), runs };
  }

  test('is recorded with what it tells the app, and not run for our sake', async () => {
    const { peer } = await startWithPeer();
    const store = createStore();
    const rowsAtom = atomWithTracing<PromiseLike<string[]> | undefined>('rows', undefined);
    const { query: rows, runs } = query((fulfil) => setTimeout(fulfil, 30, ['roll']));
    store.set(rowsAtom, rows);
    expect(store.get(rowsAtom)).toBe(rows);
    expect(Object.keys(rows)).toEqual([]);
    expect(await store.get(rowsAtom)).toEqual(['roll']);
    expect(runs).toHaveLength(1);
    const [update] = await peer.updatesUntil(1);
    expect(update).toMatchObject({ key: 'rows', value: ['roll'] });
    expect(update?.duration).toBeGreaterThan(20_000);
  });

  test('that fails is recorded with its error, whether or not the app looks', async () => {
    const { peer } = await startWithPeer();
    const store = createStore();
    const rowsAtom = atomWithTracing<PromiseLike<string[]> | undefined>('rows', undefined);
    const error = new RangeError('no such table');
    for (const use of [
      (rows: PromiseLike<string[]>) => rows.then(undefined, (reason) => reason),
      (rows: PromiseLike<string[]>) => Promise.resolve(rows.then(() => {})).catch((reason) => reason),
    ]) {
      const { query: rows } = query((_fulfil, reject) => reject(error));
      store.set(rowsAtom, rows);
      expect(await use(rows)).toBe(error);
    }
    const updates = await peer.updatesUntil(2);
    expect(updates.map((update) => update.error?.type)).toEqual(['RangeError', 'RangeError']);
  });

  test('that nobody runs is recorded without a value', async () => {
    const { peer } = await startWithPeer();
    const { query: rows, runs } = query((fulfil) => fulfil([]));
    createStore().set(atomWithTracing<unknown>('rows', undefined), rows);
    expect((await peer.updatesUntil(1))[0]).toMatchObject({ omitted: true, error: undefined });
    expect(runs).toEqual([]);
  });

  test('that is frozen is recorded at once, without a value', async () => {
    const { peer } = await startWithPeer();
    const { query: rows } = query((fulfil) => fulfil([]));
    createStore().set(atomWithTracing<unknown>('rows', undefined), Object.freeze(rows));
    expect((await peer.updatesUntil(1))[0]?.omitted).toBe(true);
  });
});

test('a value that writes when it is looked at', async () => {
  const { peer } = await startWithPeer();
  const store = createStore();
  const looksAtom = atomWithTracing('looks', 0);
  const dishAtom = atomWithTracing<unknown>('dish', undefined);
  const dish = {
    get name() {
      store.set(looksAtom, (looks) => looks + 1);
      return 'roll';
    },
    toJSON() {
      store.set(looksAtom, (looks) => looks + 1);
      return { name: this.name };
    },
  };
  store.set(dishAtom, dish);
  expect(store.get(dishAtom)).toBe(dish);
  const updates = await peer.updatesUntil(3);
  expect(updates.filter(({ key }) => key === 'dish').map(({ value }) => value)).toEqual([{ name: 'roll' }]);
});
