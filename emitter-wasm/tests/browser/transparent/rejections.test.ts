import { atom, createStore } from 'jotai';
import { beforeEach, describe, test } from 'vitest';
import { startWithPeer } from '../../peer/startWithPeer.ts';
import { expectSame, type Kind, type Log } from './kinds.ts';
import { allReported, rejectionEvents } from './rejectionEvents.ts';

type Store = ReturnType<typeof createStore>;

/** Where a promise comes from; `again` makes the same promise known to a second atom. */
interface Way {
  give: (promise: Promise<unknown>) => Promise<unknown>;
  again: (promise: Promise<unknown>) => void;
}

const ways: Record<string, (kind: Kind, store: Store) => Way> = {
  'an atom’s value': (kind, store) => {
    const give = (promise: Promise<unknown>) => {
      const valueAtom = kind.primitive<unknown>(undefined);
      store.set(valueAtom, promise);
      return promise;
    };
    return { give, again: give };
  },
  'a value, and in an argument, too': (kind, store) => {
    const give = (promise: Promise<unknown>) => {
      const valueAtom = kind.primitive<unknown>(undefined);
      store.set(valueAtom, promise);
      const argumentAtom = kind.writable(atom(null, (_get, _set, _argument: unknown) => {}));
      store.set(argumentAtom, promise);
      store.set(argumentAtom, { nested: [promise] });
      return promise;
    };
    return { give, again: give };
  },
  'a write’s result': (kind, store) => {
    const give = (promise: Promise<unknown>) => store.set(kind.writable(atom(null, () => promise)));
    return { give, again: give };
  },
  'an asynchronous write': (kind, store) => {
    const runAtom = () =>
      kind.writable(atom(null, async (_get, _set, promise: Promise<unknown>) => await promise));
    return {
      give: (promise) => store.set(runAtom(), promise),
      again: (promise) => void store.set(kind.writable(atom(null, () => promise))),
    };
  },
  'a derived atom': (kind, store) => {
    const give = (promise: Promise<unknown>) => {
      const valueAtom = kind.primitive<unknown>(undefined);
      const derivedAtom = atom((get) => get(valueAtom));
      store.set(valueAtom, promise);
      return store.get(derivedAtom) as Promise<unknown>;
    };
    return { give, again: give };
  },
  'an asynchronous derived atom': (kind, store) => {
    const give = (promise: Promise<unknown>) => {
      const valueAtom = kind.primitive<unknown>(undefined);
      const derivedAtom = atom(async (get) => await get(valueAtom));
      store.set(valueAtom, promise);
      return store.get(derivedAtom);
    };
    return { give, again: give };
  },
};

const error = new Error('sold out');
const ignore = () => {};

/** What an app does with a promise that is rejected when `reject` is called. */
const patterns: Record<
  string,
  (way: Way, promise: Promise<unknown>, reject: () => void, log: Log) => Promise<void>
> = {
  'handled before': async ({ give }, promise, reject) => {
    promise.catch(ignore);
    give(promise);
    reject();
  },
  'handled in the same task': async ({ give }, promise, reject) => {
    give(promise).catch(ignore);
    reject();
  },
  'handled later': async ({ give }, promise, reject) => {
    const given = give(promise);
    reject();
    await allReported();
    given.catch(ignore);
  },
  awaited: async ({ give }, promise, reject, log) => {
    const given = give(promise);
    setTimeout(reject);
    await given.then(undefined, (reason) => log('caught', reason));
  },
  'only its fulfilment handled': async ({ give }, promise, reject) => {
    give(promise).then(ignore);
    reject();
  },
  'in Promise.all': async ({ give }, promise, reject) => {
    Promise.all([give(promise)]).catch(ignore);
    reject();
  },
  'never handled': async ({ give }, promise, reject) => {
    give(promise);
    reject();
  },
  'never handled, and rejected already': async ({ give }, promise, reject) => {
    reject();
    give(promise);
  },
  'known to two atoms, and handled between them': async ({ give, again }, promise, reject) => {
    give(promise).catch(ignore);
    again(promise);
    reject();
  },
  'known to two atoms, and never handled': async ({ give, again }, promise, reject) => {
    give(promise);
    again(promise);
    reject();
  },
};

describe.each(['before an emitter starts', 'with an emitter'])('%s', (emitter) => {
  beforeEach(async () => {
    if (emitter === 'with an emitter') await startWithPeer();
  });

  describe.each(Object.entries(ways))('a promise which is %s', (_way, way) => {
    test.each(Object.entries(patterns))('%s', async (_pattern, pattern) => {
      await expectSame(async (kind, log) => {
        const events = rejectionEvents(log);
        const { promise, reject } = Promise.withResolvers<unknown>();
        await pattern(way(kind, createStore()), promise, () => reject(error), log);
        await allReported();
        events.stop();
      });
    });
  });
});
