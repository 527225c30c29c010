import { startEmitter } from 'atomwire';
import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Peer } from '../peer/Peer.ts';

// One page has one first second: this file is one story.
test('ten seconds without startEmitter: writes cost nothing any more, and are counted should one come', async () => {
  const store = createStore();
  const valueAtom = atomWithTracing<unknown>('value', 0);
  const toJSON = vi.fn(() => 'looked at');
  store.set(valueAtom, { toJSON });
  expect(toJSON).toHaveBeenCalledTimes(1);

  const now = performance.now.bind(performance);
  const later = vi.spyOn(performance, 'now').mockImplementation(() => now() + 10_001);
  // The first of them finds out how late it is.
  store.set(valueAtom, 'late');
  for (let count = 0; count < 100; count++) store.set(valueAtom, { toJSON });
  expect(toJSON).toHaveBeenCalledTimes(1);
  later.mockRestore();

  const peer = await Peer.listen();
  const emitter = startEmitter({ url: peer.url, service: { name: 'test' } });
  onTestFinished(() => emitter.shutdown());
  expect(emitter.stats()).toMatchObject({ created: 102, pending: 1, lost: { queue_full: 101 } });
  // Now somebody listens again.
  store.set(valueAtom, 'after');
  await emitter.flush();
  expect(peer.updates.map(({ seq, value }) => [seq, value])).toEqual([
    [0, 'looked at'],
    [102, 'after'],
  ]);
  expect(emitter.stats()).toMatchObject({ created: 103, acknowledged: 2, lost: { queue_full: 101 } });
});
