import { startEmitter } from 'atomwire';
import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai';
import { expect, test } from 'vitest';
import { Peer } from '../peer/Peer.ts';

// One page has one first second: this file is one story.
test('writes before startEmitter arrive with their own time, those beyond a bound are counted', async () => {
  const store = createStore();
  const countAtom = atomWithTracing('count', 0);
  const before = (performance.timeOrigin + performance.now()) * 1_000;
  for (let count = 1; count <= 1_003; count++) store.set(countAtom, count);
  const after = (performance.timeOrigin + performance.now()) * 1_000;
  expect(store.get(countAtom)).toBe(1_003);
  // The clock must move on, so that a time of delivery could not be taken for a time of writing.
  await new Promise((resolve) => setTimeout(resolve, 20));

  const peer = await Peer.listen();
  const emitter = startEmitter({ url: peer.url, service: { name: 'test' } });
  expect(emitter.stats()).toEqual({
    state: 'loading',
    created: 1_003,
    acknowledged: 0,
    pending: 1_000,
    lost: { queue_full: 3 },
  });

  await emitter.flush();
  expect(peer.updates.map(({ value }) => value)).toEqual(
    Array.from({ length: 1_000 }, (_, index) => index + 1),
  );
  for (const { start } of peer.updates) {
    expect(start).toBeGreaterThanOrEqual(Math.floor(before) - 1);
    expect(start).toBeLessThanOrEqual(Math.ceil(after) + 1);
  }
  await peer.until(() => peer.lost.length > 0);
  expect(peer.lost).toEqual([{ first: 1_000, last: 1_002, reason: 'LOST_REASON_QUEUE_FULL' }]);
  expect(emitter.stats()).toMatchObject({
    created: 1_003,
    acknowledged: 1_000,
    pending: 0,
    lost: { queue_full: 3 },
  });
  await emitter.shutdown();
});
