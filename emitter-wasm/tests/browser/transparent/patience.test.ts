import { atom, createStore } from 'jotai';
import { afterEach, beforeEach, describe, test, vi } from 'vitest';
import { expectSame, type Kind } from './kinds.ts';
import { allReported, rejectionEvents } from './rejectionEvents.ts';

const ways: Record<string, (kind: Kind, promise: Promise<unknown>) => void> = {
  'an atom’s value': (kind, promise) => createStore().set(kind.primitive<unknown>(0), promise),
  'a write’s result': (kind, promise) => void createStore().set(kind.writable(atom(null, () => promise))),
};

const error = new Error('sold out');

// Only what the emitter waits for: the page's own reports come when they come.
const realTimeout = globalThis.setTimeout;
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout'] }));
afterEach(() => void vi.useRealTimers());

describe.each(Object.entries(ways))('a promise that nobody takes up for long, %s', (_way, give) => {
  test.each<
    [
      string,
      (
        promise: Promise<unknown>,
        reject: () => void,
        wait: () => Promise<void>,
        give: () => void,
      ) => Promise<void>,
    ]
  >([
    [
      'rejected, and handled before',
      async (promise, reject, wait, give) => {
        promise.catch(() => {});
        give();
        reject();
        await wait();
      },
    ],
    [
      'rejected, and never handled',
      async (_promise, reject, wait, give) => {
        give();
        reject();
        await wait();
      },
    ],
    [
      'pending, and handled then',
      async (promise, reject, wait, give) => {
        give();
        await wait();
        promise.catch(() => {});
        reject();
      },
    ],
    [
      'pending, and never handled',
      async (_promise, reject, wait, give) => {
        give();
        await wait();
        reject();
      },
    ],
  ])('%s', async (_what, run) => {
    await expectSame(async (kind, log) => {
      const events = rejectionEvents(log);
      const { promise, reject } = Promise.withResolvers<unknown>();
      const wait = async () => {
        await allReported(realTimeout);
        await vi.advanceTimersByTimeAsync(10_000);
        await allReported(realTimeout);
      };
      await run(
        promise,
        () => reject(error),
        wait,
        () => give(kind, promise),
      );
      await wait();
      events.stop();
    });
  });
});
