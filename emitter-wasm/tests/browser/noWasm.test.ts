import { atomWithTracing, traced } from 'atomwire/jotai';
import { atom, createStore } from 'jotai';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startWithPeer } from '../peer/startWithPeer.ts';

test('without WebAssembly the emitter says so once, counts, and leaves the app alone', async () => {
  vi.stubGlobal('WebAssembly', undefined);
  onTestFinished(() => void vi.unstubAllGlobals());
  const store = createStore();
  const countAtom = atomWithTracing('count', 0);
  const orderAtom = traced(
    atom(null, async (_get, set) => set(countAtom, 2)),
    'order',
  );
  // One more than there is room for before the module loads.
  for (let count = 0; count < 1_001; count++) store.set(countAtom, count);
  const { emitter, diagnostics } = await startWithPeer();
  expect(emitter.stats().state).toBe('loading');
  await emitter.flush();
  expect(emitter.stats()).toEqual({
    state: 'failed',
    created: 1_001,
    acknowledged: 0,
    pending: 0,
    lost: { queue_full: 1, emitter_failed: 1_000 },
  });
  await store.set(orderAtom);
  expect(store.get(countAtom)).toBe(2);
  expect(emitter.stats()).toMatchObject({ created: 1_003, lost: { queue_full: 1, emitter_failed: 1_002 } });
  expect(diagnostics.map(({ kind }) => kind)).toEqual(['queue_full', 'emitter_failed']);
});
