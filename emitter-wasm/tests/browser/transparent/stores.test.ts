import { atomWithTracing, traced } from 'atomwire/jotai';
import { atom, createStore } from 'jotai';
import { atomWithReset, atomWithStorage, RESET } from 'jotai/utils';
import { beforeEach, describe, expect, test } from 'vitest';
import { startWithPeer } from '../../peer/startWithPeer.ts';
import { expectSame } from './kinds.ts';

describe.each(['before an emitter starts', 'with an emitter'])('%s', (emitter) => {
  beforeEach(async () => {
    if (emitter === 'with an emitter') await startWithPeer();
  });

  test('values, and the order of notifications, also when listeners write', () =>
    expectSame((kind, log) => {
      const store = createStore();
      const [oneAtom, twoAtom] = [kind.primitive(1), kind.primitive(2)];
      const sumAtom = atom((get) => get(oneAtom) + get(twoAtom));
      const bothAtom = kind.writable(
        atom(null, (get, set, value: number) => {
          set(oneAtom, value);
          log('between', get(sumAtom));
          set(twoAtom, (two) => two + value);
          return get(sumAtom);
        }),
      );
      store.sub(sumAtom, () => log('sum', store.get(sumAtom)));
      store.sub(twoAtom, () => log('two', store.get(twoAtom)));
      const unsub = store.sub(oneAtom, () => {
        log('one', store.get(oneAtom));
        if (store.get(oneAtom) < 5) store.set(oneAtom, (one) => one + 1);
      });
      log(store.set(bothAtom, 3), store.get(sumAtom));
      log(store.set(oneAtom, 3), store.get(sumAtom));
      unsub();
      log(store.set(oneAtom, 3), store.set(oneAtom, 3), store.get(sumAtom));
    }));

  test('writes after an await, and listeners in between', () =>
    expectSame(async (kind, log) => {
      const store = createStore();
      const countAtom = kind.primitive(0);
      const echoAtom = kind.primitive(0);
      const slowAtom = kind.writable(
        atom(0, async (get, set, value: number) => {
          set(countAtom, value);
          log('sync', get(countAtom));
          await null;
          set(countAtom, (count) => count + 1);
          set(slowAtom as never, value as never);
          log('after', get(countAtom), get(echoAtom));
          return value;
        }),
      );
      store.sub(countAtom, () => {
        log('count', store.get(countAtom));
        store.set(echoAtom, store.get(countAtom));
      });
      store.sub(slowAtom, () => log('slow', store.get(slowAtom)));
      const result = store.set(slowAtom, 7);
      log('returned', store.get(countAtom), result instanceof Promise);
      log(await result.catch((error: Error) => error.message), store.get(slowAtom), store.get(echoAtom));
    }));

  test('errors: of updaters, writes, reads, mounts and listeners', () =>
    expectSame((kind, log) => {
      const store = createStore();
      const attempt = (run: () => unknown) => {
        try {
          log('fine', run());
        } catch (error) {
          const { name, message, errors } = error as AggregateError;
          log('threw', name, message, errors?.map(String));
        }
      };
      const fail = (message: string) => (): never => {
        throw new RangeError(message);
      };
      const countAtom = kind.primitive(0);
      attempt(() => store.set(countAtom, fail('updater')));
      attempt(() => store.set(kind.writable(atom(null, fail('write')))));
      attempt(() => store.set(kind.writable(atom(fail('read'), (get) => get(countAtom)))));
      const innerAtom = kind.writable(atom(null, fail('inner')));
      attempt(() => store.set(kind.writable(atom(null, (_get, set) => set(innerAtom)))));
      const unsub = store.sub(countAtom, fail('listener'));
      attempt(() => store.set(countAtom, 1));
      attempt(() => store.set(kind.writable(atom(null, (_get, set) => set(countAtom, 2)))));
      unsub();
      const mountedAtom = kind.primitive(0);
      mountedAtom.onMount = fail('mount');
      attempt(() => store.sub(mountedAtom, () => {})());
      log(store.get(countAtom));
    }));

  test('mounting, with and without cleaning up', () =>
    expectSame((kind, log) => {
      const store = createStore();
      const countAtom = kind.primitive(0);
      countAtom.onMount = (set) => {
        log('mount', set(5));
        return () =>
          log(
            'unmount',
            set((count) => count + 1),
          );
      };
      const derivedAtom = kind.writable(
        atom(
          (get) => get(countAtom),
          (_get, set, value: number) => set(countAtom, value),
        ),
      );
      derivedAtom.onMount = (set) => void log('derived', set(9));
      const unsub = store.sub(derivedAtom, () => log('heard', store.get(derivedAtom)));
      log(store.get(countAtom));
      unsub();
      log(store.get(countAtom), store.get(derivedAtom));
    }));

  test('atoms that set themselves, and atoms of Jotai’s own', () =>
    expectSame((kind, log) => {
      const store = createStore();
      const resetAtom = kind.writable(atomWithReset(7));
      store.sub(resetAtom, () => log('reset', store.get(resetAtom)));
      for (const value of [8, RESET, (before: number) => before + 1, (): typeof RESET => RESET] as const)
        log(store.set(resetAtom, value), store.get(resetAtom));
      sessionStorage.clear();
      const storedAtom = kind.writable(atomWithStorage('stored', 1, undefined, { getOnInit: true }));
      store.sub(storedAtom, () => log('stored', store.get(storedAtom)));
      log(store.set(storedAtom, 2), localStorage.getItem('stored'));
      log(store.set(storedAtom, RESET), localStorage.getItem('stored'), resetAtom.init);
    }));

  test('promises: which, and in which order they settle', () =>
    expectSame(async (kind, log) => {
      const store = createStore();
      const promise = Promise.resolve('roll');
      const promiseAtom = kind.primitive<Promise<string>>(promise);
      const returnAtom = kind.writable(atom(null, () => promise));
      const asyncAtom = kind.writable(atom(null, async () => await promise));
      log(
        store.get(promiseAtom) === promise,
        store.set(promiseAtom, promise),
        store.set(returnAtom) === promise,
      );
      const order = [
        store.set(asyncAtom).then(() => log('asynchronous')),
        promise.then(() => log('before')),
        store.set(returnAtom).then(() => log('returned')),
        (async () => log('awaited', await store.get(promiseAtom)))(),
        Promise.all([promise, store.set(returnAtom)]).then((all) => log('all', all)),
        Promise.resolve(promise).then(() => log('resolved')),
        new Promise((resolve) => resolve(store.get(promiseAtom))).then(() => log('adopted')),
        promise.finally(() => log('finally')),
        Promise.race([promise]).then(() => log('race')),
      ];
      let tick = 0;
      const ticking = (async () => {
        while (tick < 8) {
          log('tick', tick++);
          await null;
        }
      })();
      await Promise.all([...order, ticking]);
      log(promise.constructor === Promise, Object.keys(promise), Object.prototype.toString.call(promise));
    }));

  test('names, and what an atom looks like', () =>
    expectSame((kind, log) => {
      const nameOf = (anAtom: object) => Number(String(anAtom).replace('atom', ''));
      const first = nameOf(atom(0));
      const made = [kind.primitive(0), kind.writable(atom(null, () => {})), atom(0)];
      for (const one of made) log(nameOf(one) - first, Reflect.ownKeys(one), String(one.read).length);
    }));
});

describe('a module that is evaluated again (HMR)', () => {
  /** What a module does that makes an atom of its own and traces one of another module. */
  function evaluate(sharedAtom: ReturnType<typeof atom<number>>, version: string) {
    const ownAtom = atomWithTracing('own', 0);
    const shared = traced(sharedAtom, `shared ${version}`);
    return { ownAtom, shared };
  }

  test('traces its new atoms, and the others once', async () => {
    const { peer } = await startWithPeer();
    const store = createStore();
    const sharedAtom = atom(0);
    const before = evaluate(sharedAtom, 'before');
    const heard: unknown[] = [];
    store.sub(sharedAtom, () => heard.push(store.get(sharedAtom)));
    store.set(before.shared, 1);
    const after = evaluate(sharedAtom, 'after');
    expect(after.shared).toBe(before.shared);
    store.set(after.shared, 2);
    store.set(after.ownAtom, 3);
    store.set(before.ownAtom, 4);
    expect(heard).toEqual([1, 2]);
    expect((await peer.updatesUntil(4)).map(({ key, value }) => [key, value])).toEqual([
      ['shared before', 1],
      ['shared after', 2],
      ['own', 3],
      ['own', 4],
    ]);
  });
});
