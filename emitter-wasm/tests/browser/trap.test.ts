import { startEmitter } from 'atomwire';
import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai';
import { expect, test, vi } from 'vitest';
import { startWithPeer } from '../peer/startWithPeer.ts';

// The module of this page is beyond repair afterwards: this file is one story.
test('a trap is caught once and counted; the app goes on', async () => {
  const { emitter, peer, diagnostics } = await startWithPeer();
  const store = createStore();
  const countAtom = atomWithTracing('count', 0);
  store.set(countAtom, 1);
  await emitter.flush();
  peer.answers = false;

  // Somebody's patch of WebSocket calls back into the emitter while it sends: its state is borrowed, and
  // it traps.
  const send = vi.spyOn(WebSocket.prototype, 'send').mockImplementation(() => {
    throw emitter.stats();
  });
  for (let count = 2; count <= 300; count++) store.set(countAtom, count);
  void emitter.flush();
  send.mockRestore();
  store.set(countAtom, 301);
  expect(store.get(countAtom)).toBe(301);
  expect(emitter.stats()).toEqual({
    state: 'failed',
    created: 301,
    acknowledged: 1,
    pending: 0,
    lost: { emitter_failed: 300 },
  });
  await emitter.flush();
  await peer.until(() => peer.closed === 1);
  expect(diagnostics.map(({ kind }) => kind)).toEqual(['emitter_failed']);

  // Another emitter on this page would have the same module.
  await emitter.shutdown();
  const again: string[] = [];
  const next = startEmitter({
    url: peer.url,
    service: { name: 'again' },
    onDiagnostic: ({ kind }) => again.push(kind),
  });
  store.set(countAtom, 302);
  await next.flush();
  expect(next.stats()).toMatchObject({ state: 'failed', created: 1, lost: { emitter_failed: 1 } });
  expect(again).toEqual(['emitter_failed']);
  await next.shutdown();
});
