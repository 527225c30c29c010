import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startWithPeer } from '../peer/startWithPeer.ts';

const store = createStore();
const countAtom = atomWithTracing('count', 0);

/** As often as the answer says, the next thing that the module is asked to do ends in a trap. */
function trapping(): { times: number } {
  const traps = { times: 0 };
  const { instantiate } = WebAssembly;
  vi.spyOn(WebAssembly, 'instantiate').mockImplementation((async (module: WebAssembly.Module) => {
    const { exports } = await instantiate(module);
    const { step, ...others } = exports as Record<string, (time: number) => number>;
    return {
      exports: {
        ...others,
        step(time: number) {
          if (traps.times === 0) return step?.(time);
          traps.times -= 1;
          throw new WebAssembly.RuntimeError('unreachable');
        },
      },
    };
  }) as never);
  onTestFinished(() => void vi.restoreAllMocks());
  return traps;
}

test('a trap costs what was pending; a new session goes on, and says so once', async () => {
  const traps = trapping();
  const { emitter, peer, diagnostics } = await startWithPeer();
  store.set(countAtom, 1);
  await emitter.flush();

  traps.times = 1;
  store.set(countAtom, 2);
  store.set(countAtom, 3);
  await emitter.flush();
  expect(emitter.stats()).toMatchObject({
    created: 3,
    acknowledged: 1,
    pending: 0,
    lost: { emitter_failed: 2 },
  });
  store.set(countAtom, 4);
  await peer.until(() => peer.hellos.length === 2);
  await emitter.flush();
  expect(emitter.stats()).toMatchObject({
    state: 'connected',
    created: 4,
    acknowledged: 2,
    pending: 0,
    lost: { emitter_failed: 2 },
  });
  expect(peer.hellos[1]?.idSeed).not.toBe(peer.hellos[0]?.idSeed);
  expect(peer.hellos[1]?.firstUnackedSeq ?? 0).toBe(0);
  expect(diagnostics.map(({ kind }) => kind)).toEqual(['emitter_failed']);
});

test('a write that began before the trap ends in the new session, with ids of its own there', async () => {
  const traps = trapping();
  const { emitter, peer, ids } = await startWithPeer();
  let settle = (_value: number) => {};
  const slowAtom = atomWithTracing<Promise<number> | number>('slow', 0);
  await peer.until(() => peer.hellos.length === 1);
  store.set(slowAtom, new Promise<number>((resolve) => (settle = resolve)));
  traps.times = 1;
  await emitter.flush();
  await peer.until(() => peer.hellos.length === 2);
  settle(5);
  await peer.updatesUntil(1);
  expect(peer.updates[0]).toMatchObject({ seq: 0, value: 5, parent: undefined });
  expect(ids(0)).toBeDefined();
});

test('traps without end fail for good: later writes are counted, and cost nothing', async () => {
  const traps = trapping();
  const { emitter, diagnostics } = await startWithPeer();
  traps.times = Infinity;
  store.set(countAtom, 1);
  await vi.waitUntil(() => emitter.stats().state === 'failed');
  const toJSON = vi.fn(() => 1);
  store.set(countAtom, { toJSON } as unknown as number);
  expect(toJSON).not.toHaveBeenCalled();
  expect(emitter.stats()).toEqual({
    state: 'failed',
    created: 2,
    acknowledged: 0,
    pending: 0,
    lost: { emitter_failed: 2 },
  });
  await emitter.flush();
  expect(diagnostics.map(({ kind }) => kind)).toEqual(['emitter_failed']);
});
